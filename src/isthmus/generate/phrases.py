"""Phrases that must appear in an output, and how far an output has come with them.

A constraint is met when one of its alternatives, a phrase of one piece or more, stands somewhere in the output.
N sentences, C outputs in the making of each, T pieces, Q constraints, A alternatives, L pieces of a phrase, V vocabulary.
Phrases are padded with -1: a phrase of padding alone does not exist, a constraint without phrases is met.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

Constraint = Sequence[Sequence[int]]
"""Alternatives, of which one must appear."""

_OUTSIDE = -2  # a place outside the output: equal to no piece


def padded(constraints: Sequence[Sequence[Constraint]]) -> Tensor:
    """The constraints of each sentence as one tensor; int64 [N, Q, A, L]."""
    phrases = [phrase for one in constraints for alternatives in one for phrase in alternatives]
    most = max((len(one) for one in constraints), default=0)
    alternatives = max((len(several) for one in constraints for several in one), default=0)
    phrases_NQAL = torch.full((len(constraints), most, alternatives, max(map(len, phrases), default=0)), -1)
    for sentence, one in enumerate(constraints):
        for constraint, several in enumerate(one):
            for alternative, phrase in enumerate(several):
                phrases_NQAL[sentence, constraint, alternative, : len(phrase)] = torch.tensor(phrase)
    return phrases_NQAL


def met(ids_NCT: Tensor, length_N: Tensor, phrases_NQAL: Tensor) -> Tensor:
    """Which constraints are met by the last `length` pieces; bool [N, C, Q]."""
    length_L = phrases_NQAL.shape[-1]
    if phrases_NQAL.numel() == 0:
        return torch.ones((*ids_NCT.shape[:2], phrases_NQAL.shape[1]), dtype=torch.bool, device=ids_NCT.device)
    exists_NQA = (phrases_NQAL >= 0).any(dim=-1)
    windows_NCTL = pad(_inside(ids_NCT, length_N), (0, length_L), value=_OUTSIDE).unfold(2, length_L, 1)
    same_NCTQAL = windows_NCTL[:, :, :, None, None] == phrases_NQAL[:, None, None]
    here_NCTQA = (same_NCTQAL | (phrases_NQAL < 0)[:, None, None]).all(dim=-1)
    appears_NCQA = here_NCTQA.any(dim=2) & exists_NQA.unsqueeze(1)
    return appears_NCQA.any(dim=-1) | ~exists_NQA.any(dim=-1).unsqueeze(1)


def begun(ids_NCT: Tensor, length_N: Tensor, phrases_NQAL: Tensor) -> Tensor:
    """With how many pieces of each phrase an output ends, at most all but one; int64 [N, C, Q, A]."""
    ids_NCT = _inside(ids_NCT, length_N)
    length_NQA = (phrases_NQAL >= 0).sum(dim=-1)
    begun_NCQA = torch.zeros((*ids_NCT.shape[:2], *length_NQA.shape[1:]), dtype=torch.int64, device=ids_NCT.device)
    for count in range(1, min(ids_NCT.shape[2], phrases_NQAL.shape[-1] - 1) + 1):
        last_NCL = ids_NCT[:, :, -count:]
        same_NCQA = (last_NCL[:, :, None, None] == phrases_NQAL[:, None, ..., :count]).all(dim=-1)
        begun_NCQA = begun_NCQA.masked_fill(same_NCQA & (length_NQA > count).unsqueeze(1), count)
    return begun_NCQA


def missing(ids_NCT: Tensor, length_N: Tensor, phrases_NQAL: Tensor) -> Tensor:
    """How many pieces an output still lacks; int64 [N, C].

    The shortest phrase of each constraint that is not met, less what has been begun of one of them: of that which has
    come farthest, since two phrases begun at once cannot both be counted on. One wanted piece always brings it down.
    """
    if phrases_NQAL.numel() == 0:
        return torch.zeros(ids_NCT.shape[:2], dtype=torch.int64, device=ids_NCT.device)
    length_NQA = (phrases_NQAL >= 0).sum(dim=-1)
    far = phrases_NQAL.shape[-1] + 1
    length_NQA = length_NQA.masked_fill(length_NQA == 0, far)
    met_NCQ = met(ids_NCT, length_N, phrases_NQAL)
    whole_NCQ = length_NQA.amin(dim=-1).unsqueeze(1).masked_fill(met_NCQ, 0)
    left_NCQ = (length_NQA.unsqueeze(1) - begun(ids_NCT, length_N, phrases_NQAL)).amin(dim=-1).masked_fill(met_NCQ, 0)
    return whole_NCQ.sum(dim=-1) - (whole_NCQ - left_NCQ).amax(dim=-1)


def wanted(ids_NKT: Tensor, length_N: Tensor, phrases_NQAL: Tensor, size: int) -> Tensor:
    """Which pieces would bring a phrase of an unmet constraint nearer to its end; bool [N, K, V].

    Args:
        ids_NKT: the outputs in the making.
        length_N: how many of their last pieces count.
        phrases_NQAL: the constraints.
        size: of the vocabulary.
    """
    wanted_NKV = torch.zeros((*ids_NKT.shape[:2], size + 1), dtype=torch.bool, device=ids_NKT.device)
    if phrases_NQAL.numel() == 0:
        return wanted_NKV[..., :size]
    next_NKQA = phrases_NQAL.unsqueeze(1).expand(-1, ids_NKT.shape[1], -1, -1, -1)
    next_NKQA = next_NKQA.gather(-1, begun(ids_NKT, length_N, phrases_NQAL).unsqueeze(-1)).squeeze(-1)
    next_NKQA = next_NKQA.masked_fill(met(ids_NKT, length_N, phrases_NQAL).unsqueeze(-1), -1)
    wanted_NKV.scatter_(2, next_NKQA.masked_fill(next_NKQA < 0, size).flatten(2), True)
    return wanted_NKV[..., :size].clone()


def _inside(ids_NCT: Tensor, length_N: Tensor) -> Tensor:
    """The ids with what stands before the output replaced by something that is no piece."""
    place_T = torch.arange(ids_NCT.shape[2], device=ids_NCT.device)
    before_NT = place_T < ids_NCT.shape[2] - length_N.unsqueeze(1)
    return ids_NCT.masked_fill(before_NT.unsqueeze(1), _OUTSIDE)
