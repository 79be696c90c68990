"""What each objective makes small. B batch, T target position."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.config import parse
from isthmus.core.errors import ConfigError
from isthmus.core.runtime import seeded
from isthmus.data.batches import Batch
from isthmus.model.build import ModelConfig, build
from isthmus.model.transformer import Transformer
from isthmus.nn.r_drop import distance
from isthmus.train.config import TrainingConfig
from isthmus.train.events import Stepped, Validated
from isthmus.train.objective import CrossEntropy, InSegments, Objective, RDrop, ScheduledSampling, build_objective
from isthmus.train.trainer import train
from tests.unit.train.toy import BOS, VOCABULARY, ToyBatches, toy_config, toy_job, toy_model


def batch() -> Batch:
    return next(ToyBatches(rows=3).epoch(0))


def test_without_dropout_r_drop_is_cross_entropy() -> None:
    """Both passes then say the same: their mean is one of them, and they are not apart."""
    model = toy_model().eval()
    torch.testing.assert_close(RDrop(0.1, 5.0)(model, batch()), CrossEntropy(0.1)(model, batch()))


def test_r_drop_is_the_papers_sum_over_two_dropouts() -> None:
    model = Transformer(VOCABULARY, d_model=8, n_layers=1, n_heads=2, dropout=0.3).train()
    one = batch()
    rows = torch.arange(3).repeat(2)
    with seeded(7):
        total, count = RDrop(0.1, 3.0)(model, one)
    with seeded(7):  # the same dropout again
        _, decoded = model.read(one.source.select(rows), one.target_in.select(rows))
    mask_BT = one.target.mask_BT
    first_ND, second_ND = decoded.features_BTD[:3][mask_BT], decoded.features_BTD[3:][mask_BT]
    weight_VD = model.head.get_parameter("weight")
    apart = distance(*((each_ND @ weight_VD.T).log_softmax(dim=-1) for each_ND in (first_ND, second_ND))).sum()
    nll, _ = model.head.nll(decoded, one.target.select(rows), 0.1)
    assert float(apart.detach()) > 0.01
    torch.testing.assert_close(total, nll / 2 + 3.0 / 2 * apart)
    assert float(count) == int(one.target.lengths_B.sum())


@pytest.mark.parametrize("kind", ["cross-entropy", "r-drop", "scheduled-sampling", "segments"])
def test_label_smoothing_is_spread_over_what_is_given(kind: str) -> None:
    """Over all alike: as without a prior. Over one piece: as if that were a part of every target."""
    model, one = toy_model().eval(), batch()
    objective = partial(build_objective, toy_config(objective={"kind": kind}).objective, 0.3)
    alike_V = torch.full((VOCABULARY,), 1 / VOCABULARY)
    torch.testing.assert_close(objective(alike_V)(model, one), objective()(model, one))
    piece_V = torch.zeros(VOCABULARY)
    piece_V[5] = 1
    _, decoded = model.read(one.source, one.target_in)
    log_probs_BTV, mask_BT = model.head.log_probs(decoded), one.target.mask_BT
    said_BT = log_probs_BTV.gather(2, one.target.ids_BT[:, :, None])[:, :, 0]
    expected = -(0.7 * said_BT + 0.3 * log_probs_BTV[:, :, 5])[mask_BT].sum()
    torch.testing.assert_close(objective(piece_V)(model, one)[0], expected)


def test_scheduled_sampling_begins_as_teacher_forcing() -> None:
    model = toy_model().eval()
    torch.testing.assert_close(ScheduledSampling(0.1, 1.0)(model, batch(), 0.0), CrossEntropy(0.1)(model, batch()))


def test_at_a_share_of_one_all_that_is_read_is_the_models_own() -> None:
    model = toy_model().eval()
    one = batch()
    said_BT = model(one.source, one.target_in).argmax(dim=-1)
    own = Batch(one.source, one.target_in.select(torch.arange(3)), one.target, one.weight_B, one.index_B)
    own.target_in.ids_BT[:, 1:] = torch.where(
        own.target_in.mask_BT[:, 1:], said_BT[:, :-1], own.target_in.ids_BT[:, 1:]
    )
    assert bool((own.target_in.ids_BT[:, 0] == BOS).all())
    assert not torch.equal(own.target_in.ids_BT, one.target_in.ids_BT)
    torch.testing.assert_close(ScheduledSampling(0.0, 1.0)(model, one, 1.0), CrossEntropy()(model, own))


def test_the_share_of_own_words_grows() -> None:
    model = toy_model().eval()
    with seeded(1):
        losses = [float(ScheduledSampling(0.0, 1.0)(model, batch(), progress)[0]) for progress in (0.0, 0.5, 1.0)]
    assert len(set(losses)) == 3


DECODERS: dict[str, dict[str, Any]] = {
    "attention": {"kind": "transformer", "layers": 2, "layer": {"heads": 2, "feed_forward": 12}},
    "segments": {"kind": "transformer", "layers": 2, "layer": {"heads": 2, "feed_forward": 12, "segment": 2}},
    "ssru": {"kind": "transformer", "layers": 1, "past": "ssru", "layer": {"heads": 2, "feed_forward": 12}},
    "input-feeding": {"kind": "recurrent", "layers": 1, "input_feeding": True},
}


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_segments_change_the_way_of_gradients_and_no_loss(decoder: dict[str, Any]) -> None:
    """Whatever the decoder remembers; one segment for all is plain cross-entropy, gradients included."""
    table = {
        "d_model": 8,
        "encoder": {"kind": "recurrent", "layers": 1},
        "connection": {"kind": "global-attention"},
        "decoder": decoder,
    }
    with seeded(1):
        model = build(ModelConfig.of(table), VOCABULARY, VOCABULARY).eval()

    def gradients(objective: Objective) -> tuple[Tensor, dict[str, Tensor]]:
        model.zero_grad()
        total, count = objective(model, batch())
        total.backward()  # type: ignore[no-untyped-call]
        found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        return torch.stack([total.detach(), count]), found

    whole, expected = gradients(CrossEntropy(0.1))
    for length, same in ((1, False), (2, False), (100, decoder is not DECODERS["segments"])):
        loss, found = gradients(InSegments(0.1, length))
        torch.testing.assert_close(loss, whole)
        assert found.keys() == expected.keys()
        assert same == all(torch.allclose(found[name], expected[name], 1e-4, 1e-6) for name in expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"kind": "cross-entropy"}, CrossEntropy(0.2)),
        ({"kind": "r-drop", "strength": 2.0}, RDrop(0.2, 2.0)),
        ({"kind": "scheduled-sampling", "share": 0.5}, ScheduledSampling(0.2, 0.5)),
        ({"kind": "segments", "length": 7}, InSegments(0.2, 7)),
    ],
)
def test_objectives_are_built(config: dict[str, object], expected: Objective) -> None:
    found = parse(TrainingConfig, {"steps": 1, "objective": config}, "test")
    assert build_objective(found.objective, 0.2) == expected


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ConfigError, match="objective"):
        parse(TrainingConfig, {"steps": 1, "objective": {"kind": "hinge"}}, "test")


@pytest.mark.parametrize("objective", [RDrop(0.0, 1.0), ScheduledSampling(0.0, 0.3), InSegments(0.0, 2)])
def test_they_train(objective: Objective, tmp_path: Path) -> None:
    job = toy_job(tmp_path, toy_config(steps=60, validate_every=30), objective=objective)
    events = list(train(job))
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert losses[-1] < 0.8 * losses[0]
    assert any(isinstance(event, Validated) for event in events)
