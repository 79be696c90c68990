"""The presets of the classical papers, made small, learn to copy, to reverse and to sort; so does a two-way connection to reverse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.config import parse
from isthmus.core.runtime import Runtime, seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.decoders.recurrent import RecurrentDecoder
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.config import TrainingConfig
from isthmus.train.events import Stopped
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy
from isthmus.train.trainer import train
from tests.laws.coverage import Coverage
from tests.learning.test_copy_reverse_sort import exact
from tests.unit.train.toy import Rule, ToyBatches

VOCABULARY, LONGEST, D_MODEL = 12, 5, 64
RULES: dict[str, Rule] = {"copy": list, "reverse": lambda row: row[::-1], "sort": sorted}


def small(name: str, **changes: Any) -> EncoderDecoder:
    """The preset with small states, at most two layers, and no dropout."""
    preset = ModelConfig.preset(name)
    part = {"layers": min(2, preset.encoder.layers), "dropout": 0.0}
    table = {
        "preset": name,
        "d_model": D_MODEL,
        "embedding": {"dropout": 0.0},
        "encoder": part,
        "decoder": {**part, **changes},
    }
    with seeded(1):
        return build(ModelConfig.of(table), VOCABULARY, VOCABULARY)


def learn(model: EncoderDecoder, rule: Rule, steps: int, folder: Path, rate: float = 0.005) -> float:
    """The share of unseen sequences that come out right to the last token, after so many steps."""
    values = {
        "steps": steps,
        "label_smoothing": 0.0,
        "validate_every": steps,
        "optimiser": {"kind": "adam", "learning_rate": rate},
        "schedule": {"kind": "cosine", "warmup": 30},
    }
    job = Job(
        model=model,
        objective=CrossEntropy(),
        batches=ToyBatches(rule, batches=50, rows=32, longest=LONGEST, vocabulary=VOCABULARY),
        validators=(),
        config=parse(TrainingConfig, values, "test"),
        runtime=Runtime(threads=1),
        place=Place(folder),
    )
    unseen = ToyBatches(rule, batches=2, rows=101, longest=LONGEST, vocabulary=VOCABULARY, seed=99)
    assert exact(model, unseen) < 0.15
    *_, last = train(job)
    assert last == Stopped(steps, "finished")
    return exact(model, unseen)


@pytest.mark.parametrize(
    "rule", ["reverse", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("copy", "sort"))]
)
@pytest.mark.parametrize(
    ("name", "steps", "threshold"),
    [
        ("sutskever2014", 500, 0.9),
        ("cho2014", 500, 0.9),
        ("bahdanau2015", 300, 0.95),
        ("luong2015", 300, 0.95),
    ],
)
def test_a_preset_learns(tmp_path: Path, name: str, steps: int, threshold: float, rule: str) -> None:
    assert learn(small(name), RULES[rule], steps, tmp_path) >= threshold


def test_a_two_way_connection_learns(tmp_path: Path) -> None:
    model = small("bahdanau2015")
    assert isinstance(model.decoder, RecurrentDecoder)
    with seeded(2):
        model.decoder.connection = Coverage(D_MODEL)
    assert learn(model, RULES["reverse"], 300, tmp_path) >= 0.95
