"""Shortlists: what is learned, what CTranslate2 makes of it, and who can have none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.runtime import Runtime
from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.example import Example
from isthmus.engines.ct2.folder import save_into
from isthmus.engines.ct2.searcher import CTranslate2Searcher
from isthmus.engines.searcher import Wish
from isthmus.export.shortlist import Shortlist
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import SymbolConfig
from isthmus.text.vocabulary import EOS
from tests.unit.export.quiet import quiet_bundle

WORDS = [f"s{number}" for number in range(13)]
CONFIG = {
    "preset": "tiny",
    "d_model": 16,
    "embedding": {"tied": "none", "positions": {"maximum": 31}},
    "encoder": {"layers": 1},
    "decoder": {"layers": 1},
}


def pairs() -> list[Example]:
    """Each source word has its own target word, in any order, and `the` is everywhere."""
    draw = random.Random(3)
    rows = [draw.sample(WORDS, 4) for _ in range(300)]
    return [Example((" ".join(row),), " ".join(["the", *(f"t{word[1:]}" for word in reversed(row))])) for row in rows]


def codec() -> Codec:
    source = train_tokenizer(SymbolConfig(), [one.source for one in pairs()])
    return Codec(source, train_tokenizer(SymbolConfig(), [one.target for one in pairs()]), CodecConfig())


def test_a_word_becomes_its_translation() -> None:
    found = Shortlist.of(pairs(), codec())
    assert {word: found.likely[word][0] for word in WORDS} == {word: f"t{word[1:]}" for word in WORDS}
    assert found.common[0] in ("the", "</s>")
    rows = found.text().splitlines()
    assert rows[0].startswith("\t")
    assert all(row.count("\t") == 1 for row in rows)


def test_only_what_is_listed_can_come(tmp_path: Path) -> None:
    own = codec()
    sizes = own.source.vocabulary.size, own.target.vocabulary.size
    config = ModelConfig.of(CONFIG)
    torch.manual_seed(1)
    bundle = Bundle(build(config, *sizes).eval(), config, own)
    listed = Shortlist(("the",), {"s1": ("t1",), "s2": ("t2",)}).text()
    save_into(bundle, tmp_path, shortlist=listed)
    source = [own.source.vocabulary.id("s1"), EOS]
    free, bound = (
        CTranslate2Searcher(tmp_path, own, "float32", Runtime(threads=1), shortlist).search([[source]], [9], Wish(3, 3))
        for shortlist in (False, True)
    )
    ids = [{id for one in found[0][0] for id in one.ids} for found in (free, bound)]
    allowed = {own.target.vocabulary.id(piece) for piece in ("the", "t1", "<unk>", "<s>")}
    assert ids[1] <= allowed
    assert not ids[0] <= allowed


def test_pieces_with_white_space_have_none() -> None:
    with pytest.raises(InputError, match="divided by white space"):
        Shortlist.of([Example(("a b",), "a b")], quiet_bundle().codec)
