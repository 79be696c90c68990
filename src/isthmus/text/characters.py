"""One piece a character: for spelling, phonemes and scripts without spaces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

from isthmus.core.files import write_json
from isthmus.text.tokenizer import UNKNOWN, CharacterConfig, Tokenizer, check_text, written
from isthmus.text.vocabulary import EOS, UNK, Vocabulary


@final
class CharacterTokenizer(Tokenizer):
    """A piece for each character (Unicode code point) of the training text, and the user's pieces, longest first.

    Args:
        config: what it was trained from.
        vocabulary: its pieces.
    """

    def __init__(self, config: CharacterConfig, vocabulary: Vocabulary) -> None:
        self._config = config
        self._vocabulary = vocabulary
        self._silent = vocabulary.control - {UNK} | {EOS}
        self._ids = {piece: vocabulary.id(piece) for piece in vocabulary.pieces if len(piece) == 1}
        self._ids |= {piece: vocabulary.id(piece) for piece in config.user_pieces}
        self._cut = _cutter(config)

    @classmethod
    def train(cls, config: CharacterConfig, texts: Iterable[str]) -> CharacterTokenizer:
        """Count the characters; the most frequent comes first, equally frequent ones in the order of Unicode."""
        cut = _cutter(config)
        count = Counter(char for text in texts for char in cut.findall(text))
        ordinary = sorted(count.keys() - set(config.user_pieces), key=lambda char: (-count[char], char))
        return cls(config, Vocabulary.of(ordinary, config.languages, config.user_pieces))

    @property
    def config(self) -> CharacterConfig:
        """What it was trained from."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""
        return self._vocabulary

    @property
    def lossless(self) -> bool:
        """False: a character that the training text did not have becomes the unknown piece."""
        return False

    def encode(self, text: str) -> list[int]:
        """An id for each character or user piece."""
        check_text(text)
        return [self._ids.get(piece, UNK) for piece in self._cut.findall(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The pieces, joined."""
        pieces = [UNKNOWN if id == UNK else self._vocabulary.piece(id) for id in ids if id not in self._silent]
        return "".join(pieces)

    def save(self, folder: Path, name: str) -> None:
        """Write `{name}.json`."""
        write_json(folder / f"{name}.json", {**written(self), "pieces": self._vocabulary.pieces})


def _cutter(config: CharacterConfig) -> re.Pattern[str]:
    """Matches the next user piece or character."""
    longest_first = sorted(config.user_pieces, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)
