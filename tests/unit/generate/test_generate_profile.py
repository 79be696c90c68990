"""What the targets of training look like, measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.config import parse
from isthmus.core.errors import ConfigError
from isthmus.generate.profile import Pair, Profile, is_copy, repeated


def naive_repeated(ids: Sequence[int]) -> int:
    """Every stretch that is a unit three times or more, one after the other."""
    found = 0
    for start in range(len(ids)):
        for stop in range(start + 1, len(ids) + 1):
            for unit in range(1, (stop - start) // 3 + 1):
                stretch = ids[start:stop]
                if all(stretch[place] == stretch[place - unit] for place in range(unit, len(stretch))):
                    found = max(found, len(stretch) - unit)
    return found


@given(st.lists(st.integers(0, 2), max_size=14))
def test_repeated_is_its_definition(ids: list[int]) -> None:
    assert repeated(ids) == naive_repeated(ids)


def pair(source: int, target: int, text: str = "mot") -> Pair:
    return Pair(range(source), range(target), "word", text)


def test_what_is_measured() -> None:
    loops = Pair(range(4), [1, 2, 1, 2, 1, 2, 3, 4, 1, 2, 1, 2], "a b c", "A, b: c!")
    profile = Profile.of([pair(3, 6), pair(3, 6, "слово"), pair(3, 6, ""), loops])
    assert profile.scripts == ("CYRILLIC", "LATIN")
    assert (profile.repeated, profile.ngram) == (4, 5)
    assert (profile.copies, profile.empty) == (0.25, 0.25)
    assert [(one.up_to, one.low, round(one.high, 2)) for one in profile.lengths] == [(4, 2.0, 3.0)]


def test_usual_lengths_go_with_the_length_of_the_source() -> None:
    short, long = [pair(2, 4) for _ in range(200)], [pair(50, 25) for _ in range(200)]
    profile = Profile.of([*long, *short])
    assert [one.up_to for one in profile.lengths] == [2, 50]
    assert profile.usual_length(2) == (2, 11)
    assert profile.usual_length(3) == profile.usual_length(3)
    assert profile.usual_length(50) == (12, 43)
    assert profile.usual_length(100) == (25, 80)
    assert Profile().usual_length(9) == (0, math.inf)


def test_rare_things_are_not_usual() -> None:
    many = [Pair(range(3), range(6), "word", "mot" * 40) for _ in range(3000)]
    odd = Pair([1], [7] * 90, "word", "λ")
    profile = Profile.of([*many, odd])
    assert (profile.scripts, profile.repeated, profile.ngram) == (("LATIN",), 0, 3)
    assert profile.usual_length(3)[1] < 30


def test_a_copy_is_a_copy_in_spite_of_signs_and_case() -> None:
    assert is_copy("I love this beer.", "i love  this beer")
    assert not is_copy("I love this beer.", "J'adore cette bière.")
    assert not is_copy("Tom Hill", "Tom Hill")
    assert not is_copy("Tom Jackson, Boston 1999.", "Tom Jackson, Boston 1999.")
    assert not is_copy("1 2 3 !", "")


def test_a_profile_is_plain_values_and_back() -> None:
    profile = Profile.of([pair(3, n) for n in range(1, 9)])
    assert parse(Profile, profile.model_dump(mode="json"), "here") == profile
    assert Profile.of([]) == parse(Profile, {}, "here") == Profile()
    with pytest.raises(ConfigError, match="did you mean `scripts`"):
        parse(Profile, {"script": []}, "here")
