"""Phrases that must appear: what is met, what is missing, what comes next, against plain lists."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.generate.phrases import begun, met, missing, padded, wanted

IDS = st.lists(st.integers(4, 6), max_size=6)
PHRASE = st.lists(st.integers(4, 6), min_size=1, max_size=3)
CONSTRAINTS = st.lists(st.lists(st.lists(PHRASE, min_size=1, max_size=2), max_size=2), min_size=2, max_size=2)


def stands_in(phrase: list[int], ids: list[int]) -> bool:
    return any(ids[first : first + len(phrase)] == phrase for first in range(len(ids)))


def started(phrase: list[int], ids: list[int]) -> int:
    return max(count for count in range(len(phrase)) if count == 0 or ids[-count:] == phrase[:count])


@given(rows=st.lists(IDS, min_size=2, max_size=2), constraints=CONSTRAINTS)
def test_all_is_as_with_plain_lists(rows: list[list[int]], constraints: list[list[list[list[int]]]]) -> None:
    width = max(map(len, rows))
    ids_NCT = torch.tensor([[[5] * (width - len(ids)) + ids] for ids in rows], dtype=torch.int64)
    length_N = torch.tensor([len(ids) for ids in rows])
    phrases_NQAL = padded(constraints)
    met_NCQ, missing_NC = met(ids_NCT, length_N, phrases_NQAL), missing(ids_NCT, length_N, phrases_NQAL)
    wanted_NKV, begun_NCQA = wanted(ids_NCT, length_N, phrases_NQAL, 7), begun(ids_NCT, length_N, phrases_NQAL)
    for row, (ids, several) in enumerate(zip(rows, constraints, strict=True)):
        done = [any(stands_in(phrase, ids) for phrase in one) for one in several]
        assert met_NCQ[row, 0, : len(several)].tolist() == done
        assert bool(met_NCQ[row, 0, len(several) :].all())
        open_ones = [one for one, is_met in zip(several, done, strict=True) if not is_met]
        shortest = [min(map(len, one)) for one in open_ones]
        left = [min(len(phrase) - started(phrase, ids) for phrase in one) for one in open_ones]
        farthest = max((a - b for a, b in zip(shortest, left, strict=True)), default=0)
        assert int(missing_NC[row, 0]) == sum(shortest) - farthest
        following = {phrase[started(phrase, ids)] for one in open_ones for phrase in one}
        assert set(wanted_NKV[row, 0].nonzero().flatten().tolist()) == following
        for place, one in enumerate(several):
            assert begun_NCQA[row, 0, place, : len(one)].tolist() == [started(phrase, ids) for phrase in one]


@given(ids=IDS, constraints=CONSTRAINTS)
def test_one_wanted_piece_always_brings_the_end_nearer(
    ids: list[int], constraints: list[list[list[list[int]]]]
) -> None:
    phrases_NQAL = padded(constraints)
    ids_NCT = torch.tensor([[ids], [ids]], dtype=torch.int64).reshape(2, 1, len(ids))
    length_N = torch.tensor([len(ids)] * 2)
    before_NC = missing(ids_NCT, length_N, phrases_NQAL)
    wanted_NKV = wanted(ids_NCT, length_N, phrases_NQAL, 7)
    for row in range(2):
        following = wanted_NKV[row, 0].nonzero().flatten()
        assert bool(following.numel()) == bool(before_NC[row, 0] > 0)
        longer = [missing(torch.cat([ids_NCT, id.expand(2, 1, 1)], -1), length_N + 1, phrases_NQAL) for id in following]
        if longer:
            assert min(int(after_NC[row, 0]) for after_NC in longer) < int(before_NC[row, 0])
