"""What an output may and must say, from words to ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.generate.options import GenerationOptions
from isthmus.text.tokenizer import Tokenizer


def in_ids(options: GenerationOptions, codec: Codec) -> GenerationOptions:
    """The same options with ids in place of words.

    Args:
        options: those of a request.
        codec: of the model.

    Raises:
        InputError: an id is not in the vocabulary of the targets, or n-grams of the source are to be left out where source
            and target have different vocabularies.
    """
    if options.encoder_no_repeat_ngram_size > 0 and not codec.joint:
        raise InputError(
            "n-grams of the source mean nothing in the output: their ids are of different vocabularies",
            expected="a model with one vocabulary for source and target",
            got=f"encoder_no_repeat_ngram_size={options.encoder_no_repeat_ngram_size} and two vocabularies",
            where="generation options",
            fix="leave out `encoder_no_repeat_ngram_size`",
        )
    for name, id in _named_ids(options):
        if id >= codec.target.vocabulary.size:
            raise InputError(
                "no such id in the vocabulary of the targets",
                expected=f"0 to {codec.target.vocabulary.size - 1}",
                got=f"{name}: {id}",
                where="generation options",
                fix=f"correct `{name}`",
            )
    changed = _ruled_out(options, codec) | _required(options, codec) | _allowed(options, codec)
    return options.updated(changed) if changed else options


def _ruled_out(options: GenerationOptions, codec: Codec) -> dict[str, Any]:
    """`bad_words` in ids."""
    if not options.bad_words:
        return {}
    spelled = {ids for word in options.bad_words for ids in spellings(word, codec.target)}
    return {"bad_words": [], "bad_words_ids": sorted({*options.bad_words_ids, *spelled})}


def _required(options: GenerationOptions, codec: Codec) -> dict[str, Any]:
    """`force_words` in ids: of all spellings of all alternatives, one must come.

    Raises:
        InputError: there is no spelling.
    """
    if not options.force_words:
        return {}
    found = []
    for words in options.force_words:
        alternatives = (words,) if isinstance(words, str) else words
        spelled = sorted({ids for word in alternatives for ids in spellings(word, codec.target)})
        if not spelled:
            raise InputError(
                "what must come in the output cannot be written with the pieces of the model",
                expected="words of characters that it knows",
                got=", ".join(repr(word) for word in alternatives),
                where="force_words",
                fix="leave it out, or write it otherwise",
            )
        found.append(spelled)
    return {"force_words": [], "force_words_ids": [*options.force_words_ids, *found]}


def _allowed(options: GenerationOptions, codec: Codec) -> dict[str, Any]:
    """`allowed_outputs` in ids. Each is right and as long as it may be, so there is nothing to guard against.

    Raises:
        InputError: one of them cannot be written.
    """
    ids = {*options.allowed_outputs_ids, *(tuple(codec.target.encode(one)) for one in options.allowed_outputs)}
    if not ids:
        return {}
    unwritable = next(
        (one for one in options.allowed_outputs if codec.target.vocabulary.unk in codec.target.encode(one)), None
    )
    if unwritable is not None:
        raise InputError(
            "an allowed output cannot be written with the pieces of the model",
            expected="characters that it knows",
            got=repr(unwritable),
            where="allowed_outputs",
            fix="leave it out, or write it otherwise",
        )
    length = {"max_length": max(1, *map(len, ids))} if options.longest(1) is None else {}
    return {"allowed_outputs": [], "allowed_outputs_ids": sorted(ids), "guards": False} | length


def spellings(word: str, tokenizer: Tokenizer) -> set[tuple[int, ...]]:
    """The pieces of a word, as the tokenizer spells it at the beginning of a text and after a space.

    None if the tokenizer cannot spell it: then it cannot be generated.
    """
    before = tokenizer.encode("a")
    inside = tokenizer.encode(f"a {word}")
    found = {tuple(tokenizer.encode(word))}
    if inside[: len(before)] == before:
        found.add(tuple(inside[len(before) :]))
    return {ids for ids in found if ids and tokenizer.vocabulary.unk not in ids}


def _named_ids(options: GenerationOptions) -> Iterator[tuple[str, int]]:
    """Each id of the options, with the name of its option."""
    rows = {
        "suppress_tokens": options.suppress_tokens,
        "begin_suppress_tokens": options.begin_suppress_tokens,
        "force_words_ids": tuple(id for several in options.required for phrase in several for id in phrase),
        "allowed_outputs_ids": tuple(id for one in options.allowed_outputs_ids for id in one),
        "bad_words_ids": tuple(id for phrase in options.bad_words_ids for id in phrase),
        "forced_bos_token_id": options.beginning,
    }
    yield from ((name, id) for name, ids in rows.items() for id in ids)
