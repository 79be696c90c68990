from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import ConfigError, DataError
from isthmus.data.corpora import Corpus, chosen, copies, joined
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs
from isthmus.data.split import hold_out
from tests.unit.data.toy import corpus

Index = npt.NDArray[np.int64]


def seen(weight: float, epoch: int, count: int = 1009) -> Index:
    """How often each example is seen."""
    times = np.zeros(count, dtype=np.int64)
    for copy in range(copies(weight)):
        times += chosen(np.arange(count), copy, weight, 5, epoch)
    return times


@given(st.integers(1, 12), st.integers(1, 7), st.integers(0, 50))
def test_whole_turns_show_every_example_equally_often(numerator: int, denominator: int, first: int) -> None:
    share = Fraction(numerator, denominator)
    total = np.sum([seen(float(share), first + epoch) for epoch in range(share.denominator)], axis=0)
    assert (total == share.numerator).all()


def test_half_a_corpus_is_another_half_in_the_next_epoch() -> None:
    first, second = seen(0.5, 0), seen(0.5, 1)
    assert (first + second == 1).all()
    assert abs(first.mean() - 0.5) < 0.05
    assert (seen(0.5, 2) == first).all()


def test_weights_above_one_repeat() -> None:
    assert (seen(2.0, 3) == 2).all()
    assert set(seen(2.5, 3).tolist()) == {2, 3}


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_a_wrong_weight_is_an_error(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight of a corpus"):
        Corpus(Pairs(Path("a")), weight)


def test_a_part_of_a_corpus(tmp_path: Path) -> None:
    whole = corpus(tmp_path / "a.tsv", 211)
    part = hold_out(whole.examples(), 17, 0.5)
    held = list(Corpus(whole.pairs, 1.0, part).examples())
    rest = list(Corpus(whole.pairs, 1.0, part.rest).examples())
    assert len(held) == 17
    assert sorted([*held, *rest], key=repr) == sorted(whole.examples(), key=repr)


def test_pairs_in_a_row_become_one_in_turn() -> None:
    pairs = [Example((f"s{n}", f"x{n}"), f"t{n}", "en", "fr", ("before",), weight=float(n + 1)) for n in range(8)]
    found = list(joined(pairs, 3))
    assert [one.sources for one in found] == [
        ("s0", "x0"),
        ("s1 s2", "x1 x2"),
        ("s3 s4 s5", "x3 x4 x5"),
        ("s6", "x6"),
        ("s7", "x7"),
    ]
    assert [one.target for one in found] == ["t0", "t1 t2", "t3 t4 t5", "t6", "t7"]
    assert [one.weight for one in found] == [1.0, 2.5, 5.0, 7.0, 8.0]
    assert {(one.source_language, one.target_language) for one in found} == {("en", "fr")}
    assert list(joined(pairs, 1)) == pairs
    assert list(joined([], 3)) == []


def test_pairs_with_other_numbers_of_sources_are_not_joined() -> None:
    pairs = [Example(("a",), "x"), Example(("b",), "y"), Example(("c", "d"), "z")]
    with pytest.raises(DataError, match=r"equally many sources[\s\S]*expected: 1[\s\S]*got: 2"):
        list(joined(pairs, 2))


def test_what_is_held_out_is_in_no_joined_pair(tmp_path: Path) -> None:
    whole = corpus(tmp_path / "a.tsv", 101)
    part = hold_out(whole.examples(), 17, 0.5)
    single = {one.source for one in Corpus(whole.pairs, part=part).examples()}
    rest = " ".join(one.source for one in Corpus(whole.pairs, part=part.rest, join=3).examples())
    assert " ".join(one.source for one in Corpus(whole.pairs, part=part.rest).examples()) == rest
    assert not any(source in rest.split(" ") for source in single if " " not in source)


@pytest.mark.parametrize(("join", "history"), [(0, 0), (-1, 0), (2, 1)])
def test_a_wrong_join_is_an_error(join: int, history: int) -> None:
    with pytest.raises(ConfigError, match=f"join = {join}, history = {history}"):
        Corpus(Pairs(Path("a")), history=history, join=join)
