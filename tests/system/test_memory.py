"""Batches as large as the memory holds: chosen once a run, said, and kept when it goes on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.system.command import isthmus, write_pairs

pytestmark = pytest.mark.slow


def tokens(out: Path) -> object:
    return tomllib.loads((out / "recipe.toml").read_text(encoding="utf-8"))["data"]["batch"]["tokens"]


def test_auto_is_resolved_once_and_kept(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train = ("train", "recipe.toml", "--out", "run", "data.batch.tokens=auto")
    done = isthmus(*train, "train.steps=6", folder=tmp_path)
    assert done.code == 0, done.err
    assert "memory: " in done.err
    assert tokens(tmp_path / "run") == 512
    again = isthmus(*train, "train.steps=9", "--allow-changed", "train.steps", folder=tmp_path)
    assert again.code == 0, again.err
    assert "memory: " not in again.err
    assert tokens(tmp_path / "run") == 512


def test_a_size_in_words_is_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    done = isthmus("train", "recipe.toml", "--out", "run", "data.batch.tokens=most", folder=tmp_path)
    assert done.code == 2
    assert "data.batch.tokens" in done.err
    assert not (tmp_path / "run").exists()
