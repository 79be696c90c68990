"""Characters: in and out, unknown ones, the user's pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import BundleError, DataError, InputError
from isthmus.text.build import load_tokenizer, train_tokenizer
from isthmus.text.characters import CharacterTokenizer
from isthmus.text.tokenizer import CharacterConfig
from isthmus.text.vocabulary import BOS, EOS, PAD, UNK

CONFIG = CharacterConfig(languages=("fr",), user_pieces=("<n>", "<n>x", "q"))
TRAINED = CharacterTokenizer.train(CONFIG, ["banana <n>\n", "été q", "</s><2fr>"])


@given(st.text(alphabet="ban été\n</s2fr>q", max_size=31))
def test_known_characters_come_back_without_control_ids(text: str) -> None:
    ids = TRAINED.encode(text)
    assert TRAINED.decode(ids) == text
    assert not (TRAINED.vocabulary.control | {EOS}) & set(ids)
    assert TRAINED.sample(text, 3) == ids


@given(st.text(max_size=13))
def test_any_text_has_ids_and_only_the_unknown_is_lost(text: str) -> None:
    ids = TRAINED.encode(text)
    assert not (TRAINED.vocabulary.control - {UNK} | {EOS}) & set(ids)
    assert all(
        back in (char, "\ufffd") for back, char in zip(TRAINED.decode(ids), text, strict=True) if "<n>" not in text
    )


def test_frequent_characters_come_first() -> None:
    ordinary = CharacterTokenizer.train(CharacterConfig(), ["cbbaa"]).vocabulary.pieces[138:141]
    assert ordinary == ("a", "b", "c")


def test_user_pieces_are_whole_and_the_longest_wins() -> None:
    assert TRAINED.pieces(TRAINED.encode("a<n>x<n>q")) == ["a", "<n>x", "<n>", "q"]
    assert TRAINED.vocabulary.pieces.count("q") == 1


def test_control_text_is_plain_characters() -> None:
    assert TRAINED.pieces(TRAINED.encode("</s>")) == ["<", "/", "s", ">"]


def test_unknown_and_control_ids() -> None:
    assert TRAINED.encode("a☃") == [TRAINED.vocabulary.id("a"), UNK]
    assert TRAINED.decode([BOS, TRAINED.vocabulary.id("a"), UNK, EOS, PAD, TRAINED.vocabulary.size - 1]) == "a\ufffd"
    assert not TRAINED.lossless
    for wrong in (-1, TRAINED.vocabulary.size):
        with pytest.raises(InputError, match=f"got: {wrong}"):
            TRAINED.decode([wrong])


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(InputError, match=r"U\+DC00 at character 2"):
        TRAINED.encode("ab\udc00")
    with pytest.raises(DataError, match="where: text 2"):
        train_tokenizer(CharacterConfig(), ["fine", "\ud800"])


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    TRAINED.save(tmp_path, "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target.json"]
    again = load_tokenizer(tmp_path, "target")
    assert isinstance(again, CharacterTokenizer)
    assert (again.config, again.vocabulary) == (TRAINED.config, TRAINED.vocabulary)
    assert again.encode("été <n>") == TRAINED.encode("été <n>")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"format": 1', '"format": 2', "newer Isthmus"),
        ('"format": 1', '"format": null', "format = None"),
        ('"kind": "characters"', '"kind": "words"', "kind = 'words'"),
        ('"<unk>"', '"<huh>"', "<unk> as id 1"),
        ('"<unk>"', "7", "a list of strings"),
        ('"pieces"', '"peaces"', "a list of strings"),
        ('"languages"', '"langages"', "did you mean `languages`"),
        ("{", "", "cannot be read"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    TRAINED.save(tmp_path, "t")
    path = tmp_path / "t.json"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(BundleError, match=says):
        load_tokenizer(tmp_path, "t")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nothing\.json"):
        load_tokenizer(tmp_path, "nothing")
