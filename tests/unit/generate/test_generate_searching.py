"""The searches by the names of their options: from text to text."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.data.example import Example
from isthmus.generate.answer import Answer
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["abc", "Head fed.", "a", "bad cab, had", "GHFE"]


@pytest.fixture(scope="module")
def machine() -> Translator:
    return translator(tiny_bundle(generation={"guards": False}))


def ask(machine: Translator, texts: list[str] = TEXTS, **values: Any) -> list[Answer]:
    return machine.answers(texts, GenerationOptions.of({"max_length": 20, **values}))


def test_words_that_must_come_do(machine: Translator) -> None:
    answers = ask(machine, force_words=["bed", ["cab", "Ace"]])
    for answer in answers:
        assert "bed" in answer.text
        assert "cab" in answer.text or "Ace" in answer.text
        for one in answer.hypotheses:
            assert one.parts[0].met == (True, True)
    assert len({answer.text for answer in answers}) == len(TEXTS)
    assert not any("bed" in answer.text for answer in ask(machine))


def test_one_of_several_words_is_enough_and_the_likelier_wins(machine: Translator) -> None:
    (alone,) = machine.generate("abc", force_words=["bed"], max_length=20)
    (either,) = machine.generate("abc", force_words=[["bed", "e"]], max_length=20)
    assert "bed" in alone
    assert "e" in either
    (ids,) = machine.generate("abc", force_words_ids=[machine.codec.target.encode("bed")], max_length=20)
    assert ids == alone


def test_what_did_not_fit_is_reported(machine: Translator) -> None:
    (answer,) = ask(machine, ["abc"], force_words=["bed", "cab"], max_length=4)
    assert answer.hypotheses[0].stop == "max_length"
    assert sorted(answer.hypotheses[0].parts[0].met) == [False, True]


def test_words_that_cannot_be_written_are_an_error(machine: Translator) -> None:
    with pytest.raises(InputError) as caught:
        ask(machine, force_words=["bed", ["é", "ü"]])
    assert caught.value.rule == "what must come in the output cannot be written with the pieces of the model"
    assert (caught.value.got, caught.value.where) == ("'é', 'ü'", "force_words")
    with pytest.raises(InputError, match="no such id"):
        ask(machine, force_words_ids=[[5], [[6, 10_000]]])


def test_forced_and_bad_words_together(machine: Translator) -> None:
    for answer in ask(machine, force_words=["be"], bad_words=["a", "bed"]):
        assert "be" in answer.text
        assert not {"a"} & set(answer.text)
        assert "bed" not in answer.text


@pytest.mark.parametrize("values", [{}, {"num_beams": 1}, {"do_sample": True, "seed": 3}])
def test_only_allowed_outputs_come(machine: Translator, values: dict[str, Any]) -> None:
    allowed = ["bed", "be", "a cab", "Fed a bed a cab a badge."]
    answers = ask(machine, allowed_outputs=allowed, **values)
    assert {answer.text for answer in answers} <= set(allowed)
    assert not any(answer.warnings for answer in answers)
    assert {one.stop for answer in answers for one in answer.hypotheses} == {"end"}


def test_all_allowed_outputs_are_ranked_without_a_word_on_length(machine: Translator) -> None:
    allowed = ["bed", "be", "a cab", "Fed a bed a cab a badge."]
    ranked = machine.generate("a", allowed_outputs=allowed, num_beams=4, num_return_sequences=4)
    assert sorted(ranked) == sorted(allowed)
    scores = [one.normalised for one in machine.score(["a"] * 4, ranked)]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(InputError, match="an allowed output cannot be written") as caught:
        machine.generate("a", allowed_outputs=["be", "bend"])
    assert caught.value.got == "'bend'"


def test_an_output_begins_as_asked_for(machine: Translator) -> None:
    answers = machine.answers(
        [*TEXTS, Example(("abc",), "", prefix="Fed")], GenerationOptions(prefix="Ca", max_length=20)
    )
    assert all(answer.text.startswith("Ca") for answer in answers[:-1])
    assert answers[-1].text.startswith("Fed")
    assert machine.generate("abc", prefix="Ca", max_length=20) == [answers[0].text]


def test_groups_of_beams_keep_away_from_each_other(machine: Translator) -> None:
    values: dict[str, Any] = {"num_beams": 6, "num_return_sequences": 6, "min_length": 3}
    for plain, diverse in zip(
        ask(machine, **values), ask(machine, **values, num_beam_groups=6, diversity_penalty=9.0), strict=True
    ):
        firsts = {one.text[:1] for one in diverse.hypotheses}
        assert len(firsts) >= len({one.text[:1] for one in plain.hypotheses})
        assert len(firsts) >= 5
        assert len({one.text for one in diverse.hypotheses}) == len(diverse.hypotheses)
        order = [(one.stop != "end", -one.normalised) for one in diverse.hypotheses]
        assert order == sorted(order)
    few = ask(machine, min_length=3, num_beams=6, num_return_sequences=2, num_beam_groups=2, diversity_penalty=9.0)
    assert all(answer.hypotheses[0].text[:1] != answer.hypotheses[1].text[:1] for answer in few)


def test_what_several_groups_find_is_given_once(machine: Translator) -> None:
    values: dict[str, Any] = {
        "num_beams": 6,
        "num_return_sequences": 6,
        "num_beam_groups": 3,
        "diversity_penalty": 1e-6,
    }
    for answer, two in zip(ask(machine, **values), ask(machine, num_beams=2, num_return_sequences=2), strict=True):
        assert [one.text for one in answer.hypotheses] == [one.text for one in two.hypotheses]


def test_samples_without_replacement_are_all_different(machine: Translator) -> None:
    values: dict[str, Any] = {"do_sample": True, "seed": 5, "num_return_sequences": 12, "top_k": 0, "max_length": 4}
    for answer in ask(machine, **values, without_replacement=True):
        assert len({one.parts[0].ids for one in answer.hypotheses}) == 12
    together = ask(machine, **values, without_replacement=True)
    alone = [ask(machine, [text], **values, without_replacement=True)[0] for text in TEXTS]
    assert [[one.text for one in answer.hypotheses] for answer in together] == [
        [one.text for one in answer.hypotheses] for answer in alone
    ]
    other = ask(machine, **{**values, "seed": 6}, without_replacement=True)
    assert [answer.text for answer in other] != [answer.text for answer in together]


def test_guards_leave_samples_without_replacement_different() -> None:
    guarded = translator(tiny_bundle())
    values: dict[str, Any] = {"do_sample": True, "seed": 5, "num_return_sequences": 9, "without_replacement": True}
    answers = ask(guarded, **values, max_length=2)
    assert any(repair for answer in answers for one in answer.hypotheses for repair in one.repairs)
    for answer in answers:
        assert len({one.parts[0].ids for one in answer.hypotheses}) == len(answer.hypotheses)


def test_a_coverage_penalty_moves_what_outputs_are_compared_by(machine: Translator) -> None:
    plain, covered = ask(machine, num_return_sequences=5), ask(machine, num_return_sequences=5, coverage_penalty=5.0)
    assert [answer.text for answer in plain] != [answer.text for answer in covered]
    lost = [
        one.score / len(one.parts[0].token_scores) - one.normalised for answer in covered for one in answer.hypotheses
    ]
    assert min(lost) > -1e-4
    assert max(lost) > 0.1


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"num_beam_groups": 3, "diversity_penalty": 0.5}, ("num_beam_groups", "num_beams")),
        ({"num_beam_groups": 5}, ("num_beam_groups", "diversity_penalty")),
        ({"diversity_penalty": 0.5}, ("num_beam_groups", "diversity_penalty")),
        ({"do_sample": True, "num_beam_groups": 5, "diversity_penalty": 0.5}, ("num_beam_groups", "do_sample")),
        ({"do_sample": True, "coverage_penalty": 0.5}, ("coverage_penalty", "do_sample")),
        ({"do_sample": True, "force_words": ["a"]}, ("force_words", "do_sample")),
        ({"without_replacement": True}, ("without_replacement", "do_sample")),
        ({"num_beam_groups": 5, "diversity_penalty": 0.5, "force_words": ["a"]}, ("force_words", "num_beam_groups")),
    ],
)
def test_contradictions_name_both(values: dict[str, Any], names: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        GenerationOptions.of(values)
    assert caught.value.rule == f"`{names[0]}` and `{names[1]}` contradict each other"


def test_ids_of_phrases_have_one_shape_inside() -> None:
    options = GenerationOptions.of({"force_words_ids": [[5, 6], [[7], [8, 9]]]})
    assert options.required == (((5, 6),), ((7,), (8, 9)))
