"""Laws 5, 6 and 12 through search: one beam is greedy is top-k 1, scores are rescored, a batch of n is n of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from isthmus.core.padded import Padded
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Found, Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis
from isthmus.model.encoder_decoder import EncoderDecoder
from tests.laws.architectures import FAST, WITHOUT_WEIGHTS, Architecture, architectures, rows

BOS, EOS, LIMIT = 2, 3, 7
NEVER = (0, 1, 2, 5)
SOURCES = tuple(tuple(ids) for ids in rows(7, 1, 5, 2, seed=3))


def varied(architecture: Architecture) -> EncoderDecoder:
    """A model whose outputs differ from source to source: its weights are larger than fresh ones.

    Not those of a recurrent decoder's loop, which would be chaotic and blow up the last bit of a float32; nor the strength of the
    cosine similarity, which is stored as a logarithm, nor what distances say, which every score has on top of its product.
    Layers that each read another layer of the encoder would blow up the last bits a hundred times with connections three times as large:
    the plain forward is then no nearer to float64 than the steps are.
    """
    model = architecture.model(seed=2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(
                part in name
                for part in ("recurrence", "decoder.feed.", "decoder.connection", "strength", "attention.bias")
            ):
                continue
            if "connection" in name or "summary" in name:
                parameter.mul_(1.5 if architecture.connection.endswith("own-layer") else 3.0)
            elif parameter.dim() == 2 and "positions" not in name:
                parameter.mul_(1.5)
    return model


def generate(model: EncoderDecoder, sources: Sequence[tuple[int, ...]], **options: Any) -> list[Found]:
    found = search_jobs(
        TorchEngine(model, (BOS,)),
        [Job(source) for source in sources],
        Target(EOS, NEVER),
        GenerationOptions.of({"max_length": LIMIT, **options}),
    )
    for one in found:
        for hypothesis in one.hypotheses:
            assert not set(hypothesis.ids) & set(NEVER)
            assert len(hypothesis.ids) <= LIMIT
    return found


def ids(found: Sequence[Found]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.ids for hypothesis in one.hypotheses] for one in found]


def rescored(model: EncoderDecoder, source: Sequence[int], hypothesis: Hypothesis) -> float:
    """The naive twin of a reported score: one forward over the whole output."""
    target = [*hypothesis.ids, *([EOS] if hypothesis.stop == "end" else [])]
    with torch.no_grad():
        log_probs_1TV = model(Padded.of([source]), Padded.of([[BOS, *target][:-1]])) if target else torch.zeros(1, 0, 1)
    return math.fsum(float(log_probs_1TV[0, t, token]) for t, token in enumerate(target))


@architectures
def test_one_beam_is_greedy_is_top_k_one_is_no_temperature(architecture: Architecture) -> None:
    model = varied(architecture)
    greedy = ids(generate(model, SOURCES, num_beams=1))
    assert ids(generate(model, SOURCES, do_sample=True, top_k=1, seed=7)) == greedy
    assert ids(generate(model, SOURCES, do_sample=True, temperature=1e-6, top_k=0, seed=7)) == greedy


@architectures
@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 1},
        {"num_beams": 5, "num_return_sequences": 5, "length_penalty": 0.7},
        {"do_sample": True, "num_return_sequences": 3, "seed": 11},
    ],
    ids=["greedy", "beam", "sample"],
)
def test_reported_scores_are_rescored(architecture: Architecture, options: dict[str, Any]) -> None:
    model = varied(architecture)
    for source, found in zip(SOURCES, generate(model, SOURCES, **options), strict=True):
        assert found.hypotheses
        for hypothesis in found.hypotheses:
            assert hypothesis.score == pytest.approx(rescored(model, source, hypothesis), rel=1e-5, abs=1e-5)
            assert hypothesis.score == pytest.approx(math.fsum(hypothesis.token_scores))


@architectures
@pytest.mark.parametrize(
    "options",
    [{"num_beams": 4, "num_return_sequences": 4}, {"do_sample": True, "seed": 5}],
    ids=["beam", "sample"],
)
def test_a_batch_is_its_sentences(architecture: Architecture, options: dict[str, Any]) -> None:
    model = varied(architecture)
    together = generate(model, SOURCES, **options)
    alone = [generate(model, [source], **options)[0] for source in SOURCES]
    assert ids(together) == ids(alone)
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one.hypotheses, other.hypotheses, strict=True):
            assert a.score == pytest.approx(b.score, rel=1e-5, abs=1e-5)
    assert ids(generate(model, SOURCES[::-1], **options, batch=3)) == ids(together)[::-1]


@architectures
def test_asking_for_attention_changes_no_output(architecture: Architecture) -> None:
    model = varied(architecture)
    plain, asked = generate(model, SOURCES, num_beams=3), generate(model, SOURCES, num_beams=3, attention=True)
    assert ids(plain) == ids(asked)
    for source, found in zip(SOURCES, asked, strict=True):
        attention_TS = found.hypotheses[0].attention_TS
        if architecture.connection in WITHOUT_WEIGHTS:
            assert attention_TS is None
        else:
            assert attention_TS is not None
            assert attention_TS.shape == (len(found.hypotheses[0].token_scores), len(source))
            torch.testing.assert_close(attention_TS.sum(dim=1), torch.ones(attention_TS.shape[0]))


def test_the_models_here_say_different_things() -> None:
    """What the laws compare must vary: with sources, with beams, in length, and some outputs end by themselves."""
    outputs, stops = [], set()
    for architecture in FAST:
        found = generate(varied(architecture), SOURCES, num_beams=5)
        outputs.append(len({one.hypotheses[0].ids for one in found}))
        stops |= {one.hypotheses[0].stop for one in found}
    assert sum(outputs) > 3 * len(FAST)
    assert stops == {"end", "max_length"}
