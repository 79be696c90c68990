"""Checkpoints: the whole state of training on the disk, exact to the bit, or not there at all.

checkpoints/
    latest                      names the newest whole checkpoint and the SHA-256 of its manifest; switched last
    step-00000200/
        model.safetensors       weights; tied ones once
        optimiser.safetensors   moments and step counts, by parameter
        average.safetensors     what the average keeps
        state.json              counters, position in the data, memory of the best; and what must not change: recipe, data, choices
        manifest.json           SHA-256 of each file
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from isthmus.core.errors import CheckpointError, TrainingError
from isthmus.core.files import new_folder, sha256, write_text
from isthmus.train.state import TrainingState

FORMAT = 3
TENSOR_FILES = ("model.safetensors", "optimiser.safetensors", "average.safetensors")
STATE, MANIFEST, LATEST = "state.json", "manifest.json", "latest"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One moment of training.

    Attributes:
        state: counters and position.
        identity: what a run that goes on from here must have in common with this one: flat names, plain values.
        model: weights, by name.
        optimiser: the optimiser's state.
        average: what the average keeps.
    """

    state: TrainingState
    identity: Mapping[str, Any]
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    average: Mapping[str, Tensor]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are; made when the first is saved.
        keep: how many of the last are kept, beside the best.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint whole, point `latest` to it, and remove those no longer kept.

        Raises:
            TrainingError: the disk refused; what was there before is untouched.
        """
        path = self.folder / _name(checkpoint.state.step)
        try:
            with new_folder(path) as folder:
                manifest = _write(folder, checkpoint)
            write_text(self.folder / LATEST, _pointer(path.name, manifest))
            self._prune(path, checkpoint.state)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                "a checkpoint could not be written",
                got=str(error),
                where=str(path),
                fix="make room or mend the disk, then resume: the checkpoint before it is whole",
            ) from error
        return path

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, every byte verified; `None` if there is none.

        Raises:
            CheckpointError: naming the file that is damaged, missing or of a newer format.
        """
        pointer = self.folder / LATEST
        if not pointer.exists():
            return None
        return _read(self._pointed(pointer))

    def _pointed(self, pointer: Path) -> Path:
        words = pointer.read_bytes().decode("utf-8", errors="replace").split(" ")
        path = self.folder / Path(words[0]).name
        if len(words) != 2 or not words[0].startswith("step-") or not path.is_dir():
            raise _damaged(pointer, "the name of a checkpoint and the hash of its manifest")
        if not (path / MANIFEST).is_file() or _pointer(path.name, (path / MANIFEST).read_bytes()) != " ".join(words):
            raise _damaged(path / MANIFEST, f"the SHA-256 that {pointer} has")
        return path

    def _prune(self, newest: Path, state: TrainingState) -> None:
        """Remove what is not kept any more, and what a killed process left: half a write, or a step that nothing points to."""
        steps = sorted(self.folder.glob("step-*"))
        kept = {path.name for path in [path for path in steps if path <= newest][-self.keep :]}
        if state.best is not None:
            kept.add(_name(state.best.step))
        for path in [*(path for path in steps if path.name not in kept), *self.folder.glob(".step-*")]:
            shutil.rmtree(path)
        for path in self.folder.glob(f".{LATEST}.*"):
            path.unlink()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one table with dotted names."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], allow: frozenset[str], where: Path) -> None:
    """Check that a run may go on from a checkpoint.

    Args:
        before: the identity in the checkpoint.
        now: the identity of the run that would go on.
        allow: fields that may differ; a table's name allows all in it.
        where: the checkpoints, for the error.

    Raises:
        CheckpointError: naming each field that differs.
    """
    now = json.loads(json.dumps(now))
    differing = [
        field for field in sorted({*before, *now}) if before.get(field) != now.get(field) and not _allowed(field, allow)
    ]
    if differing:
        raise CheckpointError(
            "this run differs from the one it would resume: " + ", ".join(f"`{field}`" for field in differing),
            expected=", ".join(f"{field} = {before.get(field)!r}" for field in differing),
            got=", ".join(f"{field} = {now.get(field)!r}" for field in differing),
            where=str(where),
            fix=" ".join(
                ["change it back, name another folder, or pass", *(f"--allow-changed {field}" for field in differing)]
            ),
        )


def _allowed(field: str, allow: frozenset[str]) -> bool:
    parts = field.split(".")
    return any(".".join(parts[:end]) in allow for end in range(1, len(parts) + 1))


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; tied ones once, under their first name."""
    seen: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            result[name] = tensor.detach()
    return result


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors into a model, in place.

    Raises:
        CheckpointError: names or shapes differ.
    """
    own = model_tensors(model)
    for name in sorted({*own, *tensors}):
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape:
            raise CheckpointError(
                "the checkpoint does not fit the model", got=f"`{name}` differs", where="model.safetensors"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def _write(folder: Path, checkpoint: Checkpoint) -> bytes:
    """Fill a folder; return its manifest. Hashes are of what was to be written, not of what a bad disk made of it."""
    hashes = {}
    for name, data in _files(checkpoint):
        (folder / name).write_bytes(data)
        hashes[name] = sha256_of(data).hexdigest()
    manifest = _json({"format": FORMAT, "files": hashes})
    (folder / MANIFEST).write_bytes(manifest)
    return manifest


def _files(checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """The files by name, one at a time in memory."""
    contents = (checkpoint.model, checkpoint.optimiser, checkpoint.average)
    for name, tensors in zip(TENSOR_FILES, contents, strict=True):
        yield name, save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
    yield STATE, _json({"identity": dict(checkpoint.identity), "state": checkpoint.state.plain()})


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _read(path: Path) -> Checkpoint:
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] > FORMAT:
        raise CheckpointError(
            "this checkpoint is of a newer format",
            expected=f"format {FORMAT} or older",
            got=f"format {manifest['format']}",
            where=str(path / MANIFEST),
            fix="install a newer version",
        )
    for name, expected in manifest["files"].items():
        if not (path / name).is_file() or sha256(path / name) != expected:
            raise _damaged(path / name, f"SHA-256 {expected}")
    values = json.loads((path / STATE).read_text(encoding="utf-8"))
    if manifest["format"] == 1:
        values = _from_format_1(values)
    if manifest["format"] <= 2:
        values = _from_format_2(values)
    model, optimiser, average = (load_file(path / name) for name in TENSOR_FILES)
    return Checkpoint(TrainingState.of(values["state"]), values["identity"], model, optimiser, average)


def _from_format_1(values: Mapping[str, Any]) -> dict[str, Any]:
    """Then there was one objective, and nothing was noted of the examples that were read."""
    identity = {"train.objective.kind": "cross-entropy", **values["identity"]}
    if "data.encoded" in identity:
        identity["data.train"] = identity.pop("data.encoded")
    return {"identity": identity, "state": {"seen": "", **values["state"]}}


def _from_format_2(values: Mapping[str, Any]) -> dict[str, Any]:
    """Then label smoothing was spread over all pieces alike."""
    return {**values, "identity": {"train.smoothing": "uniform", **values["identity"]}}


def _damaged(path: Path, expected: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint's file {path.name} is damaged",
        expected=expected,
        got="other bytes" if path.exists() else "nothing there",
        where=str(path),
        fix="restore the file from a copy, or train again in another folder",
    )


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _pointer(name: str, manifest: bytes) -> str:
    return f"{name} {sha256_of(manifest).hexdigest()}\n"
