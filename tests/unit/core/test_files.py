from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from isthmus.core import files
from isthmus.core.errors import InputError
from isthmus.core.files import (
    existing_file,
    new_file,
    new_folder,
    open_bytes,
    sha256,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    write_text(path, "again")
    assert path.read_text() == "again"
    assert names(path.parent) == ["b.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sha256(path) == hashlib.sha256(b"again").hexdigest()


def test_json_is_readable_and_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "é", "a": [1]})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text())["a"] == [1]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "x", b"old")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_a_file_written_in_pieces_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_file(tmp_path / "new" / "x") as file:
        file.write(b"1")
        assert not (tmp_path / "new" / "x").exists()
        file.write(b"2")
    assert (tmp_path / "new" / "x").read_bytes() == b"12"
    with pytest.raises(TypeError), new_file(tmp_path / "new" / "x") as file:
        file.writelines([b"3", "not bytes"])  # type: ignore[list-item]
    assert (tmp_path / "new" / "x").read_bytes() == b"12"
    assert names(tmp_path / "new") == ["x"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "one") as folder:
        (folder / "x").write_text("1")
        (folder / "sub").mkdir()
        (folder / "sub" / "y").write_text("2")
        assert not (tmp_path / "deep" / "one").exists()
    assert (tmp_path / "deep" / "one" / "sub" / "y").read_text() == "2"
    assert stat.S_IMODE((tmp_path / "deep" / "one").stat().st_mode) == 0o755
    with new_folder(tmp_path / "deep" / "one") as folder:
        (folder / "z").write_text("3")
        assert names(tmp_path / "deep" / "one") == ["sub", "x"]
    assert names(tmp_path / "deep" / "one") == ["z"]
    assert names(tmp_path / "deep") == ["one"]


@pytest.mark.parametrize("before", [True, False])
def test_a_failed_folder_leaves_what_was_there(tmp_path: Path, before: bool) -> None:
    if before:
        with new_folder(tmp_path / "one") as folder:
            (folder / "x").write_text("1")

    def stop_half_way() -> None:
        with new_folder(tmp_path / "one") as folder:
            (folder / "y").write_text("2")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half"):
        stop_half_way()
    assert names(tmp_path) == (["one"] if before else [])
    assert not before or names(tmp_path / "one") == ["x"]


def test_everything_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    real = files.sync

    def watch(path: Path) -> None:
        synced.append((path.name, (tmp_path / "one").exists()))
        real(path)

    monkeypatch.setattr(files, "sync", watch)
    with new_folder(tmp_path / "one") as folder:
        (folder / "x").write_text("1")
    assert synced[0] == ("x", False)
    assert synced[-1] == (tmp_path.name, True)
    assert [there for _, there in synced] == [False, False, True]


def test_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("1")
    assert existing_file(path, "the source") == path
    for wrong, rule, got, fix in (
        (tmp_path, "the source must be a file", "a folder", "name a file inside it"),
        (tmp_path / "y", "the source does not exist", "nothing there", f"the folder {tmp_path} exists"),
        (tmp_path / "z" / "y", "the source does not exist", "nothing there", "does not exist either"),
    ):
        with pytest.raises(InputError) as caught:
            existing_file(wrong, "the source")
        error = caught.value
        assert (error.rule, error.expected, error.got, error.where) == (rule, "a file", got, str(wrong))
        assert fix in error.fix


def test_plain_and_packed_files_read_alike(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"one\ntwo\n")
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    for name in ("x", "x.gz"):
        with open_bytes(tmp_path / name) as file:
            assert list(file) == [b"one\n", b"two\n"]
