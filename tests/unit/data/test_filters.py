from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.example import Example
from isthmus.data.filters import FilterConfig, Filters
from isthmus.data.hashes import Seen, mix, text_hash, text_hashes

PAIRS = [("a", "b"), ("", "b"), ("a", " "), ("same", "same"), ("a", "b"), ("x" * 13, "y"), ("a", "c")]


@pytest.mark.parametrize(
    ("config", "kept", "removed"),
    [
        (FilterConfig(empty=False), [0, 1, 2, 3, 4, 5, 6], {}),
        (FilterConfig(), [0, 3, 4, 5, 6], {"empty": 2}),
        (FilterConfig(identical=True), [0, 4, 5, 6], {"empty": 2, "identical": 1}),
        (FilterConfig(duplicates=True), [0, 3, 5, 6], {"empty": 2, "duplicates": 1}),
        (FilterConfig(max_characters=12), [0, 3, 4, 6], {"empty": 2, "max_characters": 1}),
        (FilterConfig(max_characters=13), [0, 3, 4, 5, 6], {"empty": 2}),
        (FilterConfig(max_ratio=12.5), [0, 3, 4, 6], {"empty": 2, "max_ratio": 1}),
        (FilterConfig(max_ratio=13.0), [0, 3, 4, 5, 6], {"empty": 2}),
    ],
)
def test_each_filter_removes_what_it_names(config: FilterConfig, kept: list[int], removed: dict[str, int]) -> None:
    examples = [Example((source,), target) for source, target in PAIRS]
    filters = Filters(config)
    assert list(filters.keep(examples)) == [examples[number] for number in kept]
    assert {name: count for name, count in filters.removed.items() if count} == removed


def test_duplicates_are_remembered_from_corpus_to_corpus() -> None:
    filters = Filters(FilterConfig(duplicates=True))
    assert len(list(filters.keep([Example(("a",), "b"), Example(("a", "b"), "")]))) == 1
    assert not list(filters.keep([Example(("a",), "b")]))


@given(st.lists(st.lists(st.integers(0, 40), max_size=23), max_size=11))
def test_seen_is_a_set(batches: list[list[int]]) -> None:
    seen, naive = Seen(), set[int]()
    for batch in batches:
        expected = []
        for value in batch:
            expected.append(value not in naive)
            naive.add(value)
        assert seen.add(np.array(batch, dtype=np.uint64)).tolist() == expected
        assert len(seen) == len(naive)
    assert seen.holds(np.arange(50, dtype=np.uint64)).tolist() == [value in naive for value in range(50)]


def test_many_small_additions_stay_few_runs() -> None:
    seen = Seen()
    for number in range(1009):
        assert seen.add(np.array([number], dtype=np.uint64)).all()
    assert len(seen) == 1009
    assert len(seen._runs) <= 10


def test_hashes_do_not_change() -> None:
    assert text_hash("a", "b") == 11797832347080049151
    assert text_hashes([("a", "b"), ("é",)]).tolist() == [text_hash("a", "b"), text_hash("é")]
    assert text_hash("ab", "") != text_hash("a", "b")
    assert mix([0, 1], 2, 3).tolist() == [int(mix(0, 2, 3)), int(mix(1, 2, 3))]


def test_mixed_numbers_look_random() -> None:
    values = mix(np.arange(10_007), 5)
    assert len(np.unique(values)) == 10_007
    assert abs((values >> np.uint64(63)).mean() - 0.5) < 0.02
    assert abs((values & np.uint64(1)).mean() - 0.5) < 0.02
    assert not (mix(np.arange(100), 5) == mix(np.arange(100), 6)).any()
    assert not (mix(np.arange(100), 5, 6) == mix(np.arange(100), 6, 5)).any()
