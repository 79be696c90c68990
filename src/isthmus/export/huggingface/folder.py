"""A local folder of transformers: its configuration and its weights, without transformers and without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from isthmus.core.errors import InputError

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _not_a_model(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(values, dict):
        raise _not_a_model(path, type(values).__name__)
    return values


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder.

    Raises:
        InputError: there is no folder, or no configuration in it.
    """
    if not folder.is_dir():
        raise InputError(
            "a model of Hugging Face is a local folder",
            expected="a folder with config.json, model.safetensors and a tokenizer",
            got="a file" if folder.exists() else "nothing there",
            where=str(folder),
            fix="download the whole repository of the model, and name its folder",
        )
    values = read_json(folder / "config.json")
    if "model_type" not in values:
        raise _not_a_model(folder / "config.json", "no model_type")
    return values


@contextmanager
def described(folder: Path) -> Iterator[None]:
    """Say what is wrong with a `config.json` where a field that is needed is missing or no number.

    Raises:
        InputError: one is.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _not_a_model(folder / "config.json", f"{type(error).__name__}: {error}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights by name, in float32.

    Raises:
        InputError: there are none in safetensors format, or a file is damaged.
    """
    names = [_WHOLE]
    if not (folder / _WHOLE).is_file():
        if not (folder / _INDEX).is_file():
            raise _no_safetensors(folder)
        names = sorted({*_weight_map(folder).values()})
    found: dict[str, Tensor] = {}
    for name in names:
        try:
            found |= safetensors.torch.load_file(folder / Path(name).name)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(
                "the weights cannot be read",
                expected="a whole safetensors file",
                got=str(error),
                where=str(folder / Path(name).name),
                fix="copy the folder again",
            ) from None
    return {name: tensor.float() for name, tensor in found.items()}


def _weight_map(folder: Path) -> Mapping[str, str]:
    weights = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(weights, dict):
        raise _not_a_model(folder / _INDEX, "no weight_map")
    return weights


def _no_safetensors(folder: Path) -> InputError:
    others = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".h5", ".msgpack"))
    return InputError(
        "weights are read from safetensors only: other files may run code when they are opened",
        expected=_WHOLE,
        got=", ".join(others) or "no weights",
        where=str(folder),
        fix="open it with transformers on a machine where that may be, and save it again with save_pretrained",
    )


def _not_a_model(path: Path, got: str) -> InputError:
    return InputError(
        "this is not a model of Hugging Face",
        expected="a JSON object that describes one",
        got=got,
        where=str(path),
        fix="name the folder of a model, with all of its files",
    )
