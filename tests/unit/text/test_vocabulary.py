"""The layout of ids is a contract: bundles and checkpoints rely on it."""

from __future__ import annotations

import pytest

from isthmus.core.errors import ConfigError, InputError
from isthmus.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary, check_languages, check_user_pieces, reserved_pieces

VOCABULARY = Vocabulary.of(["a", "b", "c"], ("en", "zh-Hant"), ("<name>", "§"))


def test_the_order_of_ids_is_the_contract() -> None:
    pieces = VOCABULARY.pieces
    assert pieces[:6] == ("<pad>", "<unk>", "<s>", "</s>", "<sep>", "<mask>")
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert pieces[6:106] == tuple(f"<sentinel_{n}>" for n in range(100))
    assert pieces[106:108] == ("<2en>", "<2zh-Hant>")
    assert pieces[108:110] == ("<name>", "§")
    assert pieces[110:142] == tuple(f"<spare_{n}>" for n in range(32))
    assert pieces[142:145] == ("a", "b", "c")
    assert pieces[145:] == tuple(f"<pad_{n}>" for n in range(7))
    assert VOCABULARY.size == 152


def test_names_are_found() -> None:
    assert (VOCABULARY.sep, VOCABULARY.mask, VOCABULARY.sentinel(0), VOCABULARY.sentinel(99)) == (4, 5, 6, 105)
    assert (VOCABULARY.language("en"), VOCABULARY.language("zh-Hant")) == (106, 107)
    assert all(VOCABULARY.id(VOCABULARY.piece(index)) == index for index in range(VOCABULARY.size))
    assert "a" in VOCABULARY
    assert "z" not in VOCABULARY


def test_control_is_everything_reserved_but_the_end_and_the_users_pieces() -> None:
    assert set(range(VOCABULARY.size)) - VOCABULARY.control == {EOS, 108, 109, 142, 143, 144}


@pytest.mark.parametrize("ordinary", range(17))
def test_the_size_is_a_multiple_of_8_and_only_padding_is_added(ordinary: int) -> None:
    vocabulary = Vocabulary.of([f"p{n}" for n in range(ordinary)])
    reserved = len(reserved_pieces((), ()))
    assert vocabulary.size % 8 == 0
    assert 0 <= vocabulary.size - reserved - ordinary < 8
    assert vocabulary.size - len(vocabulary.control) == ordinary + 1
    assert Vocabulary(vocabulary.pieces) == vocabulary


def test_the_names_are_read_back_from_the_pieces() -> None:
    again = Vocabulary(VOCABULARY.pieces)
    assert again.languages == ("en", "zh-Hant")
    assert again.user_pieces == ("<name>", "§")
    assert again.control == VOCABULARY.control


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ((), "<pad> as id 0"),
        (VOCABULARY.pieces[:143], "expected: 144"),
        (("x", *VOCABULARY.pieces[1:]), "got: 'x'"),
        ((*VOCABULARY.pieces[:142], "a", "a", *VOCABULARY.pieces[144:]), "'a' twice"),
        ((*VOCABULARY.pieces[:6], *VOCABULARY.pieces[7:], "q"), "<sentinel_0> as id 6"),
    ],
)
def test_broken_layouts_are_refused(pieces: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Vocabulary(pieces)


def test_ordinary_pieces_may_not_be_reserved() -> None:
    with pytest.raises(InputError, match="'<sep>' twice"):
        Vocabulary.of(["a", "<sep>"])
    with pytest.raises(InputError, match="padding piece"):
        Vocabulary.of(["a", "<pad_0>"])


@pytest.mark.parametrize("languages", [("",), ("english!",), ("e",), ("en_GB",), ("zh-",), ("fr", "fr"), ("2fr",)])
def test_languages_are_bcp_47_tags(languages: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="languages"):
        check_languages(languages)


@pytest.mark.parametrize(
    "pieces",
    [("",), ("a b",), ("a\n",), ("▁x",), ("</s>",), ("<2fr>",), ("<0x41>",), ("<pad_3>",), ("x", "x"), ("\ud800",)],
)
def test_user_pieces_are_printable_words_that_are_not_reserved(pieces: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="user_pieces"):
        check_user_pieces(pieces)


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match="got: 'z'"):
        VOCABULARY.id("z")
    for wrong in (-1, VOCABULARY.size):
        with pytest.raises(InputError, match=f"got: {wrong}"):
            VOCABULARY.piece(wrong)
    for wrong in (-1, 100):
        with pytest.raises(InputError, match="no such sentinel"):
            VOCABULARY.sentinel(wrong)
    with pytest.raises(InputError, match="expected: en, zh-Hant"):
        VOCABULARY.language("fr")
    with pytest.raises(InputError, match="made without languages"):
        Vocabulary.of([]).language("fr")
