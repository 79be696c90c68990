"""The tokenizer of a folder of transformers, and the ids that its model wants around texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

from isthmus.core.errors import InputError
from isthmus.core.files import existing_file
from isthmus.data.codec import Codec, CodecConfig, Frame
from isthmus.export.huggingface.folder import read_json
from isthmus.text.imported import ImportedConfig
from isthmus.text.library import LibraryTokenizer, backend_of
from isthmus.text.named_pieces import NamedPiecesTokenizer
from isthmus.text.tokenizer import Tokenizer
from isthmus.text.vocabulary import Vocabulary

_MULTILINGUAL = ("mbart", "m2m_100")


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a folder is imported.

    Attributes:
        folder: the folder.
        values: its `config.json`.
        generation: its `generation_config.json`, or nothing.
        source_language: of sources, as the tokenizer names it; a model of many languages is imported for one pair.
        target_language: of targets.
    """

    folder: Path
    values: Mapping[str, Any]
    generation: Mapping[str, Any]
    source_language: str = ""
    target_language: str = ""


Template = tuple[tuple[int, ...], tuple[int, ...]]
"""The ids before a text and those behind it."""


def codec_of(asked: Asked, sizes: tuple[int, int], positions: int | None, template: Template | None = None) -> Codec:
    """The codec of a folder.

    Args:
        asked: what is imported.
        sizes: how many ids source and target have.
        positions: the most that the model reads.
        template: what stands around a source; `None` is what the tokenizer puts there.

    Raises:
        InputError: there is no tokenizer that can be read, or a language has to be named.
    """
    if (asked.folder / "tokenizer.json").is_file():
        source: Tokenizer = _library(asked, sizes[0])
        target = source
        template = around(asked.folder) if template is None else template
    else:
        source, target = _named_pieces(asked, sizes)
        template = (), (source.vocabulary.eos,)
    longest = min(1024, positions or 1024)
    frame = _frame(asked, source.vocabulary, target.vocabulary, template)
    return Codec(source, target, CodecConfig(max_source_length=longest, max_target_length=longest, frame=frame))


def _library(asked: Asked, size: int) -> LibraryTokenizer:
    path = asked.folder / "tokenizer.json"
    values = read_json(path)
    added = {str(one["content"]): one for one in values.get("added_tokens", [])}
    special = {int(one["id"]) for one in added.values() if one.get("special")}
    unk = _unknown_piece(asked, values)
    eos = _one_id(asked.values, "eos_token_id", path)
    pad = asked.values.get("pad_token_id")
    backend = backend_of(path.read_text(encoding="utf-8"))
    unk_id = None if unk is None else backend.token_to_id(unk)
    config = ImportedConfig(
        kind="library",
        pad=eos if pad is None else int(pad),
        unk=(eos if pad is None else int(pad)) if unk_id is None else unk_id,
        eos=eos,
        control=tuple(sorted(special - {eos})),
    )
    return LibraryTokenizer(config, path.read_text(encoding="utf-8"), size)


def _unknown_piece(asked: Asked, values: Mapping[str, Any]) -> str | None:
    path = asked.folder / "tokenizer_config.json"
    named = read_json(path).get("unk_token") if path.is_file() else None
    if isinstance(named, dict):
        named = named.get("content")
    return str(named) if named else values.get("model", {}).get("unk_token")


def around(folder: Path) -> Template:
    """What the pipeline of a folder puts before and behind a text.

    Raises:
        InputError: there is no pipeline.
    """
    path = folder / "tokenizer.json"
    backend = backend_of(existing_file(path, "the tokenizer").read_text(encoding="utf-8"))
    inner, whole = backend.encode("a", add_special_tokens=False).ids, backend.encode("a").ids
    place = next((n for n in range(len(whole)) if whole[n : n + len(inner)] == inner), None)
    if place is None:
        raise InputError(
            "a tokenizer puts ids around a text, and changes nothing in it",
            expected="the ids of a letter among those of the letter with what is put around it",
            got=f"{inner} and {whole}",
            where=str(path),
            fix="import another model",
        )
    return tuple(whole[:place]), tuple(whole[place + len(inner) :])


def _named_pieces(asked: Asked, sizes: tuple[int, int]) -> tuple[Tokenizer, Tokenizer]:
    """Marian has a SentencePiece model a side, M2M100 one for both."""
    folder = asked.folder
    one = folder / "sentencepiece.bpe.model"
    files = (one, one) if one.is_file() else (folder / "source.spm", folder / "target.spm")
    vocabularies = [folder / "vocab.json", folder / "vocab.json"]
    if (folder / "target_vocab.json").is_file():
        vocabularies[1] = folder / "target_vocab.json"
    if not all(path.is_file() for path in (*files, *vocabularies)):
        raise InputError(
            "the folder has no tokenizer that can be read",
            expected="tokenizer.json; or vocab.json with source.spm and target.spm, or with sentencepiece.bpe.model",
            got=", ".join(sorted(path.name for path in folder.iterdir())),
            where=str(folder),
            fix="open it with AutoTokenizer of transformers and save it with save_pretrained, which writes tokenizer.json",
        )
    sides = [
        _side(asked, file, vocabulary, size) for file, vocabulary, size in zip(files, vocabularies, sizes, strict=True)
    ]
    return (sides[0], sides[0]) if one.is_file() else (sides[0], sides[1])


def _side(asked: Asked, file: Path, vocabulary: Path, size: int) -> NamedPiecesTokenizer:
    ids = {str(piece): int(id) for piece, id in read_json(vocabulary).items()}
    names = {id: piece for piece, id in ids.items()}
    names |= _added(asked.folder, len(ids))
    pieces = [names.get(id, f"<unused_{id}>") for id in range(size)]
    eos = _one_id(asked.values, "eos_token_id", vocabulary)
    unused = {id for id in range(size) if id not in names}
    special = {ids[name] for name in ("<s>", "<pad>", "<unk>") if name in ids}
    languages = {id for id, piece in names.items() if _is_language(piece)}
    config = ImportedConfig(
        kind="named-pieces",
        pad=_one_id(asked.values, "pad_token_id", vocabulary),
        unk=ids.get("<unk>", eos),
        eos=eos,
        control=tuple(sorted({*special, *languages, *unused} - {eos})),
    )
    return NamedPiecesTokenizer(config, file.read_bytes(), pieces)


def _is_language(piece: str) -> bool:
    marks = (piece.startswith(">>") and piece.endswith("<<")), (piece.startswith("__") and piece.endswith("__"))
    return any(marks) and len(piece) > 4


def _added(folder: Path, size: int) -> dict[int, str]:
    """Pieces that `vocab.json` lacks: languages, most often. M2M100 counts them on behind it.

    Args:
        folder: of the tokenizer.
        size: how many pieces `vocab.json` has.
    """
    path = folder / "added_tokens.json"
    if path.is_file():
        return {int(id): str(piece) for piece, id in read_json(path).items()}
    path = folder / "tokenizer_config.json"
    described = read_json(path) if path.is_file() else {}
    if "language_codes" in described:
        codes = FAIRSEQ_LANGUAGE_CODES.get(str(described["language_codes"]), [])
        return {size + number: f"__{code}__" for number, code in enumerate(codes)}
    return {int(id): str(one["content"]) for id, one in described.get("added_tokens_decoder", {}).items()}


def _frame(
    asked: Asked,
    source: Vocabulary,
    target: Vocabulary,
    template: Template,
) -> Frame:
    """What stands around texts, for the languages that were asked for."""
    kind = str(asked.values["model_type"])
    (before, after), eos = template, source.eos
    start = asked.values.get("decoder_start_token_id", asked.generation.get("decoder_start_token_id"))
    start = asked.values.get("pad_token_id") if start is None else start
    forced = asked.generation.get("forced_bos_token_id", asked.values.get("forced_bos_token_id"))
    first = () if forced is None else (int(forced),)
    many = kind in _MULTILINGUAL and _speaks_many(source)
    if many:
        spoken = _language(source, asked.source_language, "source"), _language(target, asked.target_language, "target")
        if kind == "mbart" and not _prefixes(asked.folder):
            return Frame(before=(), after=(eos, spoken[0]), start=spoken[1], first=())
        return Frame(before=(spoken[0],), after=(eos,), start=int(start or eos), first=(spoken[1],))
    if kind == "marian" and f">>{asked.target_language}<<" in source:
        before = (source.id(f">>{asked.target_language}<<"),)
    return Frame(before=before, after=after, start=int(start or 0), first=first)


def _prefixes(folder: Path) -> bool:
    """Whether it is mBART-50, which says the language first; the mBART before says it last."""
    path = folder / "tokenizer_config.json"
    return path.is_file() and "50" in str(read_json(path).get("tokenizer_class", ""))


def _speaks_many(vocabulary: Vocabulary) -> bool:
    return any(piece in vocabulary for piece in ("en_XX", "__en__", "eng_Latn"))


def _language(vocabulary: Vocabulary, language: str, side: str) -> int:
    """The id of a language: `fr` is `__fr__` or `fr_XX`, and `fra_Latn` itself."""
    codes = [language, f"__{language}__", f"{language}_XX"]
    start = f"{language}_"
    longer = [piece for piece in vocabulary.pieces if language and piece.startswith(start) and len(piece) <= 8]
    found = next((code for code in (*codes, *longer) if language and code in vocabulary), None)
    if found is None:
        raise InputError(
            "a model of many languages is imported for one pair of them",
            expected=f"the {side} language, as the tokenizer names it",
            got=repr(language),
            where=f"--{side}-language",
            fix="name it: en or fr, and for NLLB eng_Latn or fra_Latn",
        )
    return vocabulary.id(found)


def _one_id(values: Mapping[str, Any], field: str, where: Path) -> int:
    value = values.get(field)
    if not isinstance(value, int):
        raise InputError(
            "a model names its special ids",
            expected=f"{field}, a whole number",
            got=repr(value),
            where=str(where.parent / "config.json"),
            fix="copy the folder again",
        )
    return value
