"""Long text: sentences are read with those before them, as many as the model was trained with."""

from __future__ import annotations

import pytest

from isthmus.core.errors import InputError
from isthmus.data.example import Example
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXT = "  Abc def.  Hgf!\n\n\tGg hh ee. Bad!\n"

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def machine() -> Translator:
    return translator(tiny_bundle({"unit": "sentence"}, codec={"context": 2}))


@pytest.mark.parametrize("count", [None, 0, 1, 2])
def test_each_sentence_is_read_with_those_before_it(machine: Translator, count: int | None) -> None:
    (answer,) = machine.answers([TEXT], GenerationOptions(context_sentences=count))
    texts = [segment.text for segment in answer.segments]
    assert texts == ["Abc def.", "Hgf!", "Gg hh ee.", "Bad!"]
    most = 2 if count is None else count
    alone = [Example((text,), "", context=tuple(texts[max(0, n - most) : n])) for n, text in enumerate(texts)]
    expected = [one.hypotheses[0].parts[0].ids for one in machine.answers(alone)]
    assert [part.ids for part in answer.hypotheses[0].parts] == expected


def test_context_changes_the_output_and_not_the_spacing(machine: Translator) -> None:
    with_context, without = (machine.generate(TEXT, context_sentences=count)[0] for count in (2, 0))
    assert with_context != without
    for output in (with_context, without):
        assert output.startswith("  ")
        assert output.count("\n") >= 3
        assert "\n\n\t" in output


def test_context_gives_way_where_there_is_no_room() -> None:
    short = translator(tiny_bundle({"unit": "sentence"}, codec={"context": 2, "max_source_length": 16}))
    (answer,) = short.answers(["Abc def. Hgf! Abc def."])
    last = Example(("Abc def.",), "", context=("Hgf!",))
    assert answer.hypotheses[0].parts[2].ids == short.answers([last])[0].hypotheses[0].parts[0].ids
    with pytest.raises(InputError, match="too long"):
        short.generate("Abc def abc def abc.")


def test_more_context_than_was_trained_is_an_error(machine: Translator) -> None:
    with pytest.raises(InputError, match="at most 2") as caught:
        machine.generate(TEXT, context_sentences=3)
    assert (caught.value.got, caught.value.where) == ("3", "context_sentences")
    with pytest.raises(InputError, match="at most 0"):
        translator(tiny_bundle()).generate("ab", context_sentences=1)
