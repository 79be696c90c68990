"""Lanes: batch k of every update is lane k's, whoever reads it, and wherever one begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import DataError
from isthmus.core.team import Team
from isthmus.data.batches import Batch
from isthmus.train.events import Stepped
from isthmus.train.lanes import CountedSource, Lanes
from isthmus.train.state import Position, seen_after
from isthmus.train.trainer import train
from tests.unit.train.toy import ToyBatches, toy_config, toy_job


@dataclass(frozen=True)
class Part(ToyBatches):
    """A lane whose epochs differ in length, and whose batches say where they stand: (epoch, number)."""

    lengths: tuple[int, ...] = (3, 2)

    def batches_in(self, epoch: int) -> int:
        return self.lengths[epoch % len(self.lengths)]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number, batch in enumerate(super().epoch(epoch), 0):
            if start <= number < self.batches_in(epoch):
                yield replace(batch, index_B=torch.tensor([epoch, number]))


PARTS = (
    Part(batches=4, lengths=(3, 2)),
    Part(batches=4, lengths=(1,), seed=5),
    Part(batches=4, lengths=(4, 2, 1), seed=7),
)


def places(lanes: Lanes, count: int, start: int = 0) -> list[tuple[int, ...] | None]:
    """Where the batches stand in their lanes."""
    found = list(islice(lanes.stream(Position(0, start)), count))
    assert [position.batch for position, _ in found] == list(range(start + 1, start + count + 1))
    for position, batch in found:
        assert batch is None or position.epoch == int(batch.index_B[0])
    return [None if batch is None else tuple(batch.index_B.tolist()) for _, batch in found]


def test_lanes_take_turns_and_go_through_their_own_epochs() -> None:
    found = places(Lanes(PARTS), 18)
    assert found[0::3] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert found[1::3] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    assert found[2::3] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


@given(start=st.integers(0, 40), other=st.sets(st.sampled_from([0, 1, 2]), max_size=2))
def test_the_same_from_any_place_and_whoever_reads_the_others(start: int, other: set[int]) -> None:
    mine: list[CountedSource | None] = [None if number in other else part for number, part in enumerate(PARTS)]
    whole = places(Lanes(PARTS), start + 11)[start:]
    expected = [None if (start + number) % 3 in other else one for number, one in enumerate(whole)]
    assert places(Lanes(mine), 11, start) == expected


def test_a_lane_without_a_batch_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        places(Lanes([Part(batches=4, lengths=(0,))]), 1)
    with pytest.raises(DataError, match="nothing to train on"):
        places(Lanes([Part(batches=4, lengths=(0,))]), 1, start=3)


def test_what_a_process_tells_of_its_batches_is_all_that_the_others_need(tmp_path: Path) -> None:
    """A process that has every second lane tells the other's tokens and examples as 0; the digest is that of the marks added up."""
    whole = steps(tmp_path / "whole", Lanes(PARTS[:2]))
    half = steps(tmp_path / "half", Lanes((PARTS[0], None)))
    assert [step.epoch for step in whole] == [0, 1, 2]  # of the last lane, whose epochs are the shortest
    assert all(0 < one.target_tokens < other.target_tokens for one, other in zip(half, whole, strict=True))
    assert {step.seen for step in half}.isdisjoint({step.seen for step in whole})


def steps(folder: Path, lanes: Lanes) -> list[Stepped]:
    job = replace(toy_job(folder, toy_config(steps=3, accumulate=2), validators=()), batches=lanes, team=Team())
    return [event for event in train(job) if isinstance(event, Stepped)]


def test_the_digest_tells_batches_and_their_order_apart() -> None:
    assert seen_after("", [1, 2]) != seen_after("", [2, 1])
    assert seen_after("", [1, 2]) != seen_after("", [12])
    assert seen_after("a", [1]) != seen_after("b", [1])
