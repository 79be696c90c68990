"""What a fixed-length vector costs: the longer the source, the more of it is lost; attention does not care."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.config import parse
from isthmus.core.runtime import Runtime, seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy
from isthmus.train.trainer import train
from isthmus.train.validate import LossValidator
from tests.unit.train.toy import ToyBatches

VOCABULARY, STEPS, LONGEST = 20, 350, 13
LAYER = {"heads": 4, "feed_forward": 96, "dropout": 0.0}
ATTENTION = {"kind": "multi-head-attention", "heads": 4}
FIXED = {"kind": "fixed-vector"}


def trained(connection: dict[str, Any], folder: Path) -> EncoderDecoder:
    table = {
        "d_model": 48,
        "embedding": {"dropout": 0.0},
        "encoder": {"layers": 2, "layer": LAYER, "summary": "mean"},
        "connection": connection,
        "decoder": {"layers": 2, "layer": LAYER},
    }
    with seeded(1):
        model = build(ModelConfig.of(table), VOCABULARY, VOCABULARY)
    config = {
        "steps": STEPS,
        "label_smoothing": 0.0,
        "validate_every": STEPS,
        "optimiser": {"kind": "adam", "learning_rate": 0.005},
        "schedule": {"kind": "cosine", "warmup": 30},
    }
    copying = ToyBatches(list, batches=50, rows=32, longest=LONGEST, vocabulary=VOCABULARY)
    place = Place(folder)
    list(
        train(Job(model, CrossEntropy(), copying, (), parse(TrainingConfig, config, "test"), Runtime(threads=1), place))
    )
    return model.eval()


def accuracy(model: EncoderDecoder, longest: int) -> float:
    """The share of tokens ranked first, over sequences of up to `longest` tokens that training never showed."""
    unseen = ToyBatches(list, batches=3, rows=67, longest=longest, vocabulary=VOCABULARY, seed=99)
    return float(LossValidator(unseen, Runtime(threads=1))(model).scores["accuracy"])


@pytest.mark.slow
def test_a_fixed_vector_does_worse_as_length_grows_and_attention_does_not(tmp_path: Path) -> None:
    fixed = trained(FIXED, tmp_path / "fixed")
    attention = trained(ATTENTION, tmp_path / "attention")
    lost_by_fixed = accuracy(fixed, 3) - accuracy(fixed, LONGEST)
    lost_by_attention = accuracy(attention, 3) - accuracy(attention, LONGEST)
    assert accuracy(attention, LONGEST) > 0.95
    assert accuracy(fixed, LONGEST) < accuracy(attention, LONGEST) - 0.1
    assert lost_by_fixed > lost_by_attention + 0.1
