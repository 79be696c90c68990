"""How much memory this process takes, against tensors of a known size."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from isthmus.core.memory import Gauge, keep_kernels

MEGABYTES = 100
SEEN = f"""
import torch
from isthmus.core.memory import Gauge
gauge = Gauge("cpu")
gauge.reset()
before = gauge.peak()
torch.ones({MEGABYTES} << 18)
print(gauge.peak() - before)
"""


def test_the_peak_sees_a_tensor_that_is_gone() -> None:
    """In a process of its own, which has no freed memory to reuse."""
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0.9 * MEGABYTES * (1 << 20)


def test_there_is_room_for_less_than_the_machine_has() -> None:
    room = Gauge("cpu").room()
    assert 0 < room < 1 << 50
    held = torch.ones(4 * MEGABYTES << 18)
    assert Gauge("cpu").room() < room + len(held)


def test_the_environment_says_how_many_kernels_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    keep_kernels()
    assert int(os.environ[name]) > 1024
    monkeypatch.setenv(name, "7")
    keep_kernels()
    assert os.environ[name] == "7"
