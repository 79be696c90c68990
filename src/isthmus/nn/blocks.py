"""Norms, feed-forward layers, the residual around a sublayer, and embeddings.

B batch, T position, D model, F feed-forward.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.core.runtime import working_dtype
from isthmus.nn.attention import projection
from isthmus.nn.dropout import add_dropped, dropout, skipped

NormKind = Literal["layer", "rms"]
Activation = Literal["relu", "gelu", "gelu-tanh", "silu", "swiglu", "geglu-tanh"]


@final
class RMSNorm(nn.RMSNorm):
    """x / rms(x) · g (Zhang and Sennrich 2019), the gain in the type of x: torch has no kernel for mixed types."""

    def forward(self, x: Tensor) -> Tensor:
        """The normed vectors [..., D]."""
        gain = None if self.weight is None else self.weight.to(x.dtype)
        return functional.rms_norm(x, self.normalized_shape, gain, self.eps)


def build_norm(kind: NormKind, size: int, eps: float = 1e-5) -> nn.Module:
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019)."""
    return nn.LayerNorm(size, eps=eps) if kind == "layer" else RMSNorm(size, eps=eps)


class FeedForward(nn.Module):
    """W₂ · activation(W₁ x), position by position; GLUs multiply by a gate (Vaswani et al. 2017, section 3.3; Shazeer 2020).

    Args:
        d_model: size D of the states.
        inner: size F in the middle.
        activation: the non-linearity (`silu` is also called swish; Marian has it). `-tanh` is the approximation of GELU that GPT-2
            and T5 v1.1 have (Hendrycks and Gimpel 2016, section 2).
        dropout: probability to drop a feature in the middle.
        bias: whether the projections add a bias.
    """

    def __init__(self, d_model: int, inner: int, activation: Activation, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.activation, self.dropout = activation, dropout
        self.inner = projection(d_model, inner, bias)
        self.gate = projection(d_model, inner, bias) if activation in ("swiglu", "geglu-tanh") else None
        self.outer = projection(inner, d_model, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """States [B, T, D] to states [B, T, D].

        All positions N in one row: an activation in place on what is not a view needs no copies in the backward pass.
        """
        x_ND = x_BTD.flatten(0, -2)
        inner_NF = self.inner(x_ND)
        if self.activation == "swiglu" and self.gate is not None:
            inner_NF = functional.silu(self.gate(x_ND)) * inner_NF
        elif self.activation == "geglu-tanh" and self.gate is not None:
            inner_NF = functional.gelu(self.gate(x_ND), approximate="tanh") * inner_NF
        elif self.activation in ("gelu", "gelu-tanh"):
            inner_NF = functional.gelu(inner_NF, approximate="tanh" if self.activation == "gelu-tanh" else "none")
        elif self.activation == "silu":
            inner_NF = functional.silu(inner_NF)
        else:
            inner_NF = functional.relu(inner_NF, inplace=True)
        outer_ND: Tensor = self.outer(dropout(inner_NF, self.dropout, self.training))
        return outer_ND.view(x_BTD.shape)


class Residual(nn.Module):
    """The residual connection and norm around a sublayer: `x = residual.leave(x, sublayer(residual.enter(x)))`.

    Pre-norm is x + f(norm(x)) (Xiong et al. 2020), post-norm is norm(x + f(x)) (Vaswani et al. 2017, section 3.1).

    Args:
        norm: the norm.
        dropout: probability to drop a feature of the sublayer's output.
        pre: where the norm stands.
        skip: probability to leave the sublayer out for an example.
    """

    def __init__(self, norm: nn.Module, dropout: float, pre: bool, skip: float = 0.0) -> None:
        super().__init__()
        self.norm, self.dropout, self.pre, self.skip = norm, dropout, pre, skip

    def enter(self, x_BTD: Tensor) -> Tensor:
        """What the sublayer reads."""
        return self.norm(x_BTD) if self.pre else x_BTD

    def leave(self, x_BTD: Tensor, y_BTD: Tensor) -> Tensor:
        """The sublayer's output, joined with its input."""
        y_BTD = skipped(y_BTD, self.skip, self.training)
        sum_BTD = add_dropped(x_BTD, y_BTD, self.dropout, self.training)
        return sum_BTD if self.pre else self.norm(sum_BTD)


class Embedding(nn.Module):
    """Ids to vectors: looked up, scaled, the position added, normed, dropped (Vaswani et al. 2017, section 3.4).

    Args:
        weight: the table [V, D]; shared where embeddings are tied.
        positions: added to the vectors, or `None`.
        scale: factor on the vectors; sqrt(D) in the paper.
        norm: applied after adding positions (BART), or `None`.
        dropout: probability to drop a feature.
    """

    def __init__(
        self, weight: nn.Parameter, positions: nn.Module | None, scale: float, norm: nn.Module | None, dropout: float
    ) -> None:
        super().__init__()
        self.weight, self.positions, self.scale, self.norm, self.dropout = weight, positions, scale, norm, dropout

    def forward(self, ids_BT: Tensor, position_BT: Tensor) -> Tensor:
        """Vectors [B, T, D] of ids [B, T] at positions [B or 1, T]."""
        x_BTD = functional.embedding(ids_BT, self.weight)
        if self.scale != 1.0:
            x_BTD = x_BTD * self.scale
        if self.positions is not None:
            x_BTD = x_BTD + self.positions(position_BT)
        if self.norm is not None:
            x_BTD = self.norm(x_BTD)
        return dropout(x_BTD.to(working_dtype(x_BTD)), self.dropout, self.training)


def embedding_weight(size: int, d_model: int) -> nn.Parameter:
    """A table [V, D] of normal numbers with variance 1/D, so that scaled vectors and tied logits have variance 1."""
    return nn.Parameter(torch.randn(size, d_model) * d_model**-0.5)
