"""A tiny model, batches that are a pure function of the epoch, and jobs made of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isthmus.core.config import parse
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime, seeded
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.transformer import Transformer
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy, Objective
from isthmus.train.validate import LossValidator, Validator

BOS, EOS, FIRST, VOCABULARY = 2, 3, 4, 16
RUNTIME = Runtime("cpu", "float32", "highest", 1)
Rule = Callable[[list[int]], list[int]]


def batch_of(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    targets = [target for _, target in pairs]
    return Batch(
        source=Padded.of([[*source, EOS] for source, _ in pairs]),
        target_in=Padded.of([[BOS, *target] for target in targets]),
        target=Padded.of([[*target, EOS] for target in targets]),
        weight_B=torch.ones(len(pairs)),
        index_B=torch.arange(len(pairs)),
    )


@dataclass(frozen=True)
class ToyBatches:
    """Random sequences and what a rule makes of them; each epoch has others."""

    rule: Rule = list
    batches: int = 5
    rows: int = 7
    longest: int = 6
    seed: int = 1
    vocabulary: int = VOCABULARY

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, self.batches):
            random_ = random.Random(f"{self.seed} {epoch} {number}")
            rows = [self._row(random_) for _ in range(self.rows)]
            yield batch_of([(row, self.rule(row)) for row in rows])

    def _row(self, random_: random.Random) -> list[int]:
        return [random_.randrange(FIRST, self.vocabulary) for _ in range(random_.randint(1, self.longest))]


def toy_model(dropout: float = 0.1, seed: int = 1) -> EncoderDecoder:
    with seeded(seed):
        return Transformer(VOCABULARY, d_model=8, n_layers=1, n_heads=2, dropout=dropout, feed_forward=12)


def toy_config(**changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "steps": 20,
        "label_smoothing": 0.1,
        "validate_every": 5,
        "log_every": 1,
        "schedule": {"kind": "linear", "warmup": 3},
        "optimiser": {"kind": "adam", "learning_rate": 0.01},
    }
    return parse(TrainingConfig, values | changes, "test")


def toy_job(
    folder: Path,
    config: TrainingConfig,
    model: EncoderDecoder | None = None,
    validators: tuple[Validator, ...] | None = None,
    objective: Objective | None = None,
    identity: Mapping[str, Any] | None = None,
    allow: frozenset[str] = frozenset(),
) -> Job:
    if validators is None:
        validators = (LossValidator(ToyBatches(batches=2, seed=99), RUNTIME),)
    return Job(
        model=toy_model() if model is None else model,
        objective=objective or CrossEntropy(config.label_smoothing),
        batches=ToyBatches(),
        validators=validators,
        config=config,
        runtime=RUNTIME,
        place=Place(folder, identity or {}, allow_changed=allow),
    )
