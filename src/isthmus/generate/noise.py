"""Random numbers that are a function of (request, sample, position), so that a neighbour in a batch changes nothing.

The generator is a counter run through the finaliser of SplitMix64 (Steele, Lea and Flood 2014, Fast Splittable
Pseudorandom Number Generators, section 5), once for each of the three numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def request_seed(seed: int, source: Sequence[int]) -> int:
    """The seed of one request, in 63 bits: from the user's seed and the source, so that different texts draw differently.

    The same text with the same seed draws the same, alone or in any batch.
    """
    data = np.array([seed % 2**63, *source], dtype="<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 1


def uniform(seed_N: Tensor, sample_N: Tensor, position_N: Tensor) -> Tensor:
    """One number in (0, 1) for each triple, float64; the arguments are int64, broadcast against each other."""
    state = np.zeros(seed_N.shape, dtype=np.uint64)
    for part in (seed_N, sample_N, position_N):
        state = _scramble(state ^ part.cpu().numpy().astype(np.uint64))
    # 52 bits in the middle of their interval: neither 0 nor 1 can come out, nor can rounding make them.
    return torch.from_numpy(((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52).to(seed_N.device)


def _scramble(value: np.ndarray) -> np.ndarray:
    value = value + _GAMMA
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return np.asarray(value ^ (value >> np.uint64(31)))
