"""Outputs from a given list only: names of intents, codes, the titles of a catalogue.

De Cao et al. 2021, Autoregressive Entity Retrieval, section 3.2 (constrained beam search over a prefix tree).
N live sentences, K live beams, V vocabulary, T pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.generate.choose import NEVER
from isthmus.generate.state import SearchState


@dataclass(frozen=True, slots=True)
class Allowed:
    """A chooser that leaves what continues one of the allowed outputs.

    Attributes:
        after: the prefix tree: for each beginning of an allowed output, the ids that may follow.
    """

    after: Mapping[tuple[int, ...], tuple[int, ...]]

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, outputs: tuple[tuple[int, ...], ...], end: int) -> Allowed:
        """The prefix tree of some outputs; of the same ones it is made once.

        Args:
            outputs: their ids, without the end.
            end: the id that ends an output.

        Raises:
            InputError: there are none.
        """
        after: dict[tuple[int, ...], set[int]] = {}
        for output in outputs:
            ids = (*output, end)
            for place, id in enumerate(ids):
                after.setdefault(ids[:place], set()).add(id)
        if not after:
            raise InputError(
                "there must be something to choose from",
                expected="at least one allowed output",
                got="none",
                where="allowed_outputs",
                fix="list the outputs, or leave the option out",
            )
        return cls({beginning: tuple(sorted(ids)) for beginning, ids in after.items()})

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Tensor:
        """The scores of what may follow each beam, and -inf for all else."""
        rows: list[int] = []
        ids: list[int] = []
        (_, beams, size), lengths = state.beams.ids_NKT.shape, state.length_N.tolist()
        for sentence, several in enumerate(state.beams.ids_NKT.tolist()):
            for beam, produced in enumerate(several):
                follow = self.after.get(tuple(produced[size - lengths[sentence] :]), ())
                rows += [sentence * beams + beam] * len(follow)
                ids += follow
        may_BV = torch.zeros(len(lengths) * beams, scores_NKV.shape[2], dtype=torch.bool)
        may_BV[rows, ids] = True
        return scores_NKV.masked_fill(~may_BV.to(scores_NKV.device).view_as(scores_NKV), NEVER)
