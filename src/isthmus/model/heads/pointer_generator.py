"""The pointer-generator head: p(y) = g · softmax(W h + b) + (1 - g) · Σ of what is to be copied of y (See et al. 2017, section 2.2).

B row, T target position, S source position, D model, V vocabulary, N target positions of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from isthmus.core.config import Config
from isthmus.core.errors import StateError
from isthmus.core.padded import Padded
from isthmus.model.decoders.decoder import Decoded
from isthmus.model.heads.head import Head, Take, counting, flattened
from isthmus.nn.attention import projection
from isthmus.nn.cross_entropy import smoothed_nll
from isthmus.nn.r_drop import distance

CHUNK = 256  # positions whose distributions over the vocabulary exist at once
LEAST = 1e-20  # what is copied with less probability is not copied: its logarithm would have no useful gradient


class PointerGeneratorHeadConfig(Config):
    """Configuration of the pointer-generator; source and target share a vocabulary, and the connection is `copying`.

    Attributes:
        kind: names the head.
        bias: whether each word has a bias.
        scale: factor on the features before the projection.
    """

    kind: Literal["pointer-generator"] = "pointer-generator"
    bias: bool = True
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Offers:
    """What the head mixes, a position a row.

    Attributes:
        features_ND: the decoder's state.
        context_ND: what its last connection read.
        copy_NS: how much of each source position is to be copied.
        ids_NS: what stands there.
    """

    features_ND: Tensor
    context_ND: Tensor
    copy_NS: Tensor
    ids_NS: Tensor

    @classmethod
    def of(cls, decoded: Decoded, take: Take = flattened) -> Offers:
        """Those of the positions that are taken, of all by default.

        Raises:
            StateError: the connection offers nothing to copy.
        """
        last = decoded.readings[-1]
        if last.copy_BTS is None or last.ids_BS is None:
            raise StateError(
                "a pointer-generator copies what its connection offers",
                expected="a reading with `copy_BTS` and `ids_BS`",
                got="one without",
                fix="take the connection `copying`",
            )
        ids_BTS = last.ids_BS[:, None].expand_as(last.copy_BTS)
        parts = decoded.features_BTD, last.context_BTD, last.copy_BTS, ids_BTS
        return cls(*(take(part) for part in parts))

    def chunks(self) -> Iterator[tuple[slice, Offers]]:
        """Some positions at a time, and which they are."""
        for start in range(0, len(self.features_ND), CHUNK):
            part = slice(start, start + CHUNK)
            yield part, Offers(self.features_ND[part], self.context_ND[part], self.copy_NS[part], self.ids_NS[part])


@final
class PointerGeneratorHead(Head):
    """Generates a word, or copies one from the source; g = sigmoid(w · [h; c] + b) says which.

    The paper's g also sees the decoder's input, which h has read already. What the vocabulary does not hold cannot be copied: pieces
    or characters spell new words.

    Args:
        weight: the output embedding [V, D].
        d_context: size of what a connection reads.
        bias: whether each word has a bias.
        scale: factor on the features before the projection.
    """

    def __init__(self, weight: nn.Parameter, d_context: int, bias: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.scale = weight, scale
        self.bias = nn.Parameter(torch.zeros(weight.shape[0])) if bias else None
        self.gate = projection(weight.shape[1] + d_context, 1, bias=True)

    def log_probs(self, decoded: Decoded, among: Tensor | None = None) -> Tensor:
        """log p [B, T, V] of the mixture, or over the candidates."""
        B, T, _ = decoded.features_BTD.shape
        offers = Offers.of(decoded)
        log_probs_NV = self._mixture(offers.features_ND, offers.context_ND, offers.copy_NS, offers.ids_NS)
        log_probs_BTV = log_probs_NV.view(B, T, self.weight.shape[0])
        return log_probs_BTV if among is None else log_probs_BTV[:, :, among].log_softmax(dim=-1)

    def nll(
        self,
        decoded: Decoded,
        target: Padded,
        smoothing: float = 0.0,
        weight_B: Tensor | None = None,
        prior_V: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Σ -log p(target) over real positions and their count, by chunks."""
        return self._summed(
            (decoded,), target, weight_B, lambda each, said_N: smoothed_nll(each, said_N, smoothing, prior_V)
        )

    def r_drop(
        self,
        pair: tuple[Decoded, Decoded],
        target: Padded,
        strength: float,
        smoothing: float = 0.0,
        weight_B: Tensor | None = None,
        prior_V: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """½ Σ [nll(p) + nll(q)] + α/4 Σ [KL(p ‖ q) + KL(q ‖ p)] over real positions and their count, by chunks."""

        def loss(log_p_NV: Tensor, log_q_NV: Tensor, said_N: Tensor) -> Tensor:
            p_nll_N, q_nll_N = (smoothed_nll(each_NV, said_N, smoothing, prior_V) for each_NV in (log_p_NV, log_q_NV))
            return (p_nll_N + q_nll_N) / 2 + strength / 2 * distance(log_p_NV, log_q_NV)

        return self._summed(pair, target, weight_B, loss)

    def _summed(
        self, several: Sequence[Decoded], target: Padded, weight_B: Tensor | None, loss: Callable[..., Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The weighted sum of `loss(log-probabilities [N, V] of each, targets [N])` [N] over real positions, and their count.

        The backward pass computes it again, so that the distributions of one chunk exist at a time.
        """
        take, weight_N = counting(target, weight_B)
        target_N = take(target.ids_BT)

        def computed(part: slice, *given: Tensor) -> Tensor:
            each = (self._mixture(*given[start : start + 4]) for start in range(0, len(given), 4))
            loss_N = loss(*each, target_N[part])
            return (loss_N if weight_N is None else loss_N * weight_N[part]).sum()

        total = several[0].features_BTD.new_zeros((), dtype=torch.float32)
        for together in zip(*(Offers.of(decoded, take).chunks() for decoded in several), strict=True):
            part, _ = together[0]
            tensors = [t for _, o in together for t in (o.features_ND, o.context_ND, o.copy_NS, o.ids_NS)]
            if torch.is_grad_enabled():
                total = total + checkpoint(computed, part, *tensors, use_reentrant=False, preserve_rng_state=False)
            else:
                total = total + computed(part, *tensors)
        return total, target.mask_BT.sum().float() if weight_N is None else weight_N.sum()

    def _mixture(self, features_ND: Tensor, context_ND: Tensor, copy_NS: Tensor, ids_NS: Tensor) -> Tensor:
        """log p [N, V]; where there is nothing to copy, all is generated."""
        logits_NV = functional.linear(features_ND * self.scale, self.weight, self.bias).float()
        gate_N1: Tensor = self.gate(torch.cat([features_ND, context_ND.to(features_ND.dtype)], dim=-1)).float()
        some_N1 = copy_NS.sum(dim=-1, keepdim=True) > 0
        log_generate_N1 = torch.where(some_N1, functional.logsigmoid(gate_N1), 0.0)
        generated_NV = log_generate_N1 + torch.log_softmax(logits_NV, dim=-1)
        copied_NV = torch.zeros_like(logits_NV).scatter_add(1, ids_NS, copy_NS.float())
        some_NV = copied_NV > LEAST
        log_copied_NV = functional.logsigmoid(-gate_N1) + torch.where(some_NV, copied_NV, 1.0).log()
        return torch.where(some_NV, torch.logaddexp(generated_NV, log_copied_NV), generated_NV)


def build(config: PointerGeneratorHeadConfig, weight: nn.Parameter, d_context: int) -> PointerGeneratorHead:
    """Build the head on an output embedding, for connections that read vectors of `d_context`."""
    return PointerGeneratorHead(weight, d_context, config.bias, config.scale)
