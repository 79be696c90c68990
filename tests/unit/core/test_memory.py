"""How much memory this process takes, against tensors of a known size."""

from __future__ import annotations

import subprocess
import sys

import torch

from isthmus.core.memory import Gauge

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
