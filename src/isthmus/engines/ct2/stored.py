"""CTranslate2's file of weights, read without CTranslate2: a list of variables, and other names for some of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from isthmus.core.errors import BundleError
from isthmus.engines.ct2.layout import layout
from isthmus.model.build import ModelConfig

VERSION = 6
TYPES: Final = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)


@dataclass(slots=True)
class _Reader:
    """Walks through the bytes of the file."""

    data: memoryview
    place: int = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        """The next numbers, in the form of `struct`."""
        found = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return found

    def text(self) -> str:
        """The next name; a zero byte ends it."""
        (length,) = self.numbers("<H")
        found = bytes(self.data[self.place : self.place + length - 1])
        self.place += length
        return found.decode()

    def tensor(self) -> Tensor:
        """The next tensor."""
        (rank,) = self.numbers("<B")
        shape = self.numbers(f"<{rank}I")
        kind, size = self.numbers("<BI")
        found = np.frombuffer(self.data, np.uint8, size, self.place).copy()
        self.place += size
        return torch.from_numpy(found).view(TYPES[kind]).reshape(shape)


def variables(path: Path) -> dict[str, Tensor]:
    """Every variable by name.

    Args:
        path: the file, `model.bin`.

    Raises:
        BundleError: it is damaged, or of another version.
    """
    try:
        reader = _Reader(memoryview(path.read_bytes()))
        (version,) = reader.numbers("<I")
        if version != VERSION:
            raise BundleError(
                "CTranslate2's weights are of another version",
                expected=f"version {VERSION}",
                got=f"version {version}",
                where=str(path),
                fix="export the model again",
            )
        reader.text()
        _, count = reader.numbers("<II")
        found = {reader.text(): reader.tensor() for _ in range(count)}
        (others,) = reader.numbers("<I")
        names = [(reader.text(), reader.text()) for _ in range(others)]
    except (OSError, ValueError, IndexError, struct.error, RuntimeError) as error:
        raise BundleError(
            "CTranslate2's weights cannot be read",
            got=f"{type(error).__name__}: {error}",
            where=str(path),
            fix="copy the bundle again",
        ) from None
    scales = [(f"{alias}_scale", f"{name}_scale") for alias, name in names if f"{name}_scale" in found]
    return found | {alias: found[name] for alias, name in [*names, *scales]}


def parameters(path: Path, config: ModelConfig, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The parameters of a model by our names, in float32: int8 weights are divided by the scale of their row.

    Args:
        path: the file, `model.bin`.
        config: of the model.
        shapes: the parameters that the model has, by name.

    Raises:
        BundleError: the file is damaged, or a variable is missing or of another shape.
    """
    stored = variables(path)
    found: dict[str, Tensor] = {}
    for slot in layout(config):
        if slot.variable not in stored:
            raise _missing(slot.variable, path)
        value = stored[slot.variable]
        scale = stored.get(f"{slot.variable}_scale")
        value = value.float() if scale is None else value.float() / scale.reshape(-1, *[1] * (value.dim() - 1))
        if slot.skipped:
            value = torch.cat([value.new_zeros(slot.skipped, *value.shape[1:]), value])
        own = [name for name in slot.parameters if name in shapes]
        rows = [shapes[name][0] for name in own]
        if len(own) == len(slot.parameters) and sum(rows) == value.shape[0]:
            found.update(zip(own, torch.split(value, rows), strict=True))
        elif own:
            raise _missing(slot.variable, path)
    return found


def _missing(variable: str, path: Path) -> BundleError:
    return BundleError(
        "CTranslate2's weights are of another model",
        expected=f"a variable {variable} as `config.json` describes it",
        got="none, or one of another shape",
        where=str(path),
        fix="export the model again",
    )
