"""Two processes train as one does: `torchrun -m isthmus train` on this machine, over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.command import Done, ended, isthmus, last_step, started, write_pairs

pytestmark = pytest.mark.slow

SMOOTH = ("model.encoder.layer.activation=gelu", "model.decoder.layer.activation=gelu")
"""A rectifier at 0 can turn the last bit of a sum into another gradient."""

TRAIN = ("train", "recipe.toml", "train.accumulate=2", "data.batch.tokens=256", *SMOOTH)


def together(*arguments: object, folder: Path, processes: int = 2) -> subprocess.Popen[bytes]:
    """Start a command in two processes, or more."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", "isthmus", *map(str, arguments)],
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "ISTHMUS_DATA"}, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that a torchrun has started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, check=True)
    return [int(word) for word in found.stdout.split()]


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["event"] == "stepped"]


def seen(out: Path) -> list[str]:
    """The digests of the examples read, update after update."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["seen"] for line in lines if line["event"] == "stepped"]


def same(one: Path, other: Path) -> bool:
    """Whether two runs left the same log and the same model, byte for byte."""
    files = ("metrics.jsonl", "best/model.safetensors")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_pairs(folder)
    return folder


@pytest.fixture(scope="module")
def two(folder: Path) -> Done:
    done = ended(together(*TRAIN, "--out", "two", folder=folder))
    assert done.code == 0, done.err
    return done


def test_two_processes_learn_what_one_learns(two: Done, folder: Path) -> None:
    done = isthmus(*TRAIN, "--out", "one", folder=folder)
    assert done.code == 0, done.err
    assert losses(folder / "two") == pytest.approx(losses(folder / "one"), rel=1e-5)
    assert two.err.count("scores on the development set") == 1  # the second process says nothing


@pytest.mark.parametrize("victim", [0, 1])
def test_either_may_be_killed(two: Done, folder: Path, victim: int) -> None:
    assert two.code == 0
    out = folder / f"killed-{victim}"
    process = together(*TRAIN, "--out", out.name, folder=folder)
    while process.poll() is None and last_step(out) < 70:
        time.sleep(0.005)
    os.kill(sorted(workers(process))[victim], signal.SIGKILL)
    assert ended(process).code != 0
    assert 0 < last_step(out) < 180
    done = ended(together(*TRAIN, "--out", out.name, folder=folder))
    assert done.code == 0, done.err
    assert same(out, folder / "two")


def test_one_goes_on_from_the_checkpoint_of_two(two: Done, folder: Path) -> None:
    assert two.code == 0
    out = folder / "moved"
    process = together(*TRAIN, "--out", "moved", folder=folder)
    while process.poll() is None and last_step(out) < 70:
        time.sleep(0.005)
    for worker in workers(process):
        os.kill(worker, signal.SIGTERM)
    ended(process)
    assert 0 < last_step(out) < 180
    done = isthmus(*TRAIN, "--out", "moved", folder=folder)
    assert done.code == 0, done.err
    assert losses(out) == pytest.approx(losses(folder / "two"), rel=1e-5)


def test_two_go_on_from_the_checkpoint_of_three(folder: Path) -> None:
    train = ("train", "recipe.toml", "train.accumulate=6", "data.batch.tokens=128", *SMOOTH, "--out")
    process = together(*train, "three", folder=folder, processes=3)
    while process.poll() is None and last_step(folder / "three") < 70:
        time.sleep(0.005)
    for worker in workers(process):
        os.kill(worker, signal.SIGTERM)
    ended(process)
    assert 0 < last_step(folder / "three") < 180
    for done in (
        ended(together(*train, "three", folder=folder)),
        isthmus(*train, "alone", folder=folder),
    ):
        assert done.code == 0, done.err
    assert losses(folder / "three") == pytest.approx(losses(folder / "alone"), rel=1e-5)
    assert seen(folder / "three") == seen(folder / "alone")


def test_two_with_divided_weights_learn_the_same_and_go_on_from_one(two: Done, folder: Path) -> None:
    """Begun by one process, which is stopped; ended by two, each of which holds half of the weights."""
    assert two.code == 0
    out = folder / "sharded"
    train = (*TRAIN, "distributed.shard=true", "--out", out.name)
    one = started(train, folder)
    while one.poll() is None and last_step(out) < 70:
        time.sleep(0.005)
    one.send_signal(signal.SIGTERM)
    ended(one)
    assert 0 < last_step(out) < 180
    done = ended(together(*train, folder=folder))
    assert done.code == 0, done.err
    assert losses(out) == pytest.approx(losses(folder / "two"), rel=1e-5)


def test_two_orthogonalise_divided_weights_as_one_does(folder: Path) -> None:
    muon = (*TRAIN, 'train.optimiser={kind="muon"}')
    for done in (
        ended(together(*muon, "distributed.shard=true", "--out", "muon-two", folder=folder)),
        isthmus(*muon, "--out", "muon-one", folder=folder),
    ):
        assert done.code == 0, done.err
    assert losses(folder / "muon-two") == pytest.approx(losses(folder / "muon-one"), rel=1e-4)


def test_one_goes_on_from_two_with_divided_weights(two: Done, folder: Path) -> None:
    assert two.code == 0
    out = folder / "together-again"
    train = (*TRAIN, "distributed.shard=true", "--out", out.name)
    process = together(*train, folder=folder)
    while process.poll() is None and last_step(out) < 70:
        time.sleep(0.005)
    for worker in workers(process):
        os.kill(worker, signal.SIGTERM)
    ended(process)
    assert 0 < last_step(out) < 180
    done = isthmus(*train, folder=folder)
    assert done.code == 0, done.err
    assert losses(out) == pytest.approx(losses(folder / "two"), rel=1e-5)


LANES = (*TRAIN, "data.train=[]", "data.shards=shards/manifest.json", "data.cache=own")


@pytest.fixture(scope="module")
def lanes(folder: Path) -> Path:
    """A run of two processes, each of which reads its own shards."""
    divided = isthmus(
        "shard", "--source", "train.digits", "--target", "train.names", "--out", "shards", "--count", "5", folder=folder
    )
    assert divided.code == 0, divided.err
    assert divided.out.strip().endswith("5 shards: shards/manifest.json")
    done = ended(together(*LANES, "--out", "lanes", folder=folder))
    assert done.code == 0, done.err
    assert "in 2 lanes, 1 of them here" in done.err
    return folder / "lanes"


def test_each_process_reads_its_own_shards_and_learns_what_one_learns(lanes: Path, folder: Path) -> None:
    assert len(list((folder / "own").iterdir())) == 2  # each encoded its lane; the development set is with the run
    done = isthmus(*LANES, "--out", "all-lanes", folder=folder)
    assert done.code == 0, done.err
    assert "in 2 lanes, 2 of them here" in done.err
    assert losses(folder / "all-lanes") == pytest.approx(losses(lanes), rel=1e-5)
    assert seen(folder / "all-lanes") == seen(lanes)


def test_a_run_over_shards_goes_on_where_it_was_killed(lanes: Path, folder: Path) -> None:
    out = folder / "lanes-killed"
    process = together(*LANES, "--out", out.name, folder=folder)
    while process.poll() is None and last_step(out) < 70:
        time.sleep(0.005)
    os.kill(workers(process)[0], signal.SIGKILL)
    assert ended(process).code != 0
    assert 0 < last_step(out) < 180
    done = ended(together(*LANES, "--out", out.name, folder=folder))
    assert done.code == 0, done.err
    assert same(out, lanes)


def test_a_shard_that_is_not_there_is_named(lanes: Path, folder: Path) -> None:
    assert lanes.is_dir()
    moved = (folder / "shards" / "shard-00001.jsonl.gz").rename(folder / "away")
    done = ended(together(*LANES, "--out", "missing", folder=folder))
    moved.rename(folder / "shards" / "shard-00001.jsonl.gz")
    assert done.code != 0
    assert "a shard does not exist" in done.err
    assert "shard-00001.jsonl.gz" in done.err


def test_an_update_that_cannot_be_shared_is_refused(folder: Path) -> None:
    done = ended(together("train", "recipe.toml", "--out", "odd", folder=folder))
    assert done.code != 0
    assert "every process must have as many batches of an update as the others" in done.err
    assert "accumulate = 1" in done.err
