"""From words to ids."""

from __future__ import annotations

import pytest

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec, CodecConfig
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.wording import in_ids, spellings
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig, SentencePieceConfig, SymbolConfig, Tokenizer
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["a warm beer and a cold beer, b e r", "the beer is warm; they are warm", "a bear, a deer, a beer"]


@pytest.fixture(scope="module")
def sentencepiece() -> Tokenizer:
    return train_tokenizer(SentencePieceConfig(vocabulary_size=480), TEXTS * 3)


@pytest.fixture(scope="module")
def characters() -> Tokenizer:
    return train_tokenizer(CharacterConfig(), TEXTS)


def codec(source: Tokenizer, target: Tokenizer | None = None) -> Codec:
    return Codec(source, target or source, CodecConfig())


def test_a_word_is_spelled_as_in_a_text(sentencepiece: Tokenizer, characters: Tokenizer) -> None:
    for tokenizer in (sentencepiece, characters):
        for text in ("beer", "a beer", "the warm beer"):
            ids = tokenizer.encode(text)
            assert any(tuple(ids[len(ids) - len(one) :]) == one for one in spellings("beer", tokenizer))
    symbols = train_tokenizer(SymbolConfig(), TEXTS)
    assert spellings("warm beer", symbols) == {tuple(symbols.encode("warm beer"))}


def test_what_cannot_be_spelled_need_not_be_ruled_out(characters: Tokenizer) -> None:
    assert spellings("ß", characters) == set()


def test_words_become_ids(characters: Tokenizer) -> None:
    options = GenerationOptions.of({"bad_words": ["beer"], "bad_words_ids": [[7]], "num_beams": 3})
    found = in_ids(options, codec(characters))
    assert found.num_beams == 3
    assert {*found.bad_words_ids} == {(7,), *spellings("beer", characters)}
    assert in_ids(found, codec(characters)) == found


@pytest.mark.parametrize(
    "values",
    [
        {"suppress_tokens": [3, 9999]},
        {"begin_suppress_tokens": [9999]},
        {"bad_words_ids": [[4], [5, 9999]]},
        {"forced_bos_token_id": 9999},
    ],
)
def test_ids_outside_the_vocabulary_are_errors(characters: Tokenizer, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="no such id") as caught:
        in_ids(GenerationOptions.of(values), codec(characters))
    (name,) = values
    assert name in caught.value.fix
    assert "9999" in caught.value.got


def test_two_vocabularies_have_no_ngrams_in_common(characters: Tokenizer, sentencepiece: Tokenizer) -> None:
    options = GenerationOptions.of({"encoder_no_repeat_ngram_size": 3})
    assert in_ids(options, codec(characters)) is options
    with pytest.raises(InputError, match="different vocabularies") as caught:
        in_ids(options, codec(characters, sentencepiece))
    assert "encoder_no_repeat_ngram_size" in caught.value.fix


@pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")
@pytest.mark.parametrize("way", [{}, {"num_beams": 1}, {"do_sample": True, "seed": 1}])
def test_bad_words_do_not_come(way: dict[str, object]) -> None:
    machine = translator(tiny_bundle())
    plain = machine.generate(["ab cd", "efg ab", "bad"], GenerationOptions.of(way))
    words = [text[first : first + 2] for text in plain if len(text) > 2 for first in (0, len(text) // 2)]
    assert words
    chosen = machine.generate(["ab cd", "efg ab", "bad"], GenerationOptions.of(way), bad_words=words)
    assert all(word in "\n".join(plain) for word in words)
    assert not any(word in text for word in words for text in chosen)
