"""Configurations of tokenizers, the choice of texts, and what an import costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError
from isthmus.text import build
from isthmus.text.tokenizer import CharacterConfig, SentencePieceConfig, SymbolConfig, TokenizerConfig


class Holder(Config):
    tokenizer: TokenizerConfig


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kind": "sentencepiece", "model": "bpe"}, SentencePieceConfig(model="bpe")),
        ({"kind": "characters", "languages": ["en"]}, CharacterConfig(languages=("en",))),
        ({"kind": "symbols", "user_pieces": ["<x>"]}, SymbolConfig(user_pieces=("<x>",))),
    ],
)
def test_the_kind_decides(values: dict[str, object], expected: Config) -> None:
    assert parse(Holder, {"tokenizer": values}, "recipe.toml").tokenizer == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "words"}, "tokenizer"),
        ({"kind": "sentencepiece", "vocabulary_size": 4001}, "multiple of 8"),
        ({"kind": "sentencepiece", "sampling": 1.5}, "sampling"),
        ({"kind": "sentencepiece", "character_coverage": 0.0}, "character_coverage"),
        ({"kind": "symbols", "model": "bpe"}, "model"),
        ({"kind": "characters", "languages": ["fr", "fr"]}, "languages"),
        ({"kind": "characters", "user_pieces": ["</s>"]}, "user_pieces"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(Holder, {"tokenizer": values}, "recipe.toml")


def test_of_many_texts_a_random_choice_is_taken() -> None:
    texts = [str(n) for n in range(1009)]
    chosen = build._some(iter(texts), 101, 5)
    assert chosen == build._some(iter(texts), 101, 5) != build._some(iter(texts), 101, 6)
    assert len(set(chosen)) == 101
    assert set(chosen) <= set(texts)
    assert build._some(iter(texts), 1009, 5) == texts


def test_the_choice_is_fair() -> None:
    counts = [0] * 7
    for seed in range(2000):
        for text in build._some((str(n) for n in range(7)), 3, seed):
            counts[int(text)] += 1
    assert all(abs(count / 2000 - 3 / 7) < 0.04 for count in counts)


def test_the_layer_imports_no_torch_and_no_library_it_may_not_need() -> None:
    code = (
        "import sys, isthmus.text.tokenizer, isthmus.text.vocabulary, isthmus.text.sentences\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'sentencepiece')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, isthmus.text.sentencepiece_tokenizer, isthmus.text.characters\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
