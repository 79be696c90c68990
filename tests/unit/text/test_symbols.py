"""Symbols: split on white space, joined by one space."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import DataError, InputError
from isthmus.text.build import load_tokenizer, train_tokenizer
from isthmus.text.symbols import SymbolTokenizer
from isthmus.text.tokenizer import SymbolConfig
from isthmus.text.vocabulary import EOS, UNK

TRAINED = SymbolTokenizer.train(
    SymbolConfig(languages=("en",), user_pieces=("JUMP",)), ["K AE1 T", "AE1 ▁ T </s> <pad_0> <2en> JUMP", "T"]
)


@given(st.lists(st.sampled_from(["K", "AE1", "T", "▁", "JUMP"]), max_size=11))
def test_known_symbols_come_back(symbols: list[str]) -> None:
    ids = TRAINED.encode("  ".join(symbols))
    assert TRAINED.decode(ids) == " ".join(symbols)
    assert len(ids) == len(symbols)


@given(st.text(max_size=11))
def test_any_text_has_ids_without_control(text: str) -> None:
    assert not (TRAINED.vocabulary.control - {UNK} | {EOS}) & set(TRAINED.encode(text))


def test_frequent_symbols_come_first() -> None:
    assert TRAINED.vocabulary.pieces[140:144] == ("T", "AE1", "K", "▁")


def test_symbols_that_spell_control_pieces_are_unknown() -> None:
    assert TRAINED.encode("T </s> <2en> <pad_0> <unk> <s> new") == [TRAINED.vocabulary.id("T"), *[UNK] * 6]
    assert TRAINED.decode([UNK, EOS]) == "\ufffd"
    assert not TRAINED.lossless


def test_errors() -> None:
    with pytest.raises(InputError, match=r"U\+D800"):
        TRAINED.encode("T \ud800")
    with pytest.raises(InputError, match="no such id"):
        TRAINED.decode([TRAINED.vocabulary.size])
    with pytest.raises(DataError, match="without text"):
        train_tokenizer(SymbolConfig(), [" ", ""])


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    TRAINED.save(tmp_path, "t")
    again = load_tokenizer(tmp_path, "t")
    assert isinstance(again, SymbolTokenizer)
    assert (again.config, again.vocabulary) == (TRAINED.config, TRAINED.vocabulary)
    assert again.encode_batch(["K T", ""]) == [TRAINED.encode("K T"), []]
