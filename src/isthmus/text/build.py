"""From a configuration or a folder to a tokenizer: dispatch over the kinds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from isthmus.core.config import parse
from isthmus.core.errors import BundleError, DataError, InputError
from isthmus.text.characters import CharacterTokenizer
from isthmus.text.imported import ImportedConfig
from isthmus.text.named_pieces import NamedPiecesTokenizer
from isthmus.text.sentencepiece_tokenizer import SentencePieceTokenizer
from isthmus.text.symbols import SymbolTokenizer
from isthmus.text.tokenizer import FORMAT, CharacterConfig, SentencePieceConfig, SymbolConfig, Tokenizer, check_text
from isthmus.text.vocabulary import Vocabulary

MOST_TEXTS = 2_000_000


def train_tokenizer(
    config: SentencePieceConfig | CharacterConfig | SymbolConfig, texts: Iterable[str], seed: int = 0
) -> Tokenizer:
    """Learn a tokenizer from texts; the same texts in the same order give the same tokenizer.

    Of more than two million texts, SentencePiece sees a random two million. A corpus too small for the wanted
    vocabulary size gives a smaller one: see `tokenizer.vocabulary.size`.

    Args:
        config: which kind, and its numbers.
        texts: read once, to the end.
        seed: draws the two million.

    Raises:
        DataError: the texts hold nothing but white space, or one has a lone surrogate.
        ConfigError: the vocabulary size leaves no room for the reserved pieces and the characters.
    """
    checked = _checked(texts)
    match config:
        case SentencePieceConfig():
            return SentencePieceTokenizer.train(config, _some(checked, MOST_TEXTS, seed))
        case CharacterConfig():
            return CharacterTokenizer.train(config, checked)
        case SymbolConfig():
            return SymbolTokenizer.train(config, checked)


def load_tokenizer(folder: Path, name: str) -> Tokenizer:
    """Read a tokenizer that `save` wrote.

    Raises:
        BundleError: a file is missing or damaged, or of a newer format.
    """
    path = folder / f"{name}.json"
    values = _read(path)
    kind = values["config"].get("kind") if isinstance(values.get("config"), dict) else None
    try:
        match kind:
            case "sentencepiece":
                described = parse(SentencePieceConfig, values["config"], str(path))
                return SentencePieceTokenizer(described, (folder / f"{name}.model").read_bytes())
            case "characters":
                return CharacterTokenizer(parse(CharacterConfig, values["config"], str(path)), _vocabulary(values))
            case "symbols":
                return SymbolTokenizer(parse(SymbolConfig, values["config"], str(path)), _vocabulary(values))
            case "library":
                return _library(folder, name, values)
            case "named-pieces":
                described_pieces = parse(ImportedConfig, values["config"], str(path))
                return NamedPiecesTokenizer(described_pieces, (folder / f"{name}.model").read_bytes(), _pieces(values))
    except (InputError, OSError) as error:
        raise _damaged(path, str(error)) from error
    raise _damaged(path, f"kind = {kind!r}")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    number = values.get("format") if isinstance(values, dict) else None
    if not isinstance(number, int):
        raise _damaged(path, f"format = {number!r}")
    if number > FORMAT:
        raise BundleError(
            "the tokenizer was written by a newer Isthmus",
            expected=f"format {FORMAT} or older",
            got=f"format {number}",
            where=str(path),
            fix="upgrade isthmus",
        )
    return dict(values)


def _library(folder: Path, name: str, values: dict[str, Any]) -> Tokenizer:
    """A pipeline of the `tokenizers` library, which is needed for it alone."""
    if find_spec("tokenizers") is None:
        raise InputError(
            "the tokenizer of this model needs a library that is not installed",
            expected="tokenizers",
            got="none",
            where="the Python environment",
            fix="pip install 'isthmus[huggingface]'",
        )
    from isthmus.text.library import LibraryTokenizer

    config = parse(ImportedConfig, values["config"], str(folder / f"{name}.json"))
    pipeline = (folder / f"{name}.tokenizer.json").read_text(encoding="utf-8")
    return LibraryTokenizer(config, pipeline, int(values.get("size", 0)))


def _vocabulary(values: dict[str, Any]) -> Vocabulary:
    return Vocabulary(tuple(_pieces(values)))


def _pieces(values: dict[str, Any]) -> list[str]:
    pieces = values.get("pieces")
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise InputError("a tokenizer has pieces", expected="a list of strings", got=type(pieces).__name__)
    return pieces


def _damaged(path: Path, got: str) -> BundleError:
    return BundleError(
        "the files of the tokenizer cannot be read",
        expected="what `Tokenizer.save` wrote",
        got=got,
        where=str(path),
        fix="copy the whole bundle again, or train the tokenizer again",
    )


def _checked(texts: Iterable[str]) -> Iterable[str]:
    """The texts, until one is no Unicode; at the end, whether there was anything."""
    anything = False
    for number, text in enumerate(texts, start=1):
        try:
            check_text(text)
        except InputError as error:
            raise DataError(
                error.rule, expected=error.expected, got=error.got, where=f"text {number}", fix=error.fix
            ) from None
        anything = anything or bool(text.strip())
        yield text
    if not anything:
        raise DataError(
            "a tokenizer cannot be trained without text",
            expected="at least one text with a visible character",
            got="nothing but white space",
            fix="check the corpus: its path, its columns, its filters",
        )


def _some(texts: Iterable[str], most: int, seed: int) -> list[str]:
    """All texts, or a random choice of `most` of them (reservoir sampling: Vitter, 1985, algorithm R)."""
    remaining = iter(texts)
    chosen = list(islice(remaining, most))
    choose = random.Random(seed)
    for number, text in enumerate(remaining, start=most):
        place = choose.randrange(number + 1)
        if place < most:
            chosen[place] = text
    return chosen
