"""Streaming: what comes, put together, is the output; nothing is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.example import Example
from isthmus.generate.guards import Guards
from isthmus.generate.inputs import Task, taken_apart
from isthmus.generate.jobs import Job, Target
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.profile import Profile
from isthmus.generate.stream import streamed
from isthmus.generate.translator import Translator
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import SentencePieceConfig
from isthmus.text.vocabulary import EOS, UNK
from tests.unit.generate.table_engine import TableEngine
from tests.unit.generate.tiny_bundle import tiny_bundle

WRAPPED = "Abc def abc def abc def abc def abc def abc,\nhgf abc def."
TEXTS = [
    "abc",
    "fedcba",
    "",
    "h",
    "gg hh ee",
    "  ",
    "Abc def. Hgf!",
    "  Abc def.\n\n\tHgf!\n",
    WRAPPED,
]
GREEDY = {"num_beams": 1}
SAMPLE = {"do_sample": True, "seed": 7, "top_k": 9}

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module", params=["", "sentence"])
def machine(request: pytest.FixtureRequest) -> Translator:
    return translator(tiny_bundle({"unit": request.param, "source_language": "en", "target_language": "fr"}))


@pytest.mark.parametrize("values", [GREEDY, SAMPLE])
def test_the_deltas_are_the_output(machine: Translator, values: dict[str, Any]) -> None:
    options = GenerationOptions.of(values)
    for text in TEXTS:
        deltas = list(machine.stream(text, options))
        (answer,) = machine.answers([text], options.updated({"guards": False}))
        (whole,) = answer.hypotheses
        assert "".join(delta.text for delta in deltas) == whole.text
        assert [id for delta in deltas for id in delta.ids] == [id for part in whole.parts for id in part.ids]
        scores = [score for delta in deltas for score in delta.scores]
        assert scores == pytest.approx([score for part in whole.parts for score in part.token_scores], rel=1e-5)
        assert sum(delta.stop is not None for delta in deltas) == max(1, len(whole.parts))


def test_a_line_that_was_wrapped_is_one_segment(machine: Translator) -> None:
    (answer,) = machine.answers([WRAPPED], GenerationOptions(num_beams=1))
    assert len(answer.segments) == 1


def test_text_comes_while_the_search_goes_on() -> None:
    mine = translator(tiny_bundle(end_bonus=-50.0))
    deltas = mine.stream("abcdefgh", GenerationOptions(max_length=9))
    assert [len(next(deltas).text) for _ in range(5)] == [1] * 5
    with mine.engine.running():
        assert len("".join(delta.text for delta in deltas)) == 4


def test_the_bundle_s_beams_do_not_matter_but_those_of_the_call_do(machine: Translator) -> None:
    deltas = machine.stream("abc")
    assert "".join(delta.text for delta in deltas) == machine.generate("abc", num_beams=1, guards=False)[0]
    for values in ({"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}):
        with pytest.raises(InputError, match="a stream is one output"):
            machine.stream("abc", GenerationOptions.of(values))
    with pytest.raises(InputError, match="a stream is one output"):
        machine.stream("abc", GenerationOptions(do_sample=True, num_return_sequences=2))
    with pytest.raises(InputError, match="too long"):
        machine.stream("a" * 99)


def test_an_example_brings_its_beginning() -> None:
    mine = translator(tiny_bundle())
    deltas = list(mine.stream(Example(("abc",), "", prefix="hh")))
    assert "".join(delta.text for delta in deltas).startswith("hh")


def test_guards_say_at_the_end_what_they_find() -> None:
    mine = translator(tiny_bundle({"targets": {"scripts": ["GREEK"], "repeated": 99}}))
    last = list(mine.stream("fedcba"))[-1]
    assert last.stop == "script"
    assert list(mine.stream("fedcba", GenerationOptions(guards=False)))[-1].stop in ("end", "max_length")


@pytest.mark.parametrize("seed", range(12))
def test_half_a_character_is_never_given(seed: int) -> None:
    """An engine that says anything, over pieces most of which are bytes."""
    tokenizer = train_tokenizer(SentencePieceConfig(vocabulary_size=512, model="bpe"), ["le été à la mer 中文 😀"] * 9)
    codec, size = Codec(tokenizer, tokenizer, CodecConfig()), tokenizer.vocabulary.size
    spelled = set(tokenizer.encode("é中😀ж▁€ a été"))
    target = Target(EOS, {*range(size)} - spelled - {EOS, UNK})
    engine, options = TableEngine(size, seed), GenerationOptions(do_sample=True, seed=seed, top_k=0, max_length=40)
    one = taken_apart("le", Task(), options)
    jobs = [Job((*tokenizer.encode("le"), EOS))]
    deltas = list(streamed(engine, one, jobs, target, options, Guards.of(Profile(), codec)))
    ids = [id for delta in deltas for id in delta.ids]
    assert "".join(delta.text for delta in deltas) == codec.text(ids)
    given = ""
    for place, delta in enumerate(deltas[:-1], 1):
        given += delta.text
        so_far = [id for one in deltas[:place] for id in one.ids]
        assert not given.endswith("\ufffd")
        assert codec.text(so_far).startswith(given)
        assert codec.text([*so_far, *tokenizer.encode("a")]).startswith(given)
