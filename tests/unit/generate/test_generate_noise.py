"""Random numbers: uniform, independent, and a function of (request, sample, position) alone."""

from __future__ import annotations

import numpy as np
import torch

from isthmus.generate.noise import request_seed, uniform


def grid(seeds: int, samples: int, positions: int) -> torch.Tensor:
    """Numbers [seeds, samples, positions]."""
    parts = torch.meshgrid(torch.arange(seeds), torch.arange(samples), torch.arange(positions), indexing="ij")
    return uniform(*(part.flatten() for part in parts)).reshape(seeds, samples, positions)


def test_numbers_are_uniform() -> None:
    counts, _ = np.histogram(grid(47, 43, 53).flatten().numpy(), bins=100, range=(0, 1))
    expected = counts.sum() / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 52 < chi_square < 161  # 99 degrees of freedom: 1 in 20,000 on either side


def test_neighbouring_arguments_give_independent_numbers() -> None:
    numbers = grid(47, 43, 53) - 0.5
    for one, other in [
        (numbers[1:], numbers[:-1]),
        (numbers[:, 1:], numbers[:, :-1]),
        (numbers[..., 1:], numbers[..., :-1]),
    ]:
        correlation = float((one * other).mean() * 12)
        assert abs(correlation) < 4.5 / one.numel() ** 0.5


def test_a_number_does_not_depend_on_its_neighbours() -> None:
    seeds, samples, positions = torch.tensor([2**62, 5, 0]), torch.tensor([0, 1, 2]), torch.tensor([7, 0, 3])
    together = uniform(seeds, samples, positions)
    for row in range(3):
        assert uniform(seeds[row : row + 1], samples[row : row + 1], positions[row : row + 1]) == together[row]
    assert len(set(together.tolist())) == 3
    assert uniform(torch.tensor([5]), torch.tensor([1]), torch.tensor([0])) != uniform(
        torch.tensor([1]), torch.tensor([5]), torch.tensor([0])
    )


def test_a_request_s_seed_comes_from_the_user_s_and_the_source() -> None:
    assert request_seed(7, [5, 6]) == request_seed(7, (5, 6))
    seeds = {request_seed(seed, source) for seed in (0, 7, 2**63) for source in ([], [5], [5, 6], [6, 5])}
    assert len(seeds) == 8  # 2**63 counts as 0
    assert all(0 <= seed < 2**63 for seed in seeds)
