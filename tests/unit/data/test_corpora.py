from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import ConfigError
from isthmus.data.corpora import Corpus, chosen, copies
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
