"""Where a state stands: added to embeddings (sinusoidal, learned) or rotated into queries and keys (rotary).

B batch, T position, D model, H heads, K key size.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Waves = Literal["even", "inclusive"]


def sinusoids(position_P: Tensor, size: int, waves: Waves = "even") -> Tensor:
    """PE[p, i] = sin(p / 10000^(2i/D)) in the first half, cos in the second [P, size] (Vaswani et al. 2017, section 3.5).

    The paper interleaves sine and cosine; the halves are a fixed permutation of the same numbers (as in Marian and fairseq).
    `inclusive` waves are 10000^(i/(D/2-1)), so that the slowest is exactly 10000 (tensor2tensor, fairseq, M2M100). Positions may be
    negative: then they are distances.
    """
    half = size // 2
    steps = max(1, half if waves == "even" else half - 1)
    step_F = torch.arange(half, dtype=torch.float64, device=position_P.device)
    angle_PF = position_P.double()[:, None] * torch.exp(step_F * (-math.log(10000.0) / steps))
    waves_PD = torch.cat([angle_PF.sin(), angle_PF.cos()], dim=1).float()
    return waves_PD if size % 2 == 0 else nn.functional.pad(waves_PD, (0, 1))


def sinusoid_table(positions: int, size: int, waves: Waves = "even") -> Tensor:
    """The waves of positions 0, 1, ... [positions, size]."""
    return sinusoids(torch.arange(positions), size, waves)


class Sinusoidal(nn.Module):
    """Fixed sine and cosine waves, one vector a position (Vaswani et al. 2017, section 3.5).

    Args:
        positions: how many positions there are.
        size: size of a vector.
        offset: the table row of position 0.
        waves: how their lengths are spread (see `sinusoid_table`).
    """

    def __init__(self, positions: int, size: int, offset: int = 0, waves: Waves = "even") -> None:
        super().__init__()
        self.offset = offset
        self.table: Tensor
        self.register_buffer("table", sinusoid_table(positions + offset, size, waves), persistent=False)

    def forward(self, position_BT: Tensor) -> Tensor:
        """Vectors [B, T, D] of the positions."""
        return self.table[position_BT + self.offset]


class Learned(nn.Module):
    """A trained vector a position (Gehring et al. 2017, section 3.1).

    Args:
        positions: how many positions there are.
        size: size of a vector.
        offset: the table row of position 0 (BART has 2).
    """

    def __init__(self, positions: int, size: int, offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        self.weight = nn.Parameter(torch.randn(positions + offset, size) * size**-0.5)

    def forward(self, position_BT: Tensor) -> Tensor:
        """Vectors [B, T, D] of the positions."""
        return nn.functional.embedding(position_BT + self.offset, self.weight)


class Rotary(nn.Module):
    """Rotates pairs of query and key features by an angle that grows with the position (Su et al. 2021, section 3.2).

    Args:
        positions: how many positions there are.
        head_size: size K of a head; even.
        base: the slowest wave has the length 2π·base.
    """

    def __init__(self, positions: int, head_size: int, base: float = 10000.0) -> None:
        super().__init__()
        half = head_size // 2
        frequency = base ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(positions, dtype=torch.float64)[:, None] * frequency
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)

    def forward(self, x_BHTK: Tensor, position_BT: Tensor) -> Tensor:
        """Rotated queries or keys; q·k then depends on the difference of their positions only."""
        cosine, sine = self.cosine[position_BT][:, None], self.sine[position_BT][:, None]
        first, second = x_BHTK.chunk(2, dim=-1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x_BHTK.dtype)
