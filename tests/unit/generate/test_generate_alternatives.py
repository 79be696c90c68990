"""What else could have come, and which word comes from which."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.core.padded import Padded
from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.example import Example
from isthmus.generate.alignment import Looked, Span, WordPair, aligned
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig, SentencePieceConfig, SymbolConfig, TokenizerConfig
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["abc", "Abc def. Hgf!", "", "gg hh ee"]

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def machine() -> Translator:
    return translator(tiny_bundle({"unit": "sentence"}))


@pytest.mark.parametrize("values", [{"num_return_sequences": 2}, {"do_sample": True, "seed": 3}, {"max_length": 2}])
def test_alternatives_are_what_the_model_says(machine: Translator, values: dict[str, Any]) -> None:
    options = GenerationOptions.of({**values, "alternatives": 3})
    model, control = tiny_bundle().model, machine.codec.target.vocabulary.control
    for text, answer in zip(TEXTS, machine.answers(TEXTS, options), strict=True):
        assert [one.text for one in answer.hypotheses] == machine.generate(text, options.updated({"alternatives": 0}))
        for one in answer.hypotheses:
            assert len(one.alternatives) == len(one.parts) == len(answer.segments)
            for segment, part, runners in zip(answer.segments, one.parts, one.alternatives, strict=True):
                source = [machine.codec.source_ids(Example((segment.text,), ""))]
                came = [*part.ids, *[EOS] * (part.stop == "end")]
                assert len(runners) == len(came)
                with torch.no_grad():
                    log_probs_TV = model(Padded.of(source), Padded.of([[BOS, *came][:-1]]))[0]
                for place, others in enumerate(runners):
                    order = log_probs_TV[place].argsort(descending=True).tolist()
                    expected = [id for id in order if id not in control and id != came[place]][:3]
                    assert [other.id for other in others] == expected
                    for other in others:
                        assert other.score == pytest.approx(float(log_probs_TV[place, other.id]), rel=1e-4)


def test_without_being_asked_nothing_is_said(machine: Translator) -> None:
    (answer,) = machine.answers(["abc"])
    assert (answer.hypotheses[0].alternatives, answer.hypotheses[0].alignment) == ((), ())


def codec(config: TokenizerConfig, text: str) -> Codec:
    tokenizer = train_tokenizer(config, [text] * 9)
    return Codec(tokenizer, tokenizer, CodecConfig())


CODECS = [
    (CharacterConfig(), ""),
    (SymbolConfig(), ""),
    (SentencePieceConfig(vocabulary_size=512, model="bpe"), ""),
    (SentencePieceConfig(vocabulary_size=512, model="bpe"), "un autre texte"),
]


@pytest.mark.parametrize(("config", "learned"), CODECS)
def test_words_are_traced_through_any_pieces(config: TokenizerConfig, learned: str) -> None:
    """With attention that looks from the pieces of each word at those of a chosen one."""
    source, target = "the  big\n dog barks", "le ểt chien été"
    mine = codec(config, learned or f"{source} {target}")
    source_ids = [*mine.source.encode(" ".join(source.split())), EOS]
    target_ids = mine.target.encode(target)
    wanted = {"le": "the", "ểt": "big", "chien": "dog", "été": "barks"}
    attention_TS = torch.zeros(len(target_ids) + 1, len(source_ids))
    for row, to in enumerate(words(mine, target_ids)):
        columns = [place for place, word in enumerate(words(mine, source_ids[:-1])) if word == wanted[to]]
        attention_TS[row, columns] = 0.75 / len(columns)
        attention_TS[row, -1] = 0.25
    found = aligned(source, target, [Looked(source_ids, 0, target_ids, attention_TS)], mine)
    assert [(one.target.text, one.source.text) for one in found] == list(wanted.items())
    for one in found:
        assert source[one.source.start : one.source.end] == one.source.text
        assert target[one.target.start : one.target.end] == one.target.text
        assert one.weight == pytest.approx(0.75)


def words(mine: Codec, ids: list[int]) -> list[str]:
    """The word that each piece belongs to, by counting characters."""
    whole = mine.target.decode(ids)
    letters = [word for word in whole.split() for _ in word]
    texts = [mine.target.decode(ids[:stop]).rstrip("\ufffd") for stop in range(len(ids))]
    counts = [sum(not char.isspace() for char in text) for text in texts]
    return [letters[max(counts[: place + 1])] for place in range(len(ids))]


def test_context_and_tags_are_not_traced() -> None:
    mine = codec(CharacterConfig(), "ab cd")
    source_ids = [*mine.source.encode("ab"), mine.source.vocabulary.sep, *mine.source.encode("cd"), EOS]
    attention_TS = torch.tensor([[0.6, 0.0, 0.0, 0.1, 0.2, 0.1]])
    (one,) = aligned("cd", "b", [Looked(source_ids, 0, mine.target.encode("b"), attention_TS)], mine)
    assert one == WordPair(Span("cd", 0, 2), Span("b", 0, 1), one.weight)
    assert one.weight == pytest.approx(0.3)


def test_pieces_that_do_not_spell_the_text_are_not_traced() -> None:
    mine = codec(CharacterConfig(), "ab cd")
    attention_TS = torch.ones(1, 3) / 3
    assert aligned("a", "b", [Looked(mine.source.encode("abc"), 0, mine.target.encode("b"), attention_TS)], mine) == ()


def test_an_answer_aligns_the_whole_text(machine: Translator) -> None:
    text = "  Abc def.\n\nHgf!"
    (answer,) = machine.answers([text], GenerationOptions(alignment=True))
    (best,) = answer.hypotheses
    assert best.alignment
    for one in best.alignment:
        assert text[one.source.start : one.source.end] == one.source.text
        assert best.text[one.target.start : one.target.end] == one.target.text
        assert 0 < one.weight <= 1
    line = best.text.index("\n")
    assert all((one.target.start > line) == (one.source.start > text.index("\n")) for one in best.alignment)
    assert {one.target.start > line for one in best.alignment} == {True, False}
