"""One piece a symbol, symbols separated by white space: for phonemes, commands, and text tokenized elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

from isthmus.core.files import write_json
from isthmus.text.tokenizer import UNKNOWN, SymbolConfig, Tokenizer, check_text, written
from isthmus.text.vocabulary import EOS, PADDING, UNK, Vocabulary, reserved_pieces


@final
class SymbolTokenizer(Tokenizer):
    """A piece for each symbol of the training text; a symbol that spells a reserved piece is unknown.

    Args:
        config: what it was trained from.
        vocabulary: its pieces.
    """

    def __init__(self, config: SymbolConfig, vocabulary: Vocabulary) -> None:
        self._config = config
        self._vocabulary = vocabulary
        self._silent = vocabulary.control - {UNK} | {EOS}
        self._ids = {piece: id for id, piece in enumerate(vocabulary.pieces) if id not in vocabulary.control | {EOS}}

    @classmethod
    def train(cls, config: SymbolConfig, texts: Iterable[str]) -> SymbolTokenizer:
        """Count the symbols; the most frequent comes first, equally frequent ones in the order of Unicode."""
        count = Counter(symbol for text in texts for symbol in text.split())
        taken = {*reserved_pieces(config.languages, config.user_pieces), *PADDING}
        ordinary = sorted(count.keys() - taken, key=lambda symbol: (-count[symbol], symbol))
        return cls(config, Vocabulary.of(ordinary, config.languages, config.user_pieces))

    @property
    def config(self) -> SymbolConfig:
        """What it was trained from."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""
        return self._vocabulary

    @property
    def lossless(self) -> bool:
        """False: white space is not kept, and a symbol that the training text did not have becomes unknown."""
        return False

    def encode(self, text: str) -> list[int]:
        """An id for each symbol."""
        check_text(text)
        return [self._ids.get(symbol, UNK) for symbol in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """The symbols, joined by one space."""
        pieces = [UNKNOWN if id == UNK else self._vocabulary.piece(id) for id in ids if id not in self._silent]
        return " ".join(pieces)

    def save(self, folder: Path, name: str) -> None:
        """Write `{name}.json`."""
        write_json(folder / f"{name}.json", {**written(self), "pieces": self._vocabulary.pieces})
