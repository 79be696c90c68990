"""Vectors on a plane, and how alike they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.evaluate.projection import cosines, plane


def test_the_plane_holds_the_most_variance() -> None:
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(11, 5, generator=generator) * torch.tensor([1.0, 7.0, 0.5, 3.0, 0.1]) + 4
    flat = plane(vectors)
    values = np.linalg.eigvalsh(np.cov(vectors.double().numpy().T))[::-1]
    np.testing.assert_allclose(flat.shares, values[:2] / values.sum(), rtol=1e-6)
    np.testing.assert_allclose(flat.points_S2.var(dim=0).numpy(), values[:2], rtol=1e-6)
    assert all(column[column.abs().argmax()] > 0 for column in flat.points_S2.T)


def test_what_lies_on_a_plane_keeps_its_distances() -> None:
    generator = torch.Generator().manual_seed(5)
    vectors = torch.randn(7, 2, generator=generator) @ torch.randn(2, 13, generator=generator)
    flat = plane(vectors)
    torch.testing.assert_close(
        torch.cdist(flat.points_S2, flat.points_S2), torch.cdist(vectors, vectors).double(), rtol=1e-4, atol=1e-4
    )
    assert sum(flat.shares) == pytest.approx(1)


@pytest.mark.parametrize("vectors", [torch.ones(1, 3), torch.ones(4, 3), torch.ones(2, 1)])
def test_vectors_that_do_not_differ_lie_on_one_point(vectors: torch.Tensor) -> None:
    flat = plane(vectors)
    assert flat.points_S2.shape == (vectors.shape[0], 2)
    assert flat.points_S2.abs().max() == 0
    assert flat.shares == (0.0, 0.0)


def test_cosines_are_those_of_the_angles() -> None:
    found = cosines(torch.tensor([[1.0, 0.0], [3.0, 3.0], [-2.0, 0.0], [0.0, 0.0]]))
    half = 0.5**0.5
    expected = [[1, half, -1, 0], [half, 1, -half, 0], [-1, -half, 1, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
