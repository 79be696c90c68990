"""Training that starts from a bundle: all weights, some, or a low-rank change; and resumed as if never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from isthmus.core.errors import BundleError, CheckpointError, ConfigError
from isthmus.core.runtime import Runtime
from isthmus.generate.load import load
from isthmus.model.bundle import Bundle, weights
from isthmus.workflows.recipe import Recipe, load_recipe
from isthmus.workflows.run import Request, run

BASE = """
[data]
train = [{ source = "pairs.tsv" }]
[tokenizer]
source = { kind = "characters" }
[codec]
max_source_length = 31
max_target_length = 31
[model]
d_model = 16
embedding = { positions = { maximum = 32 } }
encoder = { layers = 1, layer = { heads = 2, feed_forward = 11, dropout = 0.1 } }
connection = { kind = "multi-head-attention", heads = 2 }
decoder = { layers = 1, layer = { heads = 2, feed_forward = 11, dropout = 0.1 } }
[train]
steps = 2
precision = "float32"
[validation]
metrics = ["exact"]
sentences = 3
"""
TUNED = """
[data]
train = [{ source = "others.tsv" }]
[start]
bundle = "base"
%s
[train]
steps = 4
precision = "float32"
optimiser = { kind = "adam", learning_rate = 0.03 }
schedule = { kind = "constant" }
validate_every = 2
[validation]
metrics = ["exact"]
sentences = 3
"""
LORA = 'lora = { rank = 2, on = ["*.query", "decoder.*.value"] }'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, other pairs, and a run on the first."""
    place = tmp_path_factory.mktemp("start")
    for name, step in (("pairs.tsv", 1), ("others.tsv", 7)):
        rows = "".join(f"{number * step:03d}\t{str(number * step)[::-1]}\n" for number in range(101))
        (place / name).write_text(rows, encoding="utf-8")
    (place / "base.toml").write_text(BASE, encoding="utf-8")
    run(Request(load_recipe(place / "base.toml", [f'data.root="{place}"']), place), place / "base")
    return place


def tuned(folder: Path, what: str, *changes: str) -> Recipe:
    (folder / "tuned.toml").write_text(TUNED % what, encoding="utf-8")
    return load_recipe(folder / "tuned.toml", [f'data.root="{folder}"', *changes])


def moved(folder: Path, out: Path) -> dict[str, Tensor]:
    """What training has added to each weight of the base that is not the same any more."""
    before, after = (weights(Bundle.load(place / "best").model) for place in (folder / "base", out))
    assert before.keys() == after.keys()
    return {name: after[name] - before[name] for name in before if not torch.equal(before[name], after[name])}


def test_all_weights_go_on(folder: Path, tmp_path: Path) -> None:
    run(Request(tuned(folder, ""), folder), tmp_path)
    assert len(moved(folder, tmp_path)) > 20
    base, found = (Bundle.load(place / "best") for place in (folder / "base", tmp_path))
    assert found.config == base.config
    assert found.codec.fingerprint() == base.codec.fingerprint()


def test_what_is_frozen_stays(folder: Path, tmp_path: Path) -> None:
    run(
        Request(tuned(folder, 'frozen = ["encoder.layers.*", "encoder.final_norm.*", "head.weight"]'), folder), tmp_path
    )
    names = [*moved(folder, tmp_path)]
    assert names
    assert all(name.startswith("decoder.") for name in names)


def test_low_rank_changes_are_in_the_weights_of_the_bundle(folder: Path, tmp_path: Path) -> None:
    run(Request(tuned(folder, LORA), folder), tmp_path)
    found = moved(folder, tmp_path)
    assert sorted(found) == [
        "decoder.layers.0.attention.query.weight",
        "decoder.layers.0.attention.value.weight",
        "decoder.layers.0.connection.query.weight",
        "decoder.layers.0.connection.value.weight",
        "encoder.layers.0.attention.query.weight",
    ]
    assert {int(torch.linalg.matrix_rank(change, rtol=1e-3)) for change in found.values()} == {2}
    assert load(tmp_path).generate(["012"], num_beams=1, guards=False)


@pytest.mark.parametrize("what", ["", LORA])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    folder: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two probes of a busy machine can differ
    monkeypatch.setattr("isthmus.workflows.run.probe", lambda _precision: Runtime())
    run(Request(tuned(folder, what), folder), tmp_path / "whole")
    run(Request(tuned(folder, what, "train.steps=2"), folder), tmp_path / "parts")
    allowed = frozenset({"train.steps"})
    run(Request(tuned(folder, what), folder, resume=True, allow_changed=allowed), tmp_path / "parts")
    one, other = (
        load_file(tmp_path / name / "checkpoints" / "step-00000004" / "model.safetensors")
        for name in ("whole", "parts")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(name.endswith("up") for name in one) == bool(what)


def test_a_run_goes_on_only_from_the_same_start(folder: Path, tmp_path: Path) -> None:
    run(Request(tuned(folder, LORA, "train.steps=2"), folder), tmp_path)
    allowed = frozenset({"train.steps"})
    other = Request(tuned(folder, LORA.replace("rank = 2", "rank = 3")), folder, resume=True, allow_changed=allowed)
    with pytest.raises(CheckpointError, match=r"start\.lora\.rank"):
        run(other, tmp_path)


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ('frozen = ["nothing.*"]', ConfigError, "a pattern must be the name of something"),
        ('frozen = ["*"]', ConfigError, "something must be left to train"),
        ('lora = { on = ["*.layers.9.query"] }', ConfigError, "a pattern must be the name of something"),
        ('frozen = ["head.*"]\nlora = { rank = 2 }', ConfigError, "low-rank changes freeze every weight already"),
        ("[model]\nd_model = 8", ConfigError, "has the bundle's architecture and codec"),
        ("[codec]\nmax_source_length = 8", ConfigError, "has the bundle's architecture and codec"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path, what: str, error: Any, said: str) -> None:
    request = Request(tuned(folder, what), folder)
    with pytest.raises(error, match=said):
        run(request, tmp_path / "out")


def test_a_bundle_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    request = Request(tuned(folder, "", 'start.bundle="nowhere"'), folder)
    with pytest.raises(BundleError, match="not a bundle"):
        run(request, tmp_path / "out")
    assert not (tmp_path / "out").exists()
