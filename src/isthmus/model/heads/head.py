"""The interface of every head.

B row, T target position, D model, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from isthmus.core.padded import Padded
from isthmus.model.decoders.decoder import Decoded
from isthmus.nn.cross_entropy import LOGITS

Take = Callable[[Tensor], Tensor]


class Head(nn.Module, ABC):
    """Owns the vocabulary: turns decoded features into log-probabilities and losses.

    Attributes:
        weight: the output embedding [V, D].
    """

    weight: nn.Parameter

    @abstractmethod
    def log_probs(self, decoded: Decoded, among: Tensor | None = None) -> Tensor:
        """Log-probabilities [B, T, V] in float32.

        Args:
            decoded: the decoder's features.
            among: candidate ids [C]; the result is then [B, T, C], normalised over the candidates.
        """

    def log_probs_by_rows(self, decoded: Decoded) -> Iterator[tuple[slice, Tensor]]:
        """The log-probabilities of a few rows at a time, and which rows they are: those of a whole batch may be larger than all else."""
        B, T, _ = decoded.features_BTD.shape
        rows = max(1, LOGITS // (T * self.weight.shape[0]))
        every_B = torch.arange(B, device=decoded.features_BTD.device)
        for start in range(0, B, rows):
            part = slice(start, start + rows)
            yield part, self.log_probs(decoded.select(every_B[part]))

    @abstractmethod
    def nll(
        self,
        decoded: Decoded,
        target: Padded,
        smoothing: float = 0.0,
        weight_B: Tensor | None = None,
        prior_V: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of a target, as (sum, count), so that parts of a batch add up.

        Args:
            decoded: the features at each target position.
            target: what should have been predicted; padding does not count.
            smoothing: ε of label smoothing (Szegedy et al. 2016, section 7).
            weight_B: a weight for each row.
            prior_V: over which distribution ε is spread, or `None` for all alike.

        Returns:
            Two float32 scalars: the weighted sum over real positions, and the sum of their weights.
        """

    @abstractmethod
    def r_drop(
        self,
        pair: tuple[Decoded, Decoded],
        target: Padded,
        strength: float,
        smoothing: float = 0.0,
        weight_B: Tensor | None = None,
        prior_V: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """½ [nll(p) + nll(q)] + α/2 · ½ [KL(p ‖ q) + KL(q ‖ p)] of two predictions of a target (Liang et al. 2021, equations 2 to 4).

        Args:
            pair: features at each target position, which give p, and others, which give q.
            target: what should have been predicted; padding does not count.
            strength: α, how much their distance counts.
            smoothing: as in `nll`.
            weight_B: a weight for each row.
            prior_V: as in `nll`.

        Returns:
            As `nll`: the weighted sum over real positions, and the sum of their weights.
        """


def flattened(x: Tensor) -> Tensor:
    """All positions in a row: [B, T, ...] -> [B·T, ...]."""
    return x.flatten(0, 1)


def counting(target: Padded, weight_B: Tensor | None) -> tuple[Take, Tensor | None]:
    """How to take the positions that count, [B, T, ...] -> [N, ...], and their weights.

    On a CPU these are the real positions. Elsewhere finding them would wait for the device: there it is all positions, and those of
    padding weigh 0.
    """
    mask_BT = target.mask_BT
    if mask_BT.device.type == "cpu":
        return lambda x: x[mask_BT], None if weight_B is None else weight_B[:, None].expand_as(mask_BT)[mask_BT].float()
    weight_BT = mask_BT.float() if weight_B is None else mask_BT * weight_B[:, None].float()
    return flattened, weight_BT.flatten()
