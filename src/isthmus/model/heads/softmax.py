"""The softmax head: p(y) = softmax(W h + b).

B row, T target position, D model, V vocabulary, N real target positions.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.core.config import Config
from isthmus.core.padded import Padded
from isthmus.model.decoders.decoder import Decoded
from isthmus.model.heads.head import Head, counting
from isthmus.nn.cross_entropy import cross_entropy
from isthmus.nn.packed import Packable, PackedLinear
from isthmus.nn.r_drop import r_drop


class SoftmaxHeadConfig(Config):
    """Configuration of the softmax head.

    Attributes:
        kind: names the head.
        bias: whether each word has a bias.
        scale: factor on the features before the projection (T5 has 1/sqrt(d_model)).
    """

    kind: Literal["softmax"] = "softmax"
    bias: bool = False
    scale: float = 1.0


@final
class SoftmaxHead(Head, Packable):
    """One linear layer and a softmax.

    Args:
        weight: the output embedding [V, D]; shared where embeddings are tied.
        bias: whether each word has a bias.
        scale: factor on the features.
    """

    def __init__(self, weight: nn.Parameter, bias: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.scale = weight, scale
        self.bias = nn.Parameter(torch.zeros(weight.shape[0])) if bias else None
        self.packed: PackedLinear | None = None

    def pack(self) -> None:
        """The weights once more, since an embedding that shares them wants them as they are."""
        self.packed = PackedLinear(self.weight, self.bias)

    def log_probs(self, decoded: Decoded, among: Tensor | None = None) -> Tensor:
        """log softmax(W h + b) [B, T, V], or over the candidates."""
        if among is None and self.packed is not None:
            return torch.log_softmax(self.packed(self._scaled(decoded.features_BTD)), dim=-1, dtype=torch.float32)
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if among is not None:
            weight, bias = weight[among], None if bias is None else bias[among]
        return torch.log_softmax(functional.linear(self._scaled(decoded.features_BTD), weight, bias).float(), dim=-1)

    def nll(
        self,
        decoded: Decoded,
        target: Padded,
        smoothing: float = 0.0,
        weight_B: Tensor | None = None,
        prior_V: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Σ -log p(target) over real positions and their count, by chunks."""
        take, weight_N = counting(target, weight_B)
        features_ND, target_N = self._scaled(take(decoded.features_BTD)), take(target.ids_BT)
        total = cross_entropy(features_ND, self.weight, self.bias, target_N, weight_N, smoothing, prior_V)
        return total, target.mask_BT.sum().float() if weight_N is None else weight_N.sum()

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
        take, weight_N = counting(target, weight_B)
        features_2ND = torch.stack([self._scaled(take(decoded.features_BTD)) for decoded in pair])
        target_N = take(target.ids_BT)
        total = r_drop(features_2ND, self.weight, self.bias, target_N, weight_N, smoothing, strength, prior_V)
        return total, target.mask_BT.sum().float() if weight_N is None else weight_N.sum()

    def _scaled(self, features: Tensor) -> Tensor:
        return features if self.scale == 1.0 else features * self.scale


def build(config: SoftmaxHeadConfig, weight: nn.Parameter) -> SoftmaxHead:
    """Build the head on an output embedding."""
    return SoftmaxHead(weight, config.bias, config.scale)
