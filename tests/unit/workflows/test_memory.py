"""How batches are tried before training, and how large `auto` makes them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from isthmus.core.errors import ConfigError
from isthmus.core.team import ALONE, Team
from isthmus.train.job import Job, parts_of
from isthmus.train.state import Position, TrainingState
from isthmus.train.trainer import update
from isthmus.workflows import memory
from isthmus.workflows.memory import GROWTH, LEAST, fitted, weighed
from tests.unit.train.toy import ToyBatches, toy_config, toy_job


@dataclass
class Scripted:
    """A gauge that shows what it is told to; the first figure is what was there before."""

    shows: list[int]
    room_: int
    asked: list[int] = field(default_factory=list)

    def reset(self) -> None:
        pass

    def peak(self) -> int:
        self.asked.append(1)
        return self.shows[len(self.asked) - 1]

    def room(self) -> int:
        return self.room_


def scripted(monkeypatch: pytest.MonkeyPatch, shows: list[int], room: int, held: int = 0) -> Scripted:
    gauge = Scripted(shows, room)
    monkeypatch.setattr(memory, "Gauge", lambda device: gauge)
    monkeypatch.setattr(memory, "_held", lambda model, parts, team: held)
    return gauge


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return toy_job(tmp_path, toy_config(accumulate=3))


WEIGHED = """
import sys
from pathlib import Path
from isthmus.workflows.memory import weighed
from tests.unit.train.toy import toy_config, toy_job
job = toy_job(Path(sys.argv[1]), toy_config(accumulate=3))
small, large = (weighed(job, tokens, 6) for tokens in (256, 1 << 16))
print(small.peak, large.peak, large.limit)
"""


def test_larger_batches_take_more(tmp_path: Path) -> None:
    """In a process of its own, which has no freed memory to reuse."""
    words = [sys.executable, "-c", WEIGHED, str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    small, large, limit = map(int, done.stdout.split())
    assert large - small > 20e6
    assert large < limit


def test_weighing_leaves_the_model_alone(job: Job) -> None:
    before = {name: tensor.clone() for name, tensor in job.model.state_dict().items()}
    assert "4,096 positions" in str(weighed(job, 4096, 6))
    for name, tensor in job.model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not list(job.place.folder.iterdir())


def test_batches_grow_as_long_as_the_next_size_will_fit(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GROWTH", 1.0)
    gauge = scripted(monkeypatch, [100, 200, 300, 500], room=400)  # a limit of 400; twice the last would be 500
    found = fitted(job, longest=6, pieces=10**6)
    assert (found.tokens, found.peak, found.limit) == (2 * LEAST, 300, 400)
    assert len(gauge.asked) == 3


def test_a_small_corpus_gets_small_batches(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [100, 200], room=10**6)
    assert fitted(job, longest=6, pieces=1000).tokens == LEAST


def test_a_batch_holds_the_longest_pair_however_little_room_there_is(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [100, 200], room=0)
    assert fitted(job, longest=700, pieces=10**6).tokens == 700


def test_what_will_not_fit_is_refused_before_it_is_tried(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GROWTH", 1.0)
    gauge = scripted(monkeypatch, [100 << 20, 200 << 20], room=400 << 20)
    with pytest.raises(ConfigError) as caught:
        weighed(job, 4096, 6)
    message = str(caught.value)
    assert "batches of this size do not fit into the memory" in message
    assert "at most 0.42 GB" in message
    assert "about 0.52 GB for 4,096 positions" in message
    assert "data.batch.tokens" in message
    assert 'set it to "auto"' in message
    assert len(gauge.asked) == 2


def test_processes_that_share_a_memory_divide_what_is_free(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 processes, 4 on each of 2 machines: what is free on this one is for 4."""
    monkeypatch.setattr(Team, "told", lambda self, text: text)
    scripted(monkeypatch, [100], room=1000)
    assert memory._Scale(replace(job, team=Team(0, 8, sharing=4)), 6).limit == int(0.8 * (100 + 1000 // 4))


def test_what_the_process_had_before_does_not_grow_with_the_batches(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a study, whose earlier runs have left five gigabytes with the process."""
    scripted(monkeypatch, [5000 << 20, 5100 << 20, 5400 << 20], room=4000 << 20)
    assert weighed(job, 4096, 6).peak == (5000 << 20) + int((400 << 20) * GROWTH)


def test_what_weights_and_their_optimiser_take_does_not_grow_with_the_batches(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `base`, whose weights take far more than small batches."""
    scripted(monkeypatch, [100 << 20, 1000 << 20, 1200 << 20], room=4000 << 20, held=800 << 20)
    assert weighed(job, 4096, 6).peak == (900 << 20) + int((300 << 20) * GROWTH)  # a quarter: 900 + 4 * 100 * GROWTH
    scripted(monkeypatch, [100 << 20, 1000 << 20], room=2000 << 20, held=800 << 20)
    with pytest.raises(ConfigError, match=r"about 2\.83 GB for 4,096 positions"):
        weighed(job, 4096, 6)


def test_held_are_weights_gradients_moments_and_the_average(tmp_path: Path) -> None:
    def held(team: Team = ALONE) -> int:
        return memory._held(job.model, parts, team)

    job = toy_job(tmp_path, toy_config(average={"kind": "ema"}))
    parts = parts_of(job)
    weights = 4 * sum(parameter.numel() for parameter in job.model.parameters())
    assert held() == pytest.approx(2 * weights, rel=0.01)  # nothing has been stepped
    update(job, parts, TrainingState(), ((Position(), batch) for batch in ToyBatches().epoch(0)))
    assert held() == pytest.approx(5 * weights, rel=0.01)
    assert held(Team(0, 2)) - held() == weights


def test_frozen_weights_have_no_gradients_to_hold(job: Job) -> None:
    job.model.requires_grad_(requires_grad=False)
    job.model.decoder.requires_grad_(requires_grad=True)
    numbers, trained = (4 * sum(p.numel() for p in part.parameters()) for part in (job.model, job.model.decoder))
    assert memory._held(job.model, parts_of(job), ALONE) == numbers + trained


def test_snapshots_for_an_average_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = toy_job(tmp_path, toy_config(average={"kind": "last", "count": 3}))
    weights = 4 * sum(parameter.numel() for parameter in job.model.parameters())
    scripted(monkeypatch, [100, 100, 200], room=10**6)
    assert weighed(job, 64, 6).peak == 100 + int(100 * GROWTH) + 3 * weights
