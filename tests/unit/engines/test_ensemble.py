"""Several engines as one: mixed predictions are those worked out directly, at each step and after any choice of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import InputError, StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.engines.contrastive import Contrast
from isthmus.engines.ensemble import Ensemble, Mean
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.model.transformer import Transformer
from tests.unit.generate.table_engine import TableEngine

SIZE, BOS, EOS = 23, 2, 3
SOURCE = Padded.of([[5, 6, 7, EOS], [8, EOS], [9, 10, EOS]])
WEIGHTS = (1.0, 3.0)


def torch_engine(seed: int, size: int = SIZE) -> TorchEngine:
    torch.manual_seed(seed)
    model = Transformer(size, d_model=16, n_layers=1 + seed, n_heads=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return TorchEngine(model, (BOS,), Runtime())


ENGINES = (torch_engine(0), torch_engine(1))


def directly(rule: str, predictions: Sequence[Tensor]) -> Tensor:
    """The definitions, in float64 and in probabilities."""
    one, two = (log_probs.double().exp() for log_probs in predictions)
    if rule == "probabilities":
        return (0.25 * one + 0.75 * two).log()
    product = one**0.25 * two**0.75
    if rule == "contrast":
        product = torch.where(one >= 0.1 * one.amax(dim=-1, keepdim=True), one / two, 0.0)
    return (product / product.sum(dim=-1, keepdim=True)).log()


MIXES = [
    ("probabilities", Mean.of(2, WEIGHTS)),
    ("log-probabilities", Mean.of(2, WEIGHTS, "log-probabilities")),
    ("contrast", Contrast()),
]


@pytest.mark.parametrize(("rule", "mix"), MIXES, ids=[rule for rule, _ in MIXES])
def test_steps_mix_what_each_engine_says(rule: str, mix: Mean | Contrast) -> None:
    together = Ensemble(ENGINES, mix)
    tokens_BT = torch.randint(5, SIZE, (3, 6))
    tokens_BT[:, 0] = BOS
    rows = torch.tensor([2, 0, 0])
    wholes = [engine.model(SOURCE, Padded(tokens_BT, torch.tensor([6, 6, 6]))) for engine in ENGINES]
    expected_BTV = directly(rule, wholes).float()
    state = together.start(SOURCE)
    for t in range(3):
        log_probs_BV, state, _ = together.step(tokens_BT[:, t : t + 1], state)
        torch.testing.assert_close(log_probs_BV, expected_BTV[:, t], rtol=1e-4, atol=1e-5)
    source, tokens_BT = SOURCE.select(rows), torch.cat([tokens_BT[rows, :3], tokens_BT[:, 3:]], dim=1)
    wholes = [engine.model(source, Padded(tokens_BT, torch.tensor([6, 6, 6]))) for engine in ENGINES]
    expected_BTV = directly(rule, wholes).float()
    state = state.select(rows)
    for t in range(3, 6):
        log_probs_BV, state, attention_BS = together.step(tokens_BT[:, t : t + 1], state, weights=True)
        torch.testing.assert_close(log_probs_BV, expected_BTV[:, t], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(log_probs_BV.exp().sum(dim=-1), torch.ones(3))
        assert attention_BS is not None
    read_BTV = together.read(source, Padded(tokens_BT, torch.tensor([6, 6, 6])))
    torch.testing.assert_close(read_BTV, expected_BTV, rtol=1e-4, atol=1e-5)


def test_equal_weights_are_the_default_and_only_their_ratio_counts() -> None:
    assert Mean.of(4).weights == (0.25,) * 4
    assert Mean.of(2, (2, 6)) == Mean.of(2, WEIGHTS)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4}, {"do_sample": True, "seed": 3}])
@pytest.mark.parametrize("scale", ["probabilities", "log-probabilities"])
def test_several_of_the_same_are_that_one(options: dict[str, int | bool], scale: str) -> None:
    engine = TableEngine()
    mean = Mean.of(3, (1, 2, 3), "probabilities" if scale == "probabilities" else "log-probabilities")
    jobs, target = [Job((4, 5, EOS)), Job((6, EOS))], Target(EOS, (0, 1, 2))
    chosen = GenerationOptions.of({"max_length": 6, **options})
    alone = search_jobs(engine, jobs, target, chosen)
    found = search_jobs(Ensemble([engine] * 3, mean), jobs, target, chosen)
    for one, other in zip(alone, found, strict=True):
        assert [hypothesis.ids for hypothesis in one.hypotheses] == [hypothesis.ids for hypothesis in other.hypotheses]


def test_greedy_search_takes_the_best_piece_of_the_mixture() -> None:
    one, two = TableEngine(seed=1), TableEngine(seed=2)
    jobs, target = [Job((4, place, EOS)) for place in range(4, 12)], Target(EOS, ())
    options = GenerationOptions(num_beams=1, max_length=8)
    chosen = []
    for job, found in zip(jobs, search_jobs(Ensemble([one, two], Mean.of(2)), jobs, target, options), strict=True):
        ids: list[int] = []
        while len(ids) < 8 and EOS not in ids:
            mixed = one.log_probs(job.source, (2, *ids)).exp() + two.log_probs(job.source, (2, *ids)).exp()
            ids.append(int(mixed.argmax()))
        chosen.append(tuple(id for id in ids if id != EOS))
        assert found.hypotheses[0].ids == chosen[-1]
    for engine in (one, two):
        assert [found.hypotheses[0].ids for found in search_jobs(engine, jobs, target, options)] != chosen


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, math.inf), (1.0, math.nan), ()])
def test_weights_must_fit(weights: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="one positive weight a model") as caught:
        Mean.of(2, weights)
    assert caught.value.expected == "2 positive numbers"


@pytest.mark.parametrize(("plausibility", "strength"), [(0.0, 1.0), (1.5, 1.0), (0.1, -1.0), (0.1, math.inf)])
def test_a_contrast_has_bounds(plausibility: float, strength: float) -> None:
    with pytest.raises(InputError, match="a plausibility and a strength"):
        Contrast(plausibility, strength)


def test_a_contrast_without_strength_leaves_the_plausible_as_they_are() -> None:
    expert, amateur = torch.log_softmax(torch.randn(2, 5, SIZE), dim=-1)
    kept = Contrast(0.3, 0.0)([expert, amateur])
    plausible = expert.exp() >= 0.3 * expert.exp().amax(dim=-1, keepdim=True)
    assert torch.equal(kept > -math.inf, plausible)
    assert torch.equal(kept.argmax(dim=-1), expert.argmax(dim=-1))


def test_engines_must_begin_alike_and_stand_on_one_device() -> None:
    with pytest.raises(InputError, match="share their start ids") as caught:
        Ensemble([ENGINES[0], TorchEngine(ENGINES[1].model, (BOS, 5))], Mean.of(2))
    assert caught.value.got == "(2, 5) and (2,)"


def test_a_state_is_the_ensemble_s_own() -> None:
    with pytest.raises(StateError, match="its own states"):
        Ensemble(ENGINES, Mean.of(2)).step(torch.full((3, 1), BOS), ENGINES[0].start(SOURCE))


def test_settings_of_every_engine_hold_and_are_restored() -> None:
    before = torch.get_float32_matmul_precision()
    with Ensemble([TorchEngine(ENGINES[0].model, (BOS,), Runtime(matmul="medium"))], Mean.of(1)).running():
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before
