"""A training batch.

B batch, S source, T target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.core.padded import PAD, Padded
from isthmus.data.cache import Block
from isthmus.data.ragged import Ragged

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of similar length, ready for the model.

    Attributes:
        source: ids of the sources, with EOS.
        target_in: the start and the target without its end: what the decoder reads.
        target: the target with EOS: what the decoder should say. Same shape and lengths as `target_in`.
        weight_B: float32, how much each example counts.
        index_B: int64, the number of each example in the encoded corpora.
    """

    source: Padded
    target_in: Padded
    target: Padded
    weight_B: Tensor
    index_B: Tensor


def real_share(batches: Iterable[Batch]) -> float:
    """The share of the positions of some batches, one or more, both sides together, that are not padding."""
    real = positions = 0
    for batch in batches:
        for side in (batch.source, batch.target):
            real += int(side.lengths_B.sum())
            positions += side.ids_BT.numel()
    return real / positions


def collate(block: Block, rows: Index, index: Index, start: int) -> Batch:
    """Stack some rows of a block into a batch.

    Args:
        block: ids and weights in memory.
        rows: which rows of it [B].
        index: the numbers of these examples in the encoded corpora [B].
        start: the id that the decoder reads first.
    """
    target_BT, lengths_B = _tensors(block.target, rows)
    target_in_BT = torch.full_like(target_BT, start)
    target_in_BT[:, 1:] = target_BT[:, :-1]
    outside_BT = torch.arange(target_BT.shape[1])[None, :] >= lengths_B[:, None]
    return Batch(
        source=Padded(*_tensors(block.source, rows)),
        target_in=Padded(target_in_BT.masked_fill_(outside_BT, PAD), lengths_B),
        target=Padded(target_BT, lengths_B),
        weight_B=torch.from_numpy(block.weight[rows]),
        index_B=torch.from_numpy(index),
    )


def _tensors(ids: Ragged, rows: Index) -> tuple[Tensor, Tensor]:
    padded, lengths = ids.padded(rows)
    return torch.from_numpy(padded), torch.from_numpy(lengths)
