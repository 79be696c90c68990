"""Pieces learned by SentencePiece: unigram or BPE, lossless by byte fallback, with seeded sampling.

Kudo and Richardson, "SentencePiece: A simple and language independent subword tokenizer and detokenizer for neural
text processing", 2018.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

import sentencepiece

from isthmus.core.errors import ConfigError, DataError, InputError
from isthmus.core.files import write_bytes, write_json
from isthmus.text.segmentation import MergeSegmenter, Segmenter, UnigramSegmenter
from isthmus.text.sentencepiece_model import arranged, piece_names
from isthmus.text.tokenizer import UNKNOWN, SentencePieceConfig, Tokenizer, check_text, written
from isthmus.text.vocabulary import (
    BOS,
    EOS,
    MULTIPLE,
    PAD,
    PADDING,
    UNK,
    Vocabulary,
    padding_pieces,
    reserved_pieces,
)

_SPACE = "▁"
"""How SentencePiece writes a space; the character itself needs a detour."""
_NOT_LEARNED = str.maketrans("▁▅", "  ")
"""Characters that SentencePiece uses for itself: they cannot be learned, only spelled by bytes."""
_STAND_INS = range(0xF0000, 0x110000)
"""Characters for private use, one of which stands in for `▁`: one that neither the text nor a piece has."""


@final
class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model whose ids are those of the vocabulary.

    Args:
        config: what it was trained from.
        model: the bytes of the `.model` file.

    Raises:
        InputError: the bytes are no SentencePiece model, or its pieces break the order of a vocabulary.
    """

    def __init__(self, config: SentencePieceConfig, model: bytes) -> None:
        self._config = config
        self._bytes = model
        try:
            self._vocabulary = Vocabulary(tuple(piece_names(model)))
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (ValueError, IndexError, RuntimeError) as error:
            raise InputError(
                "not a SentencePiece model", expected="the bytes of a .model file", got=str(error)
            ) from None
        self._user_ids = frozenset(map(self._vocabulary.id, config.user_pieces))
        scores = self.scores() if config.sampling > 0 else {}
        self._segmenter: Segmenter = UnigramSegmenter(scores, config.sampling)
        if config.model == "bpe":
            self._segmenter = MergeSegmenter(scores, config.sampling)
        self._drawable = {piece: self._vocabulary.id(piece) for piece in (*scores, *config.user_pieces)}
        self._parts = _parts(config.user_pieces)
        self._private = frozenset(char for piece in self._vocabulary.pieces for char in piece if ord(char) >= 0xF0000)

    @classmethod
    def train(cls, config: SentencePieceConfig, texts: Iterable[str]) -> SentencePieceTokenizer:
        """Learn the pieces.

        Raises:
            ConfigError: the vocabulary size leaves no room for the reserved pieces and the characters.
            DataError: SentencePiece refuses the texts.
        """
        model = _trained(config, texts)
        reserved = reserved_pieces(config.languages, config.user_pieces)
        ordinary = len(piece_names(model)) - len(reserved) - len(PADDING)
        return cls(config, arranged(model, reserved, padding_pieces(len(reserved) + ordinary), PADDING))

    @property
    def config(self) -> SentencePieceConfig:
        """What it was trained from."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""
        return self._vocabulary

    @property
    def lossless(self) -> bool:
        """True with byte fallback."""
        return self._config.byte_fallback

    def encode(self, text: str) -> list[int]:
        """The ids of the best segmentation."""
        return self._segment(text, None)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of every text, in one call."""
        for text in texts:
            check_text(text)
        rows: list[list[int]] = self._processor.encode(list(texts), num_threads=1)
        for index, text in enumerate(texts):
            if _SPACE in text:
                rows[index] = self.encode(text)
        return rows

    def sample(self, text: str, seed: int) -> list[int]:
        """One random segmentation, a pure function of text and seed; `encode` if the configuration's `sampling` is 0.

        Unigram: from the lattice of all segmentations (Kudo, 2018). BPE: with merges dropped (Provilkov et al., 2020).
        """
        return self._segment(text, seed if self._config.sampling > 0 else None)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        try:
            text: str = self._processor.decode(list(ids))
        except IndexError:
            wrong = next(id for id in ids if not 0 <= id < self._vocabulary.size)
            raise InputError("no such id", expected=f"0 to {self._vocabulary.size - 1}", got=str(wrong)) from None
        return text

    def save(self, folder: Path, name: str) -> None:
        """Write `{name}.model`, which SentencePiece reads as it is, and `{name}.json`."""
        write_bytes(folder / f"{name}.model", self._bytes)
        write_json(folder / f"{name}.json", written(self))

    def scores(self) -> dict[str, float]:
        """The pieces that were learned, with their scores: log-probabilities, or for BPE the higher the earlier merged."""
        model = self._processor
        return {
            model.id_to_piece(id): model.get_score(id)
            for id in range(self._vocabulary.size)
            if id not in self._user_ids and not (model.is_control(id) or model.is_unknown(id) or model.is_byte(id))
        }

    def _segment(self, text: str, seed: int | None) -> list[int]:
        """One segmentation; `▁` goes through as a stand-in, whose bytes are then exchanged for those of `▁`.

        SentencePiece writes spaces as `▁` and would read a real one as a space.
        """
        check_text(text)
        if _SPACE not in text:
            return self._best(text) if seed is None else self._drawn(text, seed)
        stand_in = next(char for char in map(chr, _STAND_INS) if char not in text and char not in self._private)
        without = text.replace(_SPACE, stand_in)
        ids = self._best(without) if seed is None else self._drawn(without, seed)
        return _exchanged(ids, self._spelled(stand_in), self._spelled(_SPACE)) if self.lossless else ids

    def _best(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text)
        return ids

    def _drawn(self, text: str, seed: int) -> list[int]:
        """Cut word by word: no piece reaches over a space, so that the words are independent."""
        if not text:
            return []
        chance = random.Random(seed)
        ids: list[int] = []
        for part in self._parts.findall(_SPACE + text.replace(" ", _SPACE)):
            for piece in [part] if part in self._config.user_pieces else self._segmenter.draw(part, chance):
                if piece in self._drawable:
                    ids.append(self._drawable[piece])
                elif self.lossless:
                    ids += self._spelled(piece)
                elif ids[-1:] != [UNK]:
                    ids.append(UNK)
        return ids

    def _spelled(self, char: str) -> list[int]:
        """The ids of the bytes of a character."""
        return [self._vocabulary.id(f"<0x{byte:02X}>") for byte in char.encode()]


def _parts(user_pieces: Sequence[str]) -> re.Pattern[str]:
    """Finds user pieces, the longest first, and words: each begins with its space and ends before the next space or user piece."""
    own = [re.escape(piece) for piece in sorted(user_pieces, key=len, reverse=True)]
    character = f"(?!{'|'.join(own)})[^{_SPACE}]" if own else f"[^{_SPACE}]"
    return re.compile("|".join([*own, f"{_SPACE}(?:{character})*", f"(?:{character})+"]), re.DOTALL)


def _exchanged(ids: Sequence[int], old: Sequence[int], new: Sequence[int]) -> list[int]:
    """`ids` with every run `old` replaced by `new`."""
    result: list[int] = []
    index = 0
    while index < len(ids):
        found = list(ids[index : index + len(old)]) == list(old)
        result.extend(new if found else ids[index : index + 1])
        index += len(old) if found else 1
    return result


def _trained(config: SentencePieceConfig, texts: Iterable[str]) -> bytes:
    """The model as SentencePiece writes it: control pieces first, then user pieces, then the rest."""
    reserved = reserved_pieces(config.languages, config.user_pieces)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(text.translate(_NOT_LEARNED) for text in texts),
            model_writer=model,
            model_type=config.model,
            vocab_size=config.vocabulary_size + len(PADDING),
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            control_symbols=[*(piece for piece in reserved[EOS + 1 :] if piece not in config.user_pieces), *PADDING],
            user_defined_symbols=list(config.user_pieces),
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_piece=reserved[PAD],
            unk_piece=reserved[UNK],
            bos_piece=reserved[BOS],
            eos_piece=reserved[EOS],
            unk_surface=UNKNOWN,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=2**30,
            num_threads=2,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _refused(config, str(error)) from None
    return model.getvalue()


def _refused(config: SentencePieceConfig, message: str) -> ConfigError | DataError:
    """What SentencePiece's message means for the user."""
    room = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if room is None:
        return DataError("SentencePiece cannot learn from these texts", expected="ordinary text", got=message)
    least = -(-(int(room[1]) - len(PADDING)) // MULTIPLE) * MULTIPLE
    return ConfigError(
        "the vocabulary size leaves no room for the reserved pieces and the characters of the texts",
        expected=f"vocabulary_size = {least} or more",
        got=f"vocabulary_size = {config.vocabulary_size}",
        where="vocabulary_size",
        fix="raise vocabulary_size, or lower character_coverage so that rare characters get no piece of their own",
    )
