"""A SentencePiece model whose pieces have ids of their own, as Marian and M2M100 have: a name each, and the ids in `vocab.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import sentencepiece

from isthmus.core.errors import InputError
from isthmus.core.files import write_bytes, write_json
from isthmus.text.imported import ImportedConfig
from isthmus.text.tokenizer import Tokenizer, check_text, written
from isthmus.text.vocabulary import Vocabulary


@final
class NamedPiecesTokenizer(Tokenizer):
    """SentencePiece cuts; the vocabulary says the ids.

    Args:
        config: the special ids.
        model: the bytes of the `.spm` file.
        pieces: the name of each id.

    Raises:
        InputError: the bytes are no SentencePiece model, or a name comes twice.
    """

    def __init__(self, config: ImportedConfig, model: bytes, pieces: Sequence[str]) -> None:
        self._config, self._bytes = config, model
        self._vocabulary = Vocabulary(tuple(pieces), config.special)
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise InputError(
                "not a SentencePiece model", expected="the bytes of a .model or .spm file", got=str(error)
            ) from None
        silent = self._vocabulary.control | {self._vocabulary.eos}
        self._ids = {piece: id for id, piece in enumerate(pieces) if id not in silent}

    @property
    def config(self) -> ImportedConfig:
        """The special ids."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""
        return self._vocabulary

    @property
    def lossless(self) -> bool:
        """False: SentencePiece normalises, and pieces without an id are unknown."""
        return False

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces."""
        check_text(text)
        return [self._ids.get(piece, self._vocabulary.unk) for piece in self._processor.encode(text, out_type=str)]

    def decode(self, ids: Sequence[int]) -> str:
        """The pieces of the ids that are no control ids, joined."""
        silent = self._vocabulary.control | {self._vocabulary.eos}
        pieces = [self._vocabulary.piece(id) for id in ids if id not in silent]
        text: str = self._processor.decode_pieces(pieces)
        return text.strip()

    def save(self, folder: Path, name: str) -> None:
        """Write `{name}.model`, which SentencePiece reads as it is, and `{name}.json`."""
        write_bytes(folder / f"{name}.model", self._bytes)
        write_json(folder / f"{name}.json", {**written(self), "pieces": self._vocabulary.pieces})
