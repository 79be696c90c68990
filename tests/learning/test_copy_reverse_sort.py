"""A small Transformer learns to copy, to reverse and to sort, in seconds each, and shows it on sequences it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from isthmus.core.config import parse
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime, seeded
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.transformer import Transformer
from isthmus.train.config import TrainingConfig
from isthmus.train.events import Stopped
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy
from isthmus.train.trainer import train
from tests.unit.train.toy import BOS, EOS, Rule, ToyBatches

VOCABULARY, STEPS = 12, 300


@torch.no_grad()
def greedy(model: EncoderDecoder, source: Padded, longest: int) -> list[list[int]]:
    """The most probable token, again and again, until each row has ended."""
    model.eval()
    state = model.start(model.encode(source))
    tokens_B1 = torch.full((len(source.lengths_B), 1), BOS)
    columns = []
    for _ in range(longest):
        decoded, state = model.step(tokens_B1, state)
        tokens_B1 = model.head.log_probs(decoded).argmax(dim=-1)
        columns.append(tokens_B1)
    rows = torch.cat(columns, dim=1).tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


def exact(model: EncoderDecoder, batches: ToyBatches) -> float:
    """The share of sequences that come out right to the last token."""
    right = total = 0
    for batch in batches.epoch(0):
        expected = batch.target.rows()
        found = greedy(model, batch.source, batches.longest + 2)
        right += sum(one == other for one, other in zip(found, expected, strict=True))
        total += len(expected)
    return right / total


@pytest.mark.parametrize("rule", [list, lambda row: row[::-1], sorted], ids=["copy", "reverse", "sort"])
def test_learns(tmp_path: Path, rule: Rule) -> None:
    with seeded(1):
        model = Transformer(VOCABULARY, d_model=64, n_layers=2, n_heads=4, dropout=0.0, feed_forward=128)
    values = {
        "steps": STEPS,
        "label_smoothing": 0.0,
        "validate_every": STEPS,
        "optimiser": {"kind": "adam", "learning_rate": 0.005},
        "schedule": {"kind": "cosine", "warmup": 30},
    }
    job = Job(
        model=model,
        objective=CrossEntropy(),
        batches=ToyBatches(rule, batches=50, rows=32, longest=7, vocabulary=VOCABULARY),
        validators=(),
        config=parse(TrainingConfig, values, "test"),
        runtime=Runtime(threads=1),
        place=Place(tmp_path),
    )
    unseen = ToyBatches(rule, batches=2, rows=101, longest=7, vocabulary=VOCABULARY, seed=99)
    assert exact(model, unseen) < 0.1
    *_, last = train(job)
    assert last == Stopped(STEPS, "finished")
    assert exact(model, unseen) >= 0.95
