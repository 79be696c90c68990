from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from isthmus.core.errors import CheckpointError
from isthmus.core.files import sha256
from isthmus.model.transformer import Transformer
from isthmus.train import checkpoint as module
from isthmus.train.checkpoint import Checkpoint, Checkpoints, flat, load_model, model_tensors, refuse_changes
from isthmus.train.state import Best, Position, TrainingState

NUMBERS = st.integers(0, 2**62)
STATES = st.builds(
    TrainingState,
    step=NUMBERS,
    position=st.builds(Position, NUMBERS, NUMBERS),
    source_tokens=NUMBERS,
    target_tokens=NUMBERS,
    skipped=NUMBERS,
    skipped_in_a_row=NUMBERS,
    best=st.none() | st.builds(Best, NUMBERS, st.floats(allow_nan=False, allow_infinity=False)),
    stale=NUMBERS,
    seen=st.text(),
)


def checkpoint(step: int, best: int | None = None) -> Checkpoint:
    tensors = {"a.weight": torch.full((3, 5), 1 / (step + 1)), "b": torch.arange(7)}
    state = TrainingState(step=step, position=Position(1, step), best=None if best is None else Best(best, 0.1))
    return Checkpoint(state, {"train.seed": 1, "names": ["a", "b"]}, tensors, {"exp_avg/b": torch.ones(2)}, {})


def same(one: Checkpoint | None, other: Checkpoint) -> bool:
    if one is None or (one.state, dict(one.identity)) != (other.state, dict(other.identity)):
        return False
    pairs = ((one.model, other.model), (one.optimiser, other.optimiser), (one.average, other.average))
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)
        for a, b in pairs
    )


@given(STATES)
def test_states_survive_json(state: TrainingState) -> None:
    assert TrainingState.of(json.loads(json.dumps(state.plain()))) == state


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() is None
    checkpoints.save(checkpoint(5))
    checkpoints.save(checkpoint(10))
    assert same(checkpoints.latest(), checkpoint(10))
    assert not same(checkpoints.latest(), checkpoint(5))


def test_equal_checkpoints_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Checkpoints(tmp_path / name).save(checkpoint(5))
    for path in (tmp_path / "a" / "step-00000005").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "step-00000005" / path.name).read_bytes()


def test_the_last_and_the_best_are_kept_and_leftovers_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    (tmp_path / ".step-00000003.torn").mkdir(parents=True)
    (tmp_path / ".latest.torn").write_text("step-0")
    for step in range(1, 7):
        checkpoints.save(checkpoint(step, best=2 if step >= 2 else None))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "latest", "step-00000002", "step-00000005", "step-00000006",
    ]  # fmt: skip


def test_a_step_that_a_killed_process_did_not_point_to_never_displaces_the_newest(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(checkpoint(5))
    pointer = (tmp_path / "latest").read_bytes()
    Checkpoints(tmp_path).save(checkpoint(20))
    (tmp_path / "latest").write_bytes(pointer)  # killed between the two; then resumed from step 5, and interrupted
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(checkpoint(12))
    assert same(checkpoints.latest(), checkpoint(12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-00000012"]


def test_every_flipped_byte_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    folder = checkpoints.save(checkpoint(5))
    chance = random.Random(7)
    paths = [*sorted(folder.iterdir()), tmp_path / "latest"]
    assert len(paths) == 6
    for _ in range(1000):
        path = chance.choice(paths)
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        whole = path.read_bytes()
        path.write_bytes(data)
        # A pointer whose hash is damaged cannot be told from a damaged manifest: the error names both.
        with pytest.raises(CheckpointError) as caught:
            checkpoints.latest()
        assert path.name in str(caught.value)
        path.write_bytes(whole)
    assert same(checkpoints.latest(), checkpoint(5))


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    (checkpoints.save(checkpoint(5)) / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoints.latest()


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMAT", 4)
    Checkpoints(tmp_path).save(checkpoint(5))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"(?s)newer format.*format 3 or older.*format 4"):
        Checkpoints(tmp_path).latest()


@pytest.mark.parametrize("older", [1, 2])
def test_an_older_checkpoint_is_read(older: int) -> None:
    found = Checkpoints(Path(__file__).with_name(f"checkpoints-of-format-{older}")).latest()
    assert found is not None
    expected, added = checkpoint(5, best=5), {"train.smoothing": "uniform"}
    if older == 1:
        added["train.objective.kind"] = "cross-entropy"
    assert same(found, replace(expected, identity={**expected.identity, **added}))


def test_tied_weights_are_stored_once_and_tied_after_loading(tmp_path: Path) -> None:
    tied, other = (Transformer(11, d_model=8, n_layers=1, n_heads=2) for _ in range(2))
    tensors = model_tensors(tied)
    assert sum(tensor.shape == (11, 8) for tensor in tensors.values()) == 1
    load_model(other, {name: tensor.clone() for name, tensor in tensors.items()})
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in tied.state_dict().items())
    assert len({id(parameter) for parameter in other.parameters() if parameter.shape == (11, 8)}) == 1


def test_weights_of_another_model_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="`weight` differs"):
        load_model(nn.Linear(2, 3), {"weight": torch.zeros(3, 3), "bias": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="`more` differs"):
        load_model(nn.Linear(2, 3), model_tensors(nn.Linear(2, 3)) | {"more": torch.zeros(1)})


def test_identities_are_compared_flat() -> None:
    before = flat({"train": {"seed": 1, "schedule": {"kind": "linear"}}, "names": ["a"]})
    assert before == {"train.seed": 1, "train.schedule.kind": "linear", "names": ["a"]}
    refuse_changes(before, before | {"names": ("a",)}, frozenset(), Path())
    with pytest.raises(
        CheckpointError, match=r"(?s)`new`, `train\.seed`.*new = None, train\.seed = 1.*new = 3, train\.seed = 2"
    ):
        refuse_changes(before, before | {"train.seed": 2, "new": 3}, frozenset({"tra", "train.schedule"}), Path())
    refuse_changes(before, before | {"train.seed": 2}, frozenset({"train"}), Path())


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path).save(checkpoint(5))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["state.json"] == sha256(folder / "state.json")
