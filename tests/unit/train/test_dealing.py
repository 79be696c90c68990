"""Batches dealt out among processes: together they read what one would, every example once an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.core.team import Team
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.feed import stream
from isthmus.train.state import Position
from isthmus.train.trainer import train
from tests.unit.train.toy import ToyBatches, toy_config, toy_job


@dataclass(frozen=True)
class Numbered(ToyBatches):
    """Batches whose examples have numbers of their own."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number, batch in enumerate(super().epoch(epoch, start), start):
            yield replace(batch, index_B=batch.index_B + number * self.rows)


@dataclass(frozen=True)
class Reading:
    """An objective that notes the examples it is given, and learns nothing."""

    read: list[int] = field(default_factory=list)

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        self.read.extend(batch.index_B.tolist())
        nothing = sum(parameter.sum() * 0 for parameter in model.parameters())
        return torch.as_tensor(nothing), torch.ones(())


def read_by(team: Team, batches: Numbered, accumulate: int, steps: int) -> list[int]:
    """The examples that one process reads in so many updates."""
    objective, config = Reading(), toy_config(steps=steps, accumulate=accumulate)
    alone = patch.multiple(Team, add_up=lambda *_: None, any=lambda _, flag: flag, told=lambda _, text: text)
    with TemporaryDirectory() as folder, alone:
        job = toy_job(Path(folder), config, validators=(), objective=objective)
        list(train(replace(job, batches=batches, team=team)))
    return objective.read


@settings(max_examples=25, deadline=None)
@given(processes=st.integers(1, 4), share=st.integers(1, 3), batches=st.integers(1, 7), steps=st.integers(1, 3))
def test_every_example_is_read_by_one_process(processes: int, share: int, batches: int, steps: int) -> None:
    source = Numbered(batches=batches, rows=3, longest=2)
    accumulate = processes * share
    several = [read_by(Team(rank, processes), source, accumulate, steps) for rank in range(processes)]
    whole = [batch for _, batch in islice(stream(source, Position()), accumulate * steps)]
    assert {len(one) for one in several} == {3 * share * steps}
    assert Counter(number for one in several for number in one) == Counter(
        number for batch in whole for number in batch.index_B.tolist()
    )
