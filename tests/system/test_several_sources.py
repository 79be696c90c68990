"""A model of two sources, from a recipe to answers; the second is needed for the last word."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import isthmus as package
from tests.system.command import NAMES, isthmus

RECIPE = """
about = "The names of the digits of one source, then of the other."
[data]
train = [{ source = "train.tsv" }]
dev = { source = "dev.tsv" }
batch = { tokens = 512 }
[tokenizer]
joint = false
source = { kind = "symbols" }
target = { kind = "symbols" }
[codec]
sources = 2
max_source_length = 31
max_target_length = 31
[model]
d_model = 32
sources = { count = 2 }
embedding = { tied = "none", positions = { maximum = 32 } }
encoder = { layers = 1, layer = { heads = 2, feed_forward = 64, dropout = 0.0 } }
connection = { kind = "combination", way = "WAY", read = { kind = "multi-head-attention", heads = 2 } }
decoder = { layers = 1, layer = { heads = 2, feed_forward = 64, dropout = 0.0 } }
[train]
steps = 260
optimiser = { kind = "adam", learning_rate = 1e-2 }
schedule = { kind = "linear", warmup = 18 }
validate_every = 130
precision = "float32"
[validation]
metrics = ["exact"]
"""
HEADER = "source\tsource2\ttarget\n"


def rows(count: int) -> list[tuple[str, str, str]]:
    """Two or three digits, one more, and the names of all; no two are alike."""
    generator = random.Random(1)
    found: dict[tuple[str, ...], tuple[str, str, str]] = {}
    while len(found) < count:
        digits = tuple(generator.choices("0123456789", k=generator.randint(3, 4)))
        found[digits] = (" ".join(digits[:-1]), digits[-1], " ".join(NAMES[int(digit)] for digit in digits))
    return list(found.values())


def write(path: Path, examples: list[tuple[str, str, str]]) -> None:
    path.write_text(HEADER + "".join("\t".join(one) + "\n" for one in examples), encoding="utf-8")


@pytest.mark.slow
def test_the_second_source_is_read(tmp_path: Path) -> None:
    everything = rows(1600)
    asked = everything[:60]
    write(tmp_path / "dev.tsv", everything[60:110])
    write(tmp_path / "train.tsv", everything[110:])
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("WAY", "hierarchical"), encoding="utf-8")
    done = isthmus("train", "recipe.toml", "--out", "run", folder=tmp_path)
    assert done.code == 0, done.err

    lines = "".join(f"{one}\t{second}\n" for one, second, _ in asked)
    found = isthmus("generate", "run", folder=tmp_path, stdin=lines.encode())
    assert found.code == 0, found.err
    outputs = found.out.splitlines()
    right = [output == names for output, (_, _, names) in zip(outputs, asked, strict=True)]
    assert sum(right) >= 54, outputs  # who does not read the second source is right a tenth of the time

    objects = "".join(json.dumps({"source": one, "source2": second}) + "\n" for one, second, _ in asked)
    (tmp_path / "asked.jsonl").write_text(objects, encoding="utf-8")
    again = isthmus("generate", "run", "--input", "asked.jsonl", "--json", folder=tmp_path)
    assert again.code == 0, again.err
    assert [json.loads(line)["text"] for line in again.out.splitlines()] == outputs
    machine = package.load(tmp_path / "run")
    assert machine.generate([(one, second) for one, second, _ in asked]) == outputs

    refused = isthmus("generate", "run", "1 2 3", folder=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "fields" in refused.err
    other = isthmus("train", "recipe.toml", "codec.sources=1", "--out", "other", folder=tmp_path)
    assert other.code == 2
    assert "codec.sources = 2" in other.err
