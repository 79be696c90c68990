"""What a recurrent decoder knows before its first token.

B row, P vector, D model.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import projection

FirstStateKind = Literal["summary", "learned", "random", "zero"]

SPREAD = 0.1


class FirstStateConfig(Config):
    """Configuration of the first state.

    Attributes:
        kind: from the encoder's `summary`, a `learned` vector, `random` numbers that stay, or `zero`.
        seed: what random numbers are drawn from.
    """

    kind: FirstStateKind = "summary"
    seed: int = Field(default=1, ge=0)


class FirstState(nn.Module):
    """The vectors that a decoder begins with, for each row of a memory.

    `summary` is tanh(W c) (Cho et al. 2014, section 2.2; Bahdanau et al. 2015, appendix A.2.2); random numbers are normal, with a
    deviation of 0.1, the same in every row.

    Args:
        kind: where they come from.
        vectors: how many.
        sizes: the size of a vector, and of the summary.
        seed: what random numbers are drawn from.
    """

    def __init__(self, kind: FirstStateKind, vectors: int, sizes: Sizes, seed: int = 1) -> None:
        super().__init__()
        self.kind, self.vectors, self.d_model = kind, vectors, sizes.d_model
        self.from_summary = projection(sizes.d_memory, vectors * sizes.d_model, True) if kind == "summary" else None
        self.learned = nn.Parameter(torch.zeros(vectors, sizes.d_model)) if kind == "learned" else None
        fixed_PD = torch.zeros(vectors, sizes.d_model)
        if kind == "random":
            fixed_PD.normal_(0.0, SPREAD, generator=torch.Generator().manual_seed(seed))
        self.fixed: Tensor
        self.register_buffer("fixed", fixed_PD, persistent=False)

    def forward(self, memory: Memory) -> tuple[Tensor, ...]:
        """The vectors [B, D].

        Raises:
            ConfigError: they come from a summary, and the encoder made none.
        """
        if self.from_summary is not None:
            if memory.summary_BD is None:
                raise no_summary("a memory without one")
            first_BPD = self.from_summary(memory.summary_BD).tanh().view(-1, self.vectors, self.d_model)
            return tuple(first_BPD.unbind(dim=1))
        same_PD = self.fixed if self.learned is None else self.learned
        return tuple(vector_D.expand(memory.mask_BS.shape[0], -1) for vector_D in same_PD)


def no_summary(got: str) -> ConfigError:
    """The error where a first state needs a summary that is not there."""
    return ConfigError(
        "the decoder's first state comes from a summary",
        expected="an encoder with a summary",
        got=got,
        where="model.encoder.summary",
        fix='set model.encoder.summary, or model.decoder.first_state.kind to "learned", "random" or "zero"',
    )
