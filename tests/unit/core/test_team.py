"""What a process knows of those that train with it; the messages themselves are tested by two real processes in tests/system."""

from __future__ import annotations

import pytest
import torch
from torch import distributed

from isthmus.core.team import ALONE, joined


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The third of 8 processes on 2 machines, as `torchrun` starts it."""
    for name, value in {"WORLD_SIZE": "8", "RANK": "2", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, timeout: None)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    return monkeypatch


@pytest.mark.usefixtures("started")
def test_processes_of_one_machine_share_its_memory() -> None:
    with joined() as team:
        assert (team.rank, team.size, team.device, team.sharing) == (2, 8, "cpu", 4)


def test_a_gpu_has_one_process(started: pytest.MonkeyPatch) -> None:
    started.setattr(torch.cuda, "is_available", lambda: True)
    started.setattr(torch.cuda, "set_device", lambda device: None)
    with joined(shards=True) as team:
        assert (team.device, team.shards, team.sharing) == ("cuda:2", True, 1)


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(shards=True) as team:
        assert team is ALONE
