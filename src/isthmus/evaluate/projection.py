"""Vectors that a person can look at: in two dimensions, and by how alike they are.

S position, D model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Plane:
    """Vectors on a plane.

    Attributes:
        points_S2: where each lies, along the two directions in which they differ most.
        shares: how much of their variance each of the two directions holds.
    """

    points_S2: Tensor
    shares: tuple[float, float]


def plane(vectors_SD: Tensor) -> Plane:
    """Principal components (Pearson 1901): the two directions in which vectors differ most.

    The larger end of each direction points to the vector that lies farthest out, so that the picture is always the same one.

    Args:
        vectors_SD: at least one.
    """
    centred_SD = vectors_SD.double() - vectors_SD.double().mean(dim=0)
    left_SR, size_R, _ = torch.linalg.svd(centred_SD, full_matrices=False)
    points_SR = left_SR * size_R
    far_R = points_SR.abs().argmax(dim=0, keepdim=True)
    points_SR = points_SR * torch.where(points_SR.gather(0, far_R) < 0, -1.0, 1.0)
    points_S2 = torch.zeros((vectors_SD.shape[0], 2), dtype=torch.float64)
    points_S2[:, : points_SR.shape[1]] = points_SR[:, :2]
    variance_R = size_R**2
    total = float(variance_R.sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in variance_R[:2]]
    first, second = (*shares, 0.0, 0.0)[:2]
    return Plane(points_S2, (first, second))


def cosines(vectors_SD: Tensor) -> Tensor:
    """The cosine of the angle between every two vectors, [S, S]; 0 where one of them is 0."""
    unit_SD = torch.nn.functional.normalize(vectors_SD.double(), dim=1)
    return unit_SD @ unit_SD.T
