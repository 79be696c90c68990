"""Metrics of diversity: values worked out by hand, formulas written again, and laws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from isthmus.core.errors import InputError
from isthmus.text.metrics import DIVERSITY, diversity

SETS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "été", "春"]), max_size=6).map(" ".join), min_size=2, max_size=5
)

HAND: list[tuple[str, list[list[str]], float]] = [
    ("distinct-1", [["a b", "a c"]], 75.0),
    ("distinct-2", [["a b a b", "a b"]], 50.0),  # ab ba ab | ab
    ("distinct-2", [["a", "b"]], 0.0),  # no bigram
    ("distinct-3", [["A b c", "a b c!"]], 50.0),
    ("distinct-1", [["a b", "a c"], ["a a", "a a"]], 100 * (3 + 1) / 8),
    ("distinct-1", [["春眠春眠"]], 50.0),
    ("distinct-1", [[""]], 0.0),
    ("entropy-1", [["a b", "c d"]], 2.0),
    ("entropy-1", [["a a", "a"]], 0.0),
    ("entropy-1", [["a b"], ["a"]], 0.5),
    ("entropy-2", [["a b a", "a b"]], -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))),
    ("entropy-4", [["a b c"]], 0.0),
    ("self-bleu", [["a b c d", "a b c d"]], 100.0),
    ("self-bleu", [["a b c d", "e f g h"]], 0.0),
]


@pytest.mark.parametrize(("name", "outputs", "expected"), HAND)
def test_equals_the_value_worked_out_by_hand(name: str, outputs: list[list[str]], expected: float) -> None:
    measure = diversity(name)
    score = measure.score(measure.corpus(outputs).sum(axis=0))
    assert score == pytest.approx(expected, abs=20.0 if name == "self-bleu" and expected == 0.0 else 1e-9)


def spaced(text: str) -> str:
    return text.replace("春", " 春 ")


@given(SETS)
@settings(max_examples=50, deadline=None)
def test_self_bleu_is_sacrebleu_s_with_the_others_as_references(outputs: list[str]) -> None:
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = []
    for place, text in enumerate(outputs):
        others = [spaced(other) for number, other in enumerate(outputs) if number != place]
        scores.append(bleu.sentence_score(spaced(text), others).score)
    measure = diversity("self-bleu")
    assert measure.score(measure.statistics(outputs)) == pytest.approx(sum(scores) / len(scores))


def grams(outputs: Sequence[str], order: int) -> list[tuple[str, ...]]:
    rows = [spaced(text).split() for text in outputs]
    return [tuple(row[i : i + order]) for row in rows for i in range(len(row) - order + 1)]


@given(SETS, st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_distinct_and_entropy_are_their_formulas(outputs: list[str], order: int) -> None:
    found = grams(outputs, order)
    distinct, entropy = diversity(f"distinct-{order}"), diversity(f"entropy-{order}")
    share = 100 * len(set(found)) / len(found) if found else 0.0
    bits = sum(-math.log2(found.count(gram) / len(found)) for gram in found) / len(found) if found else 0.0
    assert distinct.score(distinct.statistics(outputs)) == pytest.approx(share)
    assert entropy.score(entropy.statistics(outputs)) == pytest.approx(bits)


@pytest.mark.parametrize("name", DIVERSITY)
def test_every_name_makes_a_metric_that_sees_the_difference(name: str) -> None:
    measure = diversity(name)
    assert measure.name == name
    assert measure.signature([["a", "b"]]) == "outputs:2|case:lc|tok:unicode-words|recipe:1"
    assert measure.signature([["a", "b"], ["a"]]).startswith("outputs:var|")
    alike = measure.score(measure.statistics(["a b c d e"] * 3))
    different = measure.score(measure.statistics(["a b c d e", "f g h i j", "k l m n o"]))
    assert (different > alike) == measure.higher_is_better


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("distinct-5", "did you mean `distinct-3`?"),
        ("self-blue", "did you mean `self-bleu`?"),
        ("", "choose one of them"),
    ],
)
def test_an_unknown_name_is_an_error(name: str, fix: str) -> None:
    with pytest.raises(InputError, match="unknown metric of diversity") as caught:
        diversity(name)
    assert caught.value.fix == fix


def test_outputs_must_be_there() -> None:
    for outputs in ([], [["a"], []]):
        with pytest.raises(InputError, match="measured over outputs"):
            diversity("distinct-1").corpus(outputs)
    with pytest.raises(InputError, match="with each other") as caught:
        diversity("self-bleu").corpus([["a"]])
    assert "--n-best" in caught.value.fix
