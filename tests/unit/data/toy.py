"""Small corpora and a tokenizer with random segmentations, for the tests of the data layer."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from pathlib import Path

from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.corpora import Corpus
from isthmus.data.pairs import Pairs
from isthmus.text.characters import CharacterTokenizer
from isthmus.text.tokenizer import CharacterConfig, Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ"


class Doubling(CharacterTokenizer):  # type: ignore[misc]
    """Characters, each of which a sample may write twice: longer, and different from seed to seed."""

    def sample(self, text: str, seed: int) -> list[int]:
        choose = random.Random(seed)
        return [value for value in self.encode(text) for _ in range(choose.choice((1, 1, 1, 2)))]


def characters(languages: Sequence[str] = ()) -> CharacterTokenizer:
    return CharacterTokenizer.train(CharacterConfig(languages=tuple(languages)), [LETTERS])


def codec(tokenizer: Tokenizer | None = None, config: CodecConfig | None = None) -> Codec:
    tokenizer = tokenizer or characters()
    return Codec(tokenizer, tokenizer, config or CodecConfig())


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def tsv(path: Path, rows: Sequence[tuple[str, ...]]) -> Pairs:
    return Pairs(write(path, "".join("\t".join(row) + "\n" for row in rows)))


def random_rows(count: int, seed: int = 0, longest: int = 11) -> list[tuple[str, str]]:
    choose = random.Random(seed)

    def text() -> str:
        return "".join(choose.choices(LETTERS[:26], k=choose.randint(1, longest)))

    return [(f"{text()}", text()) for _ in range(count)]


def corpus(path: Path, count: int, weight: float = 1.0, seed: int = 0) -> Corpus:
    return Corpus(tsv(path, random_rows(count, seed)), weight)
