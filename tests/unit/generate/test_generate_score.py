"""Scores of given targets: against one forward at a time, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.data.example import Example
from isthmus.engines.ensemble import Ensemble, Mean
from isthmus.generate import score
from isthmus.generate.load import together, translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.score import token_scores
from isthmus.generate.translator import Translator
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.table_engine import TableEngine
from tests.unit.generate.test_generate_together import other_bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

SOURCES = ["abc", "fedcba", "", " gg hh ee ", "a"]
TARGETS = ["hgf ab", "", "abc", "a" * 40, "é"]

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def plain() -> Translator:
    return translator(tiny_bundle())


@pytest.fixture(scope="module")
def backwards() -> Translator:
    return translator(other_bundle())


def by_hand(source: str, target: str) -> list[float]:
    """One forward of the model over one pair."""
    bundle = tiny_bundle()
    ids = bundle.codec.target.encode(target)
    source_ids = [*bundle.codec.source.encode(source.strip()), EOS]
    with torch.no_grad():
        log_probs_1TV = bundle.model(Padded.of([source_ids]), Padded.of([[BOS, *ids]]))
    return [float(log_probs_1TV[0, t, id]) for t, id in enumerate([*ids, EOS])]


def test_scores_are_those_of_one_forward_a_pair(plain: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "NUMBERS", 64 * 64 * plain.codec.target.vocabulary.size)
    found = plain.score(SOURCES, TARGETS)
    for one, source, target in zip(found, SOURCES, TARGETS, strict=True):
        expected = by_hand(source, target)
        assert one.token_scores == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert one.total == pytest.approx(math.fsum(expected), rel=1e-4)
        assert one.normalised == pytest.approx(one.total / len(expected))
        assert one.ids == (*plain.codec.target.encode(target), EOS)
        assert len(one.pieces) == len(one.token_scores) == len(one.ids)
    assert found[0].pieces[:3] == ("h", "g", "f")
    assert plain.score([], []) == []


@pytest.mark.parametrize("numbers", [1, 2**12, 2**30])
def test_the_size_of_batches_changes_nothing(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "NUMBERS", numbers)
    engine = TableEngine()
    pairs = [((4, 5, EOS), (6, 4, EOS)), ((EOS,), (EOS,)), ((5, EOS), (4, 4, 4, 5, 6, EOS))]
    found = token_scores(engine, pairs, engine.size)
    assert found == [tuple(engine.score(source, target)) for source, target in pairs]


def test_what_was_generated_scores_as_it_was_reported(plain: Translator, backwards: Translator) -> None:
    both = together([tiny_bundle(), other_bundle()], Mean.of(2))
    assert isinstance(both.engine, Ensemble)
    for machine in (plain, backwards, both):
        answers = machine.answers(SOURCES[:2], GenerationOptions(num_return_sequences=5, max_length=80))
        for source, answer in zip(SOURCES, answers, strict=False):
            outputs = [one for one in answer.hypotheses if one.stop == "end"]
            assert outputs
            again = machine.score([source] * len(outputs), [one.text for one in outputs])
            assert [one.total for one in again] == pytest.approx([one.score for one in outputs], rel=1e-4)
            assert [one.normalised for one in again] == pytest.approx([one.normalised for one in outputs], rel=1e-4)


def test_examples_bring_what_the_model_reads() -> None:
    one = translator(tiny_bundle(codec={"context": 1}))
    bare, with_context = one.score([Example(("abc",), ""), Example(("abc",), "", context=("hgf",))], ["ab", "ab"])
    alone = one.score(["abc"], ["ab"])[0]
    assert bare.ids == alone.ids
    assert bare.token_scores == pytest.approx(alone.token_scores, rel=1e-5)
    assert abs(bare.total - with_context.total) > 0.01


@pytest.mark.parametrize(
    ("sources", "targets", "says"),
    [
        (["a"], ["a", "b"], "every source needs one target"),
        (["a" * 97], ["a"], "an input is too long for the model"),
        (["a"], ["a" * 97], "a target is too long for the model"),
    ],
)
def test_what_cannot_be_scored_is_said(
    plain: Translator, sources: Sequence[str], targets: Sequence[str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        plain.score(sources, targets)
    assert len(plain.score(["a" * 96], ["a" * 96])) == 1
