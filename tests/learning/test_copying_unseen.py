"""Copying what training never showed: a pointer-generator does, a softmax cannot."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus.core.config import parse
from isthmus.core.runtime import Runtime, seeded
from isthmus.data.batches import Batch
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy
from isthmus.train.trainer import train
from tests.unit.train.toy import FIRST, batch_of

NAMES, STEPS, LONGEST = 200, 500, 5
SEEN, UNSEEN = range(FIRST, FIRST + NAMES), range(FIRST + NAMES, FIRST + 2 * NAMES)
VOCABULARY = FIRST + 2 * NAMES
ATTENTION = {"kind": "global-attention", "similarity": "general"}


@dataclass(frozen=True)
class Names:
    """Rows of names, to be copied."""

    among: range
    batches: int = 50
    rows: int = 32

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, self.batches):
            random_ = random.Random(f"{epoch} {number}")
            rows = [random_.choices(self.among, k=random_.randint(1, LONGEST)) for _ in range(self.rows)]
            yield batch_of([(row, row) for row in rows])


def trained(parts: dict[str, Any], folder: Path) -> EncoderDecoder:
    layer = {"heads": 4, "feed_forward": 64, "dropout": 0.0}
    table = {
        "d_model": 48,
        "embedding": {"tied": "source-target", "dropout": 0.0},
        "encoder": {"layers": 1, "layer": layer},
        "decoder": {"layers": 1, "layer": layer},
        **parts,
    }
    config = {
        "steps": STEPS,
        "label_smoothing": 0.0,
        "validate_every": STEPS,
        "optimiser": {"kind": "adam", "learning_rate": 0.005},
        "schedule": {"kind": "cosine", "warmup": 30},
    }
    with seeded(1):
        model = build(ModelConfig.of(table), VOCABULARY, VOCABULARY)
    job = Job(
        model,
        CrossEntropy(),
        Names(SEEN),
        (),
        parse(TrainingConfig, config, "test"),
        Runtime(threads=1),
        Place(folder),
    )
    list(train(job))
    return model.eval()


@torch.no_grad()
def accuracy(model: EncoderDecoder, among: range) -> float:
    """The share of names that are ranked first."""
    (batch,) = Names(among, batches=1, rows=101).epoch(7)
    _, decoded = model.read(batch.source, batch.target_in)
    names_BT = batch.target.ids_BT >= FIRST
    right_BT = model.head.log_probs(decoded).argmax(dim=-1) == batch.target.ids_BT
    return float(right_BT[names_BT].float().mean())


@pytest.mark.slow
def test_a_pointer_copies_names_that_it_has_never_seen(tmp_path: Path) -> None:
    copying = {"connection": {"kind": "copying", "read": ATTENTION}, "head": {"kind": "pointer-generator"}}
    pointer = trained(copying, tmp_path / "pointer")
    softmax = trained({"connection": ATTENTION}, tmp_path / "softmax")
    assert accuracy(pointer, SEEN) > 0.9
    assert accuracy(softmax, SEEN) > 0.7
    assert accuracy(pointer, UNSEEN) > 0.4  # whom to copy is found by place; strange embeddings disturb that too
    assert accuracy(softmax, UNSEEN) < 0.02
