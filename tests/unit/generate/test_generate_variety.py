"""The dial of diversity is its table, and minimum Bayes risk in a translator is its definition over the same samples."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.generate.variety import settled
from isthmus.text.metrics import diversity, metric
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["abc", "fedcba", "", "gg hh ee"]

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def plain() -> Translator:
    return translator(tiny_bundle(generation={"guards": False}))


@pytest.mark.parametrize(
    ("given", "stands_for"),
    [
        ({"diversity": 0.0, "num_beams": 3}, {"num_beams": 3}),
        ({"diversity": 0.0, "num_return_sequences": 3}, {"num_return_sequences": 3}),
        ({"diversity": 0.4}, {"do_sample": True, "temperature": 0.4, "top_p": 0.7, "top_k": 0}),
        (
            {"diversity": 0.4, "num_return_sequences": 8},
            {
                "num_return_sequences": 8,
                "do_sample": True,
                "temperature": 0.4,
                "without_replacement": True,
                "top_k": 0,
            },
        ),
        ({"diversity": 1.0}, {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}),
    ],
)
def test_the_dial_is_its_table(plain: Translator, given: dict[str, Any], stands_for: dict[str, Any]) -> None:
    found, expected = settled(GenerationOptions.of(given)), GenerationOptions.of(stands_for)
    assert found.model_dump() == expected.model_dump()
    assert settled(found) == found
    assert plain.generate(TEXTS, seed=3, **given) == plain.generate(TEXTS, seed=3, **stands_for)


def test_turning_the_dial_up_makes_outputs_differ_more(plain: Translator) -> None:
    sources = ["abc", "fedcba", "gg hh ee", "a", "bad", "hgf"]
    measure, found = diversity("self-bleu"), []
    for dial in (0.0, 0.1, 0.4, 0.7, 1.0):
        outputs = plain.generate(sources, diversity=dial, num_return_sequences=5, seed=1)
        spaced = [" ".join(text.replace(" ", "_")) for text in outputs]
        sets = [spaced[place : place + 5] for place in range(0, len(spaced), 5)]
        found.append(measure.score(measure.corpus(sets).sum(axis=0)))
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.5 * found[-1]


def test_the_most_alike_of_the_samples_is_chosen(plain: Translator) -> None:
    chosen = plain.answers(TEXTS, GenerationOptions(mbr=7, seed=4))
    drawn = plain.answers(TEXTS, GenerationOptions(do_sample=True, top_k=0, num_return_sequences=7, seed=4))
    chrf = metric("chrf")
    for one, samples in zip(chosen, drawn, strict=True):
        texts = [sample.text for sample in samples.hypotheses]
        utility = [
            sum(chrf.sentence_score(chrf.statistics(text, [other])) for other in texts) / len(texts) for text in texts
        ]
        assert len(one.hypotheses) == 1
        assert one.text == texts[utility.index(max(utility))]
        assert one.seed == 4
        if one.hypotheses[0].parts:
            assert one.hypotheses[0].normalised == pytest.approx(max(utility))
            assert one.hypotheses[0].score in [sample.score for sample in samples.hypotheses]
    assert any(one.text != samples.text for one, samples in zip(chosen, drawn, strict=True))


def test_other_metrics_several_outputs_and_cuts(plain: Translator) -> None:
    three = plain.generate("fedcba", mbr=9, num_return_sequences=3, seed=4)
    assert three[0] == plain.generate("fedcba", mbr=9, seed=4)[0]
    assert len(set(three)) == 3
    assert plain.generate("fedcba", mbr=9, mbr_metric="cer", seed=4, temperature=0.01) == plain.generate(
        "fedcba", num_beams=1
    )
    assert plain.generate("fedcba", mbr=9, top_k=1) == plain.generate("fedcba", num_beams=1)
    with pytest.raises(InputError, match="unknown metric"):
        plain.generate("a", mbr=4, mbr_metric="blue")


def test_what_a_call_says_wins_over_the_bundle() -> None:
    usual = translator(tiny_bundle()).generate(TEXTS, seed=1)
    for values in ({"mbr": 5}, {"diversity": 0.9}):
        mine = translator(tiny_bundle(generation=values))
        assert mine.generate(TEXTS, seed=1) != usual
        assert mine.generate(TEXTS, seed=1, do_sample=False) == usual
    assert translator(tiny_bundle(generation={"mbr": 5})).generate(TEXTS, num_beams=5) == usual
    assert translator(tiny_bundle(generation={"do_sample": True})).generate(TEXTS, diversity=0.0) == usual


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"diversity": 0.3, "temperature": 0.7}, ("temperature", "diversity")),
        ({"diversity": 0.3, "mbr": 4}, ("mbr", "diversity")),
        ({"diversity": 0.3, "do_sample": True}, ("do_sample", "diversity")),
        ({"mbr": 4, "num_beams": 3}, ("num_beams", "mbr")),
        ({"mbr": 4, "num_return_sequences": 5}, ("num_return_sequences", "mbr")),
    ],
)
def test_contradictions_are_errors_that_name_both(values: dict[str, Any], names: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        GenerationOptions.of(values)
    assert caught.value.rule == f"`{names[0]}` and `{names[1]}` contradict each other"


def test_a_stream_cannot_choose_among_samples(plain: Translator) -> None:
    with pytest.raises(InputError, match="`mbr` chooses among several"):
        list(plain.stream("abc", GenerationOptions(mbr=4)))
