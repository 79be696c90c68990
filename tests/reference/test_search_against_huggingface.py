"""Greedy and beam search with copied weights give the tokens and scores of Hugging Face's `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
import torch

from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis
from tests.laws.architectures import rows
from tests.reference.marian import EOS, SIZE, START, copied, inputs, random_bart, random_marian, reversing

LENGTHS = [1 + number % 13 for number in range(200)]
SOURCES = rows(*LENGTHS, size=SIZE, seed=3)
FEW = SOURCES[:13]
LIMIT = 29
MODELS = ("marian", "bart", "random-marian", "random-bart")
PENALTIES = ((1.0, False), (0.0, False), (0.6, True), (1.7, False), (0.8, "never"), (0.0, "never"), (-0.5, "never"))
GROUP = 50


@dataclass(frozen=True)
class Output:
    ids: tuple[int, ...]
    ended: bool
    score: float


@lru_cache
def pair(kind: str) -> tuple[Any, TorchEngine]:
    """Theirs and ours: half trained, or of random weights and inclined to end."""
    theirs: Any
    if kind.startswith("random"):
        theirs = random_marian(seed=5) if kind == "random-marian" else random_bart(seed=5)
        with torch.no_grad():
            theirs.final_logits_bias.mul_(0.3)[0, EOS] += 3
            for name, weights in theirs.named_parameters():
                if "encoder_attn" in name and weights.dim() == 2:
                    weights.mul_(3)  # so that the source matters
    else:
        theirs = reversing(kind)
    return theirs, TorchEngine(copied(theirs), (START,))


def theirs(kind: str, sources: list[list[int]], options: dict[str, Any]) -> list[list[Output]]:
    """Their outputs of each source. They count the end as a new piece."""
    model, _ = pair(kind)
    found: list[list[Output]] = []
    for first in range(0, len(sources), GROUP):
        with torch.no_grad():
            out = model.generate(
                **inputs(sources[first : first + GROUP]),
                max_new_tokens=LIMIT + 1,
                do_sample=False,
                return_dict_in_generate=True,
                output_scores=True,
                **options,
            )
        if options["num_beams"] == 1:
            steps = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
            scores = [_total(ids[1:], row) for ids, row in zip(out.sequences.tolist(), steps.tolist(), strict=True)]
        else:
            scores = out.sequences_scores.tolist()
        several = [_output(ids[1:], score) for ids, score in zip(out.sequences.tolist(), scores, strict=True)]
        best = options.get("num_return_sequences", 1)
        found += [several[place : place + best] for place in range(0, len(several), best)]
    return found


def _output(ids: list[int], score: float) -> Output:
    end = ids.index(EOS) if EOS in ids else len(ids)
    return Output(tuple(ids[:end]), end < len(ids), score)


def _total(ids: list[int], scores: list[float]) -> float:
    return sum(scores[: ids.index(EOS) + 1] if EOS in ids else scores)


def ours(kind: str, sources: list[list[int]], options: dict[str, Any]) -> list[tuple[Hypothesis, ...]]:
    _, engine = pair(kind)
    values = GenerationOptions.of({"max_length": LIMIT, **options})
    found = search_jobs(engine, [Job(tuple(source)) for source in sources], Target(EOS, ()), values)
    return [one.hypotheses for one in found]


def check_greedy(kind: str, sources: list[list[int]]) -> None:
    expected, found = theirs(kind, sources, {"num_beams": 1}), ours(kind, sources, {"num_beams": 1})
    ended = 0
    for (mine,), (other,) in zip(found, expected, strict=True):
        assert (mine.stop == "end") == other.ended
        assert mine.ids == other.ids[:LIMIT]
        if other.ended:
            ended += 1
            assert mine.score == pytest.approx(other.score, rel=1e-4, abs=1e-4)
    assert ended >= (0.3 if kind.startswith("random") else 0.6) * len(sources)
    assert len({one.ids for (one,) in found}) >= (0.05 if kind.startswith("random") else 0.6) * len(sources)


def check_beams(kind: str, sources: list[list[int]], beams: int, length_penalty: float, early_stopping: object) -> None:
    """Where every output ended. (Of those that the limit cut off, ours come after all that ended, theirs do not.)"""
    options = {
        "num_beams": beams,
        "num_return_sequences": beams,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
    }
    compared, ties = 0, 0
    for source, mine, other in zip(sources, ours(kind, sources, options), theirs(kind, sources, options), strict=True):
        if all(one.ended for one in other):
            compared += 1
            assert [one.normalised for one in mine] == pytest.approx([one.score for one in other], rel=1e-4), source
            assert len(mine) == beams
            ties += sum(one.ids != its.ids for one, its in zip(mine, other, strict=True))
    assert ties <= max(2, 0.001 * beams * compared)  # of outputs whose scores agree to the last digits
    assert compared >= (0.2 if kind.startswith("random") else 0.6) * len(sources)


@pytest.mark.parametrize("kind", ["marian", "bart"])
def test_greedy(kind: str) -> None:
    check_greedy(kind, FEW)


@pytest.mark.parametrize(
    ("kind", "beams", "length_penalty", "early_stopping"),
    [
        ("marian", 2, 1.0, False),
        ("bart", 5, 0.6, False),
        ("marian", 4, 1.7, True),
        ("bart", 8, 0.0, False),
        ("marian", 5, 0.8, "never"),
    ],
)
def test_beams(kind: str, beams: int, length_penalty: float, early_stopping: bool | str) -> None:
    check_beams(kind, FEW, beams, length_penalty, early_stopping)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_greedy_on_all(kind: str) -> None:
    check_greedy(kind, SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beams", [2, 4, 8])
@pytest.mark.parametrize(("length_penalty", "early_stopping"), PENALTIES)
def test_beams_on_all(kind: str, beams: int, length_penalty: float, early_stopping: bool | str) -> None:
    check_beams(kind, SOURCES, beams, length_penalty, early_stopping)
