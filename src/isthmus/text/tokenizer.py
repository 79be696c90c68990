"""What every tokenizer can do, how one is described, trained, saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from isthmus.core.config import Config
from isthmus.core.errors import InputError
from isthmus.text.imported import ImportedConfig
from isthmus.text.vocabulary import MULTIPLE, Vocabulary, check_languages, check_user_pieces

FORMAT = 1
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What `decode` writes for the unknown piece."""


class _Named(Config):
    """The names that every kind of tokenizer reserves ids for.

    Attributes:
        languages: BCP 47 tags; each gets a piece `<2xx>`.
        user_pieces: pieces that are never cut and may occur in text, such as `<name>`.
    """

    languages: tuple[str, ...] = ()
    user_pieces: tuple[str, ...] = ()

    @field_validator("languages")
    @classmethod
    def _good_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        check_languages(languages)
        return languages

    @field_validator("user_pieces")
    @classmethod
    def _good_user_pieces(cls, user_pieces: tuple[str, ...]) -> tuple[str, ...]:
        check_user_pieces(user_pieces)
        return user_pieces


class SentencePieceConfig(_Named):
    """Pieces learned from text by SentencePiece (Kudo and Richardson, 2018).

    Attributes:
        model: `unigram` (Kudo, 2018) or `bpe` (Sennrich et al., 2016).
        vocabulary_size: all ids, reserved and padding ones included: a multiple of 8. A small corpus may bear less.
        character_coverage: the share of the corpus's characters that get a piece of their own.
        byte_fallback: spell other characters by their UTF-8 bytes; without it they become the unknown piece.
        sampling: subword regularisation in `sample`; 0 is off. Unigram: the power alpha to which probabilities are
            raised, so that smaller is wilder (Kudo, 2018, section 3.2; 0.1 to 0.5 is usual). BPE: the probability
            that a merge is dropped (Provilkov et al., 2020; 0.1 is usual).
    """

    kind: Literal["sentencepiece"] = "sentencepiece"
    model: Literal["unigram", "bpe"] = "unigram"
    vocabulary_size: int = Field(8000, gt=0, multiple_of=MULTIPLE)
    character_coverage: float = Field(0.9995, gt=0, le=1)
    byte_fallback: bool = True
    sampling: float = Field(0.0, ge=0, le=1)


class CharacterConfig(_Named):
    """One piece a character (Unicode code point) that the training text has."""

    kind: Literal["characters"] = "characters"


class SymbolConfig(_Named):
    """One piece a symbol: text is split on white space, and joined again by one space."""

    kind: Literal["symbols"] = "symbols"


TokenizerConfig = Annotated[SentencePieceConfig | CharacterConfig | SymbolConfig, Field(discriminator="kind")]


class Tokenizer(ABC):
    """Text to ids and back; immutable, and safe to use from several threads."""

    @property
    @abstractmethod
    def config(self) -> SentencePieceConfig | CharacterConfig | SymbolConfig | ImportedConfig:
        """What it was trained from, or what is known of one from elsewhere."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""

    @property
    @abstractmethod
    def lossless(self) -> bool:
        """Whether `decode(encode(text)) == text` for every text without lone surrogates."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start and end; never a control id, but perhaps `UNK` if not lossless.

        Raises:
            InputError: the text has a lone surrogate, so it is no Unicode text.
        """

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids: control ids and `EOS` say nothing, `UNK` becomes U+FFFD.

        Raises:
            InputError: an id is negative or too large.
        """

    @abstractmethod
    def save(self, folder: Path, name: str) -> None:
        """Write the files `{name}.json` and, where there is a model, `{name}.model`."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of every text."""
        return [self.encode(text) for text in texts]

    def sample(self, text: str, seed: int) -> list[int]:
        """One random segmentation of a text, a pure function of text and seed; `encode` where there is no choice."""
        del seed
        return self.encode(text)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces of ids, for display.

        Raises:
            InputError: an id is negative or too large.
        """
        return [self.vocabulary.piece(id) for id in ids]


def check_text(text: str) -> None:
    """Refuse a text that cannot be written as UTF-8.

    Raises:
        InputError: it has a lone surrogate; the error says where.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "a text is Unicode without lone surrogates",
            expected="text that UTF-8 can write",
            got=f"U+{ord(text[error.start]):04X} at character {error.start}",
            fix="read the file as UTF-8 with errors='replace', or remove that character",
        ) from None


def written(tokenizer: Tokenizer) -> dict[str, Any]:
    """What `{name}.json` says of a tokenizer, besides its pieces."""
    return {"format": FORMAT, "config": tokenizer.config.model_dump(mode="json")}
