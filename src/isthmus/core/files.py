"""Reading and writing files so that a crash never leaves half of one."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.core.errors import InputError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Ask the operating system to put a file or folder on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file to a temporary neighbour, sync it, rename it, sync the folder."""
    with new_file(path) as file:
        file.write(data)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary neighbour of a file to write to; on success it is synced and renamed to `path`.

    If the body raises, `path` is untouched and the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it is synced and renamed to `path` (replacing what was there).

    If the body raises, `path` is untouched and the temporary folder is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for item in sorted(temporary.rglob("*")):
            sync(item)
        sync(temporary)
        temporary.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(old / "was")
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def free_place(out: Path) -> None:
    """Refuse to write where something is.

    Raises:
        InputError: there is a file, or a folder that is not empty.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(
            "a new folder is written, and nothing replaced",
            expected="a name that is free",
            got="a file" if out.is_file() else "a folder that is not empty",
            where=str(out),
            fix="name another folder, or remove it",
        )


def existing_file(path: Path, what: str) -> Path:
    """Return `path` if it is a readable file.

    Raises:
        InputError: it is missing, or a folder.
    """
    if path.is_dir():
        raise InputError(
            f"{what} must be a file", expected="a file", got="a folder", where=str(path), fix="name a file inside it"
        )
    if not path.exists():
        near = f"the folder {path.parent} {'exists' if path.parent.is_dir() else 'does not exist either'}"
        raise InputError(
            f"{what} does not exist",
            expected="a file",
            got="nothing there",
            where=str(path),
            fix=f"check the path; {near}",
        )
    return path


def open_bytes(path: Path) -> Any:
    """Open a plain or `.gz` file for reading bytes."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
