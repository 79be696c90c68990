from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.core.errors import CheckpointError, ConfigError
from isthmus.model.transformer import Transformer
from isthmus.train.muon import orthogonal
from isthmus.train.optimiser import Adam, AdamW, Muon, Optimiser
from tests.unit.train.toy import toy_config, toy_model


def give_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adam_is_the_equation_of_the_paper() -> None:
    model = nn.Linear(3, 5)
    before = model.weight.detach().double()
    optimiser = Optimiser(Adam(learning_rate=0.1), model)
    first, second = torch.zeros(5, 3).double(), torch.zeros(5, 3).double()
    for step in range(1, 4):
        give_gradients(model, step)
        assert model.weight.grad is not None
        gradient = model.weight.grad.double()
        assert optimiser.step(step, 0.5) == pytest.approx(0.05)
        first, second = 0.9 * first + 0.1 * gradient, 0.98 * second + 0.02 * gradient**2
        before -= 0.05 * (first / (1 - 0.9**step)) / ((second / (1 - 0.98**step)).sqrt() + 1e-9)
    torch.testing.assert_close(model.weight.detach().double(), before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("decay_all", [False, True])
def test_weight_decay_leaves_norms_biases_and_embeddings_alone(decay_all: bool) -> None:
    model = Transformer((11, 13), d_model=8, n_layers=1, n_heads=2, dropout=0.0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimiser = Optimiser(AdamW(learning_rate=0.1, weight_decay=0.5, decay_all=decay_all), model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step(1, 1.0)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    matrices = {name for name in before if before[name].dim() > 1 and "embedding" not in name and "head" not in name}
    assert matrices
    assert moved == ({name for name in before if before[name].any()} if decay_all else matrices)


@pytest.mark.parametrize("shape", [(64, 24), (24, 64), (32, 32)])
def test_what_is_orthogonal_keeps_its_axes_and_loses_its_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    along = left.mT @ orthogonal(matrix, torch.float32) @ right.mT  # in the matrix's own axes: a diagonal of about ones
    assert bool(((along.diagonal() > 0.5) & (along.diagonal() < 1.3)).all())
    assert float((along - along.diagonal().diag()).abs().max()) < 1e-4


def test_nothing_stays_nothing() -> None:
    assert not orthogonal(torch.zeros(3, 5), torch.float32).any()


def test_muon_is_that_of_torch_where_products_are_in_bfloat16() -> None:
    model, other = nn.Linear(64, 24, bias=False), nn.Linear(64, 24, bias=False)
    other.load_state_dict(model.state_dict())
    ours = Optimiser(Muon(learning_rate=0.1, momentum=0.9, weight_decay=0.3), model, "bfloat16")
    theirs = torch.optim.Muon(
        other.parameters(), lr=0.05, momentum=0.9, weight_decay=0.3, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(1, 4):
        for each in (model, other):
            give_gradients(each, step)
        ours.step(step, 0.5)
        theirs.step()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(model.weight, other.weight, rtol=0, atol=1e-5)


def test_muon_leaves_norms_biases_embeddings_and_the_head_to_adam() -> None:
    model = Transformer((11, 13), d_model=8, n_layers=1, n_heads=2, dropout=0.0)
    optimiser = Optimiser(Muon(), model)
    give_gradients(model, 1)
    optimiser.step(1, 1.0)
    momenta = {name.partition("/")[2] for name in optimiser.tensors() if name.startswith("momentum_buffer/")}
    squares = {name.partition("/")[2] for name in optimiser.tensors() if name.startswith("exp_avg_sq/")}
    named = dict(model.named_parameters())
    assert momenta
    assert momenta == {
        name for name in named if named[name].dim() > 1 and "embedding" not in name and "head" not in name
    }
    assert squares == named.keys() - momenta


@pytest.mark.parametrize("config", [Adam(), AdamW(), Muon()])
def test_state_saved_and_loaded_goes_on_to_the_bit(config: Adam | AdamW | Muon) -> None:
    ours, theirs = toy_model(), toy_model()
    first, second = Optimiser(config, ours), Optimiser(config, theirs)
    for step in range(1, 4):
        give_gradients(ours, step)
        first.step(step, 1.0)
    theirs.load_state_dict(ours.state_dict())
    second.load(first.tensors())
    for model, optimiser in ((ours, first), (theirs, second)):
        give_gradients(model, 7)
        optimiser.step(4, 1.0)
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, dict(theirs.named_parameters())[name])
    assert sorted(first.tensors()) == sorted(second.tensors())
    assert all(torch.equal(first.tensors()[name], value) for name, value in second.tensors().items())


@pytest.mark.parametrize(("before", "after"), [(Adam(), Muon()), (Muon(), Adam())])
def test_what_another_kind_of_optimiser_left_is_begun_anew(before: Adam | Muon, after: Adam | Muon) -> None:
    model = toy_model()
    first, second, fresh = (Optimiser(config, model) for config in (before, after, after))
    for optimiser in (first, fresh):
        give_gradients(model, 1)
        optimiser.step(1, 1.0)
    second.load(first.tensors())
    give_gradients(model, 2)
    second.step(2, 1.0)
    assert second.tensors().keys() == fresh.tensors().keys()


def test_loaded_state_shares_no_memory_with_what_was_given() -> None:
    model = toy_model()
    optimiser = Optimiser(Adam(), model)
    give_gradients(model, 1)
    optimiser.step(1, 1.0)
    given = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
    kept = {name: tensor.clone() for name, tensor in given.items()}
    optimiser.load(given)
    optimiser.step(2, 1.0)
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_a_name_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.weight"):
        Optimiser(Adam(), nn.Linear(2, 3)).load({"exp_avg/nowhere.weight": torch.zeros(3, 2)})


def test_moments_of_rare_words_never_become_denormal() -> None:
    table = nn.Embedding(5, 3)
    optimiser = Optimiser(Adam(), table)
    give_gradients(table, 1)
    optimiser.step(1, 1.0)
    table.weight.grad = torch.zeros(5, 3)
    smallest = torch.finfo(torch.float32).tiny
    for step in range(2, 1300):
        optimiser.step(step, 1.0)
        moments = optimiser.tensors()["exp_avg/weight"]
        assert bool(((moments == 0) | (moments.abs() >= smallest)).all())
    assert not moments.any()


@pytest.mark.parametrize("rate", [float("inf"), float("nan")])
def test_a_learning_rate_is_a_finite_number(rate: float) -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        toy_config(optimiser={"kind": "adam", "learning_rate": rate})
    assert toy_config(clip_norm=float("inf")).clip_norm == float("inf")
