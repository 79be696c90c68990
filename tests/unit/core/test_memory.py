"""How much memory this process takes, against tensors of a known size."""

from __future__ import annotations

import torch

from isthmus.core.memory import Gauge

MEGABYTES = 100


def test_the_peak_sees_a_tensor_that_is_gone() -> None:
    gauge = Gauge("cpu")
    gauge.reset()
    before = gauge.peak()
    torch.ones(MEGABYTES << 18)
    assert gauge.peak() - before > 0.9 * MEGABYTES * (1 << 20)


def test_there_is_room_for_less_than_the_machine_has() -> None:
    room = Gauge("cpu").room()
    assert 0 < room < 1 << 50
    held = torch.ones(4 * MEGABYTES << 18)
    assert Gauge("cpu").room() < room + len(held)
