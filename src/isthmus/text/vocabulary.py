"""The ids of a model: reserved pieces first, in a fixed order, then what the tokenizer learned, then padding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.core.errors import ConfigError, InputError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SEP, MASK = 4, 5
SENTINELS = 100
SPARES = 32
MULTIPLE = 8

_FIRST = ("<pad>", "<unk>", "<s>", "</s>", "<sep>", "<mask>", *(f"<sentinel_{n}>" for n in range(SENTINELS)))
_SPARE = tuple(f"<spare_{n}>" for n in range(SPARES))
PADDING = tuple(f"<pad_{n}>" for n in range(MULTIPLE - 1))
"""The names of the padding pieces; a vocabulary has the first few of them, at its end."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_TAG = re.compile(r"<2([^<>]+)>")
_TAKEN = re.compile(r"</?s>|<(pad|unk|sep|mask|2[^<>]+|(sentinel|spare|pad)_[0-9]+|0x[0-9A-F]{2})>")


def language_piece(language: str) -> str:
    """The piece that asks for a language: `<2fr>` for `fr`."""
    return f"<2{language}>"


def check_languages(languages: Sequence[str]) -> None:
    """Refuse what is not a list of different BCP 47 tags.

    Raises:
        ConfigError: naming the first bad tag.
    """
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise ConfigError(
                "a language is named by its BCP 47 tag",
                expected="a tag such as en, fr or zh-Hant",
                got=repr(language),
                where="languages",
                fix="write the tag: letters, digits and hyphens",
            )
    _check_different(languages, "languages")


def check_user_pieces(user_pieces: Sequence[str]) -> None:
    """Refuse user pieces that are empty, unprintable, hold a space or the space mark, or spell a reserved piece.

    Raises:
        ConfigError: naming the first bad piece.
    """
    for piece in user_pieces:
        printable = piece.isprintable() and not set(piece) & set(" ▁▅")
        if not piece or not printable or _TAKEN.fullmatch(piece):
            raise ConfigError(
                "a piece of one's own is a printable word that is not reserved",
                expected="at least one character, no space, not such as </s>, <2fr>, <pad_0> or <0x41>",
                got=repr(piece),
                where="user_pieces",
                fix="choose another spelling, such as <name>",
            )
    _check_different(user_pieces, "user_pieces")


def _check_different(names: Sequence[str], where: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(
            f"{where} are named once each",
            expected="no name twice",
            got=", ".join(repeated),
            where=where,
            fix="remove the second mention",
        )


def reserved_pieces(languages: Sequence[str], user_pieces: Sequence[str]) -> tuple[str, ...]:
    """The pieces that every vocabulary begins with: specials, sentinels, language tags, user pieces, spares.

    Raises:
        ConfigError: a language or user piece cannot be used.
    """
    check_languages(languages)
    check_user_pieces(user_pieces)
    return (*_FIRST, *(language_piece(language) for language in languages), *user_pieces, *_SPARE)


def padding_pieces(size: int) -> tuple[str, ...]:
    """The pieces that fill `size` up to a multiple of 8."""
    return PADDING[: -size % MULTIPLE]


@dataclass(frozen=True, slots=True)
class Special:
    """Which ids of a vocabulary from elsewhere have a meaning of their own.

    Attributes:
        pad: fills up; any id that means nothing.
        unk: for what no piece can write.
        eos: ends a text.
        control: others that are never generated and never made from user text.
    """

    pad: int
    unk: int
    eos: int
    control: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The pieces of a model, in the order of their ids.

    Order: `<pad> <unk> <s> </s>`, `<sep>`, `<mask>`, 100 sentinels, language tags `<2xx>`, user pieces, 32 spares,
    ordinary pieces, padding pieces up to a multiple of 8. `Vocabulary.of` builds one; the constructor takes all
    pieces and checks their order.

    The vocabulary of a model from elsewhere has its own order and names its special ids.

    Attributes:
        pieces: every piece, reserved and padding ones included.
        special: the special ids of a vocabulary from elsewhere; `None` for one of ours.
        languages: the languages that have a tag.
        user_pieces: the pieces that the user asked for: ordinary in every way but that they are never cut.
        control: ids that are never generated and never made from user text: the reserved pieces but EOS and the
            user's, and the padding pieces.

    Raises:
        InputError: the order is broken, or a piece occurs twice.
    """

    pieces: tuple[str, ...]
    special: Special | None = None
    languages: tuple[str, ...] = field(init=False)
    user_pieces: tuple[str, ...] = field(init=False)
    control: frozenset[int] = field(init=False, repr=False, compare=False)
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.special is not None:
            self._set_from_elsewhere(self.special)
            return
        languages, user_pieces = _named(self.pieces)
        padding = _padding_at_end(self.pieces)
        ids = {piece: index for index, piece in enumerate(self.pieces)}
        reserved = reserved_pieces(languages, user_pieces)
        ordered = self.pieces[: len(reserved)] == reserved and len(reserved) + padding <= self.size
        if not ordered or self.size % MULTIPLE or len(ids) < self.size:
            raise _out_of_order(self.pieces, reserved, len(ids))
        user_ids = {ids[piece] for piece in user_pieces}
        control = {*range(len(reserved)), *range(self.size - padding, self.size)} - {EOS} - user_ids
        object.__setattr__(self, "languages", languages)
        object.__setattr__(self, "user_pieces", user_pieces)
        object.__setattr__(self, "control", frozenset(control))
        object.__setattr__(self, "_ids", ids)

    def _set_from_elsewhere(self, special: Special) -> None:
        ids = {piece: index for index, piece in enumerate(self.pieces)}
        if len(ids) < self.size:
            raise _out_of_order(self.pieces, (), len(ids))
        control = {special.pad, special.unk, *special.control} - {special.eos}
        object.__setattr__(self, "languages", ())
        object.__setattr__(self, "user_pieces", ())
        object.__setattr__(self, "control", frozenset(control))
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def of(cls, ordinary: Sequence[str], languages: Sequence[str] = (), user_pieces: Sequence[str] = ()) -> Vocabulary:
        """Put the reserved pieces before the ordinary ones, and padding after them.

        Raises:
            InputError: an ordinary piece has the name of a reserved one.
            ConfigError: a language or user piece cannot be used.
        """
        taken = sorted(set(PADDING) & set(ordinary))
        if taken:
            raise InputError("an ordinary piece has the name of a padding piece", expected="another", got=taken[0])
        pieces = (*reserved_pieces(languages, user_pieces), *ordinary)
        return cls((*pieces, *padding_pieces(len(pieces))))

    @property
    def size(self) -> int:
        """How many ids there are: in ours a multiple of 8."""
        return len(self.pieces)

    @property
    def pad(self) -> int:
        """The id that fills up."""
        return PAD if self.special is None else self.special.pad

    @property
    def unk(self) -> int:
        """The id of what no piece can write."""
        return UNK if self.special is None else self.special.unk

    @property
    def eos(self) -> int:
        """The id that ends a text."""
        return EOS if self.special is None else self.special.eos

    @property
    def sep(self) -> int:
        """The id of `<sep>`; -1 in a vocabulary from elsewhere, which has none."""
        return SEP if self.special is None else -1

    @property
    def mask(self) -> int:
        """The id of `<mask>`; -1 in a vocabulary from elsewhere."""
        return MASK if self.special is None else -1

    def __contains__(self, piece: str) -> bool:
        return piece in self._ids

    def id(self, piece: str) -> int:
        """The id of a piece.

        Raises:
            InputError: there is no such piece.
        """
        if piece not in self._ids:
            raise InputError("no such piece", expected=f"one of the {self.size} pieces", got=repr(piece))
        return self._ids[piece]

    def piece(self, id: int) -> str:
        """The piece of an id.

        Raises:
            InputError: the id is negative or too large.
        """
        if not 0 <= id < self.size:
            raise InputError("no such id", expected=f"0 to {self.size - 1}", got=str(id))
        return self.pieces[id]

    def language(self, language: str) -> int:
        """The id of a language's tag: `language("fr")` is the id of `<2fr>`.

        Raises:
            InputError: the vocabulary has no such language.
        """
        if language not in self.languages:
            raise InputError(
                "the vocabulary has no such language",
                expected=", ".join(self.languages) or "none: it was made without languages",
                got=repr(language),
                fix="use one of these, or train a tokenizer whose `languages` name it",
            )
        return self._ids[language_piece(language)]

    def sentinel(self, n: int) -> int:
        """The id of the n-th sentinel, n = 0..99.

        Raises:
            InputError: n is outside.
        """
        if not 0 <= n < SENTINELS:
            raise InputError("no such sentinel", expected=f"0 to {SENTINELS - 1}", got=str(n))
        return self._ids[f"<sentinel_{n}>"]


def _named(pieces: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The languages and the user pieces: what stands between the last sentinel and the first spare."""
    end = pieces.index(_SPARE[0]) if _SPARE[0] in pieces else len(_FIRST)
    between = pieces[len(_FIRST) : end]
    tags = [tag for tag in map(_TAG.fullmatch, between) if tag]
    return tuple(tag[1] for tag in tags), tuple(between[len(tags) :])


def _padding_at_end(pieces: Sequence[str]) -> int:
    """How many pieces at the end are padding."""
    count = 0
    for n in range(MULTIPLE):
        if n and tuple(pieces[-n:]) == PADDING[:n]:
            count = n
    return count


def _out_of_order(pieces: Sequence[str], reserved: Sequence[str], different: int) -> InputError:
    if different < len(pieces):
        repeated = next(piece for index, piece in enumerate(pieces) if piece in pieces[:index])
        return InputError("a vocabulary has each piece once", expected="different pieces", got=f"{repeated!r} twice")
    if len(pieces) % MULTIPLE:
        return InputError(
            f"the size of a vocabulary is a multiple of {MULTIPLE}",
            expected=str(len(pieces) + -len(pieces) % MULTIPLE),
            got=str(len(pieces)),
            fix="use Vocabulary.of, which adds the padding pieces",
        )
    wrong = next((n for n, piece in enumerate(reserved) if n >= len(pieces) or pieces[n] != piece), 0)
    return InputError(
        "a vocabulary begins with the reserved pieces",
        expected=f"{reserved[wrong]} as id {wrong}",
        got=repr(pieces[wrong]) if wrong < len(pieces) else f"only {len(pieces)} pieces",
        fix="use Vocabulary.of, which puts them first",
    )
