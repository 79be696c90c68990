"""Our tokenizers in the `tokenizers` library give the same ids, whatever a text may hold."""

from __future__ import annotations

import random
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.example import Example
from isthmus.export.huggingface.tokenizer_out import pipeline
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig, SentencePieceConfig, SymbolConfig

CORPUS = [
    "The cat sat on the mat; the dog did not.",
    "A <p>longer</p> line, with numbers 1234 and dashes -----",
    "L'été est là, déjà : voilà ! sentinel pad spare mask",
    "unhappiness is happiness undone <name> again and again",
] * 5
ODD = [
    "",
    " ",
    "  a  b   ",
    "▁",
    "a▁b ▁",
    "<s>",
    "a<s>b </s>",
    "<pad> <unk> x",
    "<0xE2><0x96>",
    "<2fr> hi",
    "<spare_3><sentinel_12><pad_0>",
    "aaaaaaaaa ---------- 1111",
    "\n\tx\ny\x00",
    "☃☃ ☃x 日本語 テキスト e\u0301 \x1c \x85 y\u2003z\u00a0w",
    "<name> hi <name><name>x<nam",
]
ALPHABET = [*"aabceét '-.,<>/sp=_0123", "▁", " ", "  ", "<s>", "<pad>", "☃", "<name>"]
TEXTS = [*ODD, *CORPUS[:4], *("".join(random.Random(n).choices(ALPHABET, k=n % 30)) for n in range(300))]
OWN = ("<name>",)
CONFIGS = [
    SentencePieceConfig(vocabulary_size=512),
    SentencePieceConfig(vocabulary_size=512, languages=("fr", "en"), user_pieces=OWN),
    SentencePieceConfig(vocabulary_size=256, byte_fallback=False),
    SentencePieceConfig(model="bpe", vocabulary_size=512),
    SentencePieceConfig(model="bpe", vocabulary_size=256, byte_fallback=False),
    CharacterConfig(user_pieces=(*OWN, "<nam")),
    SymbolConfig(user_pieces=OWN),
]


def codec_of(config: Any, **values: Any) -> Codec:
    tokenizer = train_tokenizer(config, CORPUS)
    return Codec(tokenizer, tokenizer, CodecConfig(**values))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.kind}-{CONFIGS.index(config)}")
def test_the_same_ids_and_the_same_text(config: Any) -> None:
    codec = codec_of(config)
    made = pipeline(codec)
    for text in TEXTS:
        ids = codec.source_ids(Example((text,), ""))
        assert made.encode(text).ids == ids, text
        if 1 not in ids:
            assert made.decode(ids, skip_special_tokens=True) == codec.text(ids), text


def test_a_source_begins_with_its_tag_and_its_context() -> None:
    codec = codec_of(SentencePieceConfig(vocabulary_size=512, languages=("fr", "en")), language_tag=True, context=1)
    made = pipeline(codec, "en")
    example = Example(("the cat",), "", target_language="en", context=("The dog.",))
    assert made.encode("The dog.", "the cat").ids == codec.source_ids(example)


def test_a_tag_has_to_be_known() -> None:
    codec = codec_of(SentencePieceConfig(vocabulary_size=512, languages=("fr", "en")), language_tag=True)
    with pytest.raises(InputError, match="tag of the target language"):
        pipeline(codec, "de")


def test_two_vocabularies_are_refused() -> None:
    one, other = codec_of(CharacterConfig()), codec_of(CharacterConfig())
    with pytest.raises(InputError, match="one vocabulary"):
        pipeline(Codec(one.source, other.source, CodecConfig()))


def test_merges_with_pieces_of_ones_own_are_refused() -> None:
    with pytest.raises(InputError, match="cannot keep pieces of one's own whole"):
        pipeline(codec_of(SentencePieceConfig(model="bpe", vocabulary_size=512, user_pieces=OWN)))


def test_names_that_cannot_be_cut_are_refused() -> None:
    tokenizer = train_tokenizer(SentencePieceConfig(vocabulary_size=512, user_pieces=("x<pad>",)), CORPUS)
    with pytest.raises(InputError, match="spelled like a control piece"):
        pipeline(Codec(tokenizer, tokenizer, CodecConfig()))
