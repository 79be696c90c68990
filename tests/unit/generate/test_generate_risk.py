"""Minimum Bayes risk against its definition: two loops over texts, sacreBLEU for each pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from isthmus.core.errors import InputError
from isthmus.generate.answer import Answer, Generation
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.risk import by_risk, expected_utility, order
from isthmus.text.metrics.pairwise import pairwise_chrf
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = st.lists(st.text("abé 春\n", max_size=14), min_size=1, max_size=6)
SAMPLES = ["the cat sat on the mat", "a cat sat on a mat", "the cat sat", "dogs bark", "the cat sat", "", "the mat"]


def chrf(one: str, other: str) -> float:
    return float(CHRF().sentence_score(one, [other]).score)


def bleu(one: str, other: str) -> float:
    return float(BLEU(effective_order=True).sentence_score(one, [other]).score)


def length_alike(one: str, other: str) -> float:
    return -abs(len(one) - len(other))


def definition(candidates: Sequence[str], evidence: Sequence[str], utility: Callable[[str, str], float]) -> list[float]:
    return [math.fsum(utility(one, other) for other in evidence) / len(evidence) for one in candidates]


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_all_pairs_at_once_are_sacrebleu_s_chrf_of_each(candidates: list[str], references: list[str]) -> None:
    table = pairwise_chrf(candidates, references)
    for row, one in zip(table, candidates, strict=True):
        assert row.tolist() == pytest.approx([chrf(one, other) for other in references])


@pytest.mark.parametrize(("name", "utility"), [("chrf", chrf), ("bleu", bleu), (length_alike, length_alike)])
def test_expected_utility_is_its_definition(
    name: str | Callable[[str, str], float], utility: Callable[[str, str], float]
) -> None:
    assert expected_utility(SAMPLES, SAMPLES, name) == pytest.approx(definition(SAMPLES, SAMPLES, utility))
    others = ["a dog", *SAMPLES[:3]]
    assert expected_utility(others, SAMPLES, name) == pytest.approx(definition(others, SAMPLES, utility))


def test_of_an_error_rate_less_is_better() -> None:
    found = expected_utility(["a b", "x y"], ["a b", "a c"], "wer")
    assert found == pytest.approx([-25.0, -100.0])


def test_weights_count_as_repetition_does() -> None:
    repeated = expected_utility(SAMPLES, ["a cat", "a cat", "a cat", "dogs"], "chrf")
    assert expected_utility(SAMPLES, ["a cat", "dogs"], "chrf", [3, 1]) == pytest.approx(repeated)
    assert expected_utility(SAMPLES, ["a cat", "dogs"], "chrf", [0.75, 0.25]) == pytest.approx(repeated)


@pytest.mark.parametrize(
    ("evidence", "weights"), [([], None), (["a"], [1.0, 2.0]), (["a", "b"], [0.0, 0.0]), (["a", "b"], [2.0, -1.0])]
)
def test_evidence_must_be_there_with_its_weights(evidence: list[str], weights: list[float] | None) -> None:
    with pytest.raises(InputError, match="estimated from others"):
        expected_utility(["a"], evidence, "chrf", weights)


def test_an_unknown_metric_is_said() -> None:
    with pytest.raises(InputError, match="unknown metric"):
        expected_utility(["a"], ["b"], "blue")


def test_what_says_the_same_comes_after_all_that_differs() -> None:
    assert order(["a", "b", "a", "c", "b"], [3, 5, 3, 1, 5]) == [1, 0, 3, 4, 2]


def answer(*outputs: tuple[str, float]) -> Answer:
    return Answer(tuple(Generation(text, score, score, "end", ()) for text, score in outputs), (), (), None, 0.0)


def test_outputs_of_an_answer_are_ranked_alike_or_by_probability() -> None:
    one = answer(("dogs bark", math.log(0.7)), ("a cat sat", math.log(0.2)), ("a cat sits", math.log(0.1)))
    (alike,) = by_risk([one])
    texts = [output.text for output in one.hypotheses]
    expected = definition(texts, texts, chrf)
    assert alike.text == texts[expected.index(max(expected))] != "dogs bark"
    assert [output.normalised for output in alike.hypotheses] == pytest.approx(sorted(expected, reverse=True))
    assert alike.hypotheses[-1].score == math.log(0.7)
    (weighted,) = by_risk([one], chrf, by_probability=True)
    assert weighted.text == "dogs bark"
    expected = [sum(p * chrf(text, other) for p, other in zip((0.7, 0.2, 0.1), texts, strict=True)) for text in texts]
    assert [output.normalised for output in weighted.hypotheses] == pytest.approx(sorted(expected, reverse=True))


def test_an_n_best_list_of_a_model_is_ranked() -> None:
    machine = translator(tiny_bundle())
    answers = machine.answers(["fedcba"], GenerationOptions(num_return_sequences=5, max_length=60))
    (ranked,) = by_risk(answers, "bleu-char", by_probability=True)
    assert {one.text for one in ranked.hypotheses} == {one.text for one in answers[0].hypotheses}
