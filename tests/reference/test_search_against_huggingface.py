"""Greedy and beam search with copied weights give the tokens and scores of Hugging Face's `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
import torch

from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Found, Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from tests.laws.architectures import rows
from tests.reference.marian import EOS, SIZE, START, copied, inputs, reversing

SOURCES = rows(7, 1, 11, 5, 3, 13, 2, 9, 6, 4, size=SIZE, seed=3)
LIMIT = 29
MODELS = ("marian", "bart")


@dataclass(frozen=True)
class Output:
    ids: tuple[int, ...]
    ended: bool
    score: float


@lru_cache
def pair(kind: str) -> tuple[Any, TorchEngine]:
    """Theirs and ours."""
    theirs = reversing(kind)
    return theirs, TorchEngine(copied(theirs), (START,))


def theirs(kind: str, options: dict[str, Any]) -> list[list[Output]]:
    """Their outputs, one source after the other."""
    model, _ = pair(kind)
    found = []
    for source in SOURCES:
        with torch.no_grad():
            out = model.generate(
                **inputs([source]),
                max_new_tokens=LIMIT,
                do_sample=False,
                return_dict_in_generate=True,
                output_scores=True,
                **options,
            )
        scores = [0.0] if options["num_beams"] == 1 else out.sequences_scores.tolist()
        found.append([_output(ids[1:], score) for ids, score in zip(out.sequences.tolist(), scores, strict=True)])
    return found


def _output(ids: list[int], score: float) -> Output:
    end = ids.index(EOS) if EOS in ids else len(ids)
    return Output(tuple(ids[:end]), end < len(ids), score)


def ours(kind: str, options: dict[str, Any]) -> list[Found]:
    _, engine = pair(kind)
    values = GenerationOptions.of({"max_length": LIMIT, **options})
    return search_jobs(engine, [Job(tuple(source)) for source in SOURCES], Target(EOS, ()), values)


@pytest.mark.parametrize("kind", MODELS)
def test_greedy(kind: str) -> None:
    expected, found = theirs(kind, {"num_beams": 1}), ours(kind, {"num_beams": 1})
    assert [one.hypotheses[0].ids for one in found] == [one[0].ids for one in expected]
    assert [one.hypotheses[0].stop == "end" for one in found] == [one[0].ended for one in expected]
    assert len({one.hypotheses[0].ids for one in found}) == len(SOURCES)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("beams", "length_penalty", "early_stopping"),
    [
        (2, 1.0, False),
        (4, 0.6, False),
        (5, 1.0, False),
        (5, 0.0, False),
        (4, 1.7, False),
        (4, 1.0, True),
        (5, 0.8, "never"),
    ],
)
def test_beams(kind: str, beams: int, length_penalty: float, early_stopping: bool | str) -> None:
    """Where every output ended. (Of those that the limit cut off, ours come after all that ended, theirs do not.)"""
    options = {
        "num_beams": beams,
        "num_return_sequences": beams,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
    }
    compared = 0
    for source, mine, other in zip(SOURCES, ours(kind, options), theirs(kind, options), strict=True):
        if all(one.ended for one in other):
            compared += 1
            assert [one.ids for one in mine.hypotheses] == [one.ids for one in other], source
            normalised = [one.normalised for one in mine.hypotheses]
            assert normalised == pytest.approx([one.score for one in other], rel=1e-4)
    assert compared >= 0.6 * len(SOURCES)
