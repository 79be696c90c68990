"""What a decoder carries over from segment to segment is needed where a target repeats what its source does not say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from isthmus.core.config import parse
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime, seeded
from isthmus.data.batches import Batch
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy, InSegments, Objective
from isthmus.train.trainer import train
from tests.unit.train.toy import FIRST, batch_of

VOCABULARY, SEGMENT = 12, 4


@dataclass(frozen=True)
class Refrains:
    """The source says nothing; the target is a random segment, and then the same again."""

    seed: int = 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, 50):
            chance = random.Random(f"{self.seed} {epoch} {number}")
            verses = [[chance.randrange(FIRST, VOCABULARY) for _ in range(SEGMENT)] for _ in range(32)]
            yield batch_of([([FIRST], verse * 2) for verse in verses])


@dataclass(frozen=True)
class Forgetful:
    """Segment by segment, but each begins with a fresh state."""

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        memory = model.encode(batch.source)
        total = count = batch.weight_B.new_zeros(())
        for start in range(0, batch.target.ids_BT.shape[1], SEGMENT):
            part_BT = batch.target.ids_BT[:, start : start + SEGMENT]
            decoded, _ = model.step(batch.target_in.ids_BT[:, start : start + SEGMENT], model.start(memory))
            part = Padded(part_BT, (batch.target.lengths_B - start).clamp(0, part_BT.shape[1]))
            nll, number = model.head.nll(decoded, part, 0.0, batch.weight_B)
            total, count = total + nll, count + number
        return total, count


def loss(objective: Objective, steps: int, folder: Path, **layer: Any) -> float:
    """The loss of unseen refrains after training with an objective."""
    part = {"heads": 4, "feed_forward": 64, "dropout": 0.0}
    table = {
        "d_model": 32,
        "embedding": {"dropout": 0.0, "positions": {"kind": "transformer-xl"}},
        "encoder": {"layers": 1, "layer": part},
        "connection": {"kind": "multi-head-attention", "heads": 4},
        "decoder": {"layers": 1, "layer": {**part, **layer}},
    }
    with seeded(1):
        model = build(ModelConfig.of(table), VOCABULARY, VOCABULARY)
    values = {
        "steps": steps,
        "label_smoothing": 0.0,
        "validate_every": steps,
        "optimiser": {"kind": "adam", "learning_rate": 0.01},
        "schedule": {"kind": "cosine", "warmup": 20},
    }
    config = parse(TrainingConfig, values, "test")
    list(train(Job(model, objective, Refrains(), (), config, Runtime(threads=1), Place(folder))))
    total, count = objective(model.eval(), next(Refrains(seed=99).epoch(0)))
    return float((total / count).detach())


@pytest.mark.slow
def test_a_state_carried_over_segments_of_a_batch_is_needed(tmp_path: Path) -> None:
    carried = loss(InSegments(0.0, SEGMENT), 200, tmp_path / "one")
    forgotten = loss(Forgetful(), 200, tmp_path / "other")
    assert carried < 0.7 * forgotten


@pytest.mark.slow
def test_the_memory_of_a_divided_layer_is_needed(tmp_path: Path) -> None:
    """The same in the model: segments of one read, with and without memory."""
    with_memory = loss(CrossEntropy(), 400, tmp_path / "one", segment=SEGMENT)
    without = loss(CrossEntropy(), 400, tmp_path / "other", segment=SEGMENT, memory=0)
    assert with_memory < 0.7 * without
