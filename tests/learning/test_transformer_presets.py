"""The presets of Transformers, made small, and parts that no preset has, learn to copy, to reverse and to sort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.presets import TRANSFORMERS, VARIANTS
from tests.learning.test_classical_presets import D_MODEL, RULES, VOCABULARY, learn

HEADS, INNER, MOST = 4, 128, 4
SEGMENT = 3  # so short that every sequence is divided
CONVOLUTIONAL = {"encoder": {"kind": "convolutional", "layers": 3, "dropout": 0.0}, "decoder": {"past": "ssru"}}
JOINT = {"connection": {"kind": "joint-attention", "heads": HEADS}, "decoder": {"past": "none"}}
BY_DISTANCE = {"embedding": {"positions": {"kind": "t5"}}, "decoder": {"past": "ssru"}}


def small(name: str, **changes: Any) -> EncoderDecoder:
    """The preset with small states, no dropout, and at most four layers; where it reads segments, they are short."""
    preset = ModelConfig.preset(name)
    table: dict[str, Any] = {"preset": name, "d_model": D_MODEL, "embedding": {"dropout": 0.0}}
    for side, part in (("encoder", preset.encoder), ("decoder", preset.decoder)):
        layer: dict[str, Any] = {"heads": HEADS, "feed_forward": INNER, "dropout": 0.0}
        if name == "transformer-xl":
            layer |= {"segment": SEGMENT, "memory": SEGMENT}
        table[side] = {"layers": min(MOST if preset.decoder.layers == 1 else 2, part.layers), "layer": layer}
    table["connection"] = {"heads": HEADS}
    for field, change in changes.items():
        table[field] = change if "kind" in change else {**table[field], **change}
    with seeded(1):
        return build(ModelConfig.of(table), VOCABULARY, VOCABULARY)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["vaswani2017", "deep-shallow", "transformer-xl"])
@pytest.mark.slow
def test_a_preset_learns(tmp_path: Path, name: str, rule: str) -> None:
    """Post-norm wants a lower rate; a segment that cannot see the end of its source takes longer to turn it round."""
    rate = 0.002 if name == "vaswani2017" else 0.005
    steps = 600 if (name, rule) == ("transformer-xl", "reverse") else 250
    threshold = 0.9 if name == "transformer-xl" else 0.95
    assert learn(small(name), RULES[rule], steps, tmp_path, rate) >= threshold


@pytest.mark.parametrize(
    ("changes", "rule", "steps"),
    [
        (BY_DISTANCE, "sort", 300),
        (JOINT, "reverse", 300),
        pytest.param(CONVOLUTIONAL, "reverse", 600, marks=pytest.mark.slow),
    ],
    ids=["t5-ssru", "joint", "convolutional-ssru"],
)
def test_parts_of_no_preset_learn(tmp_path: Path, changes: dict[str, Any], rule: str, steps: int) -> None:
    assert learn(small("tiny", **changes), RULES[rule], steps, tmp_path) >= 0.95


def test_every_transformer_is_one_of_those_that_learn() -> None:
    """What differs in sizes alone has the same model here: `tiny` to `big` are those of `test_copy_reverse_sort`."""

    def parts(name: str) -> list[str]:
        return [str(module) for module in small(name).children()]

    assert all(parts(name) == parts("tiny") for name, *_ in TRANSFORMERS)
    assert parts("vaswani2017-big") == parts("vaswani2017") != parts("tiny")
    assert set(VARIANTS) == {"vaswani2017", "vaswani2017-big", "deep-shallow", "transformer-xl"}
