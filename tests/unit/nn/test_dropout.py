from __future__ import annotations

import pytest
import torch

from isthmus.nn.dropout import add_dropped, dropout, skipped

COUNT = 1_000_003  # odd: the last random number decides over fewer than four features


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_scale_of_the_rest(probability: float) -> None:
    x = torch.ones(COUNT)
    y = dropout(x, probability, True)
    kept = y != 0
    deviation = (probability * (1 - probability) / COUNT) ** 0.5
    assert float((~kept).float().mean()) == pytest.approx(probability, abs=5 * deviation + 1e-5)
    exact = round(probability * 65536) / 65536
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - exact)))
    assert float(y.mean()) == pytest.approx(1.0, abs=5 * deviation / (1 - probability) + 1e-5)


def test_features_are_dropped_independently() -> None:
    """Neighbours, and features that one random number decides over, agree as often as chance has it."""
    kept = dropout(torch.ones(COUNT), 0.5, True) != 0
    for distance in (1, 2, 3, 4, 5):
        agree = float((kept[distance:] == kept[:-distance]).float().mean())
        assert agree == pytest.approx(0.5, abs=0.004)


def test_the_seed_decides() -> None:
    x = torch.randn(7, 11, 13)
    torch.manual_seed(5)
    first, second = dropout(x, 0.3, True), dropout(x, 0.3, True)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.3, True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("probability", "training"), [(0.3, False), (0.0, True), (0.0, False)])
def test_it_may_do_nothing(probability: float, training: bool) -> None:
    x, state = torch.randn(5, 3), torch.get_rng_state()
    assert dropout(x, probability, training) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_gradients_pass_where_features_pass() -> None:
    x = torch.randn(5, 7, 3, requires_grad=True)
    y = dropout(x, 0.4, True)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad == 0, y == 0)
    torch.testing.assert_close(grad * x, y)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 5), (2, 3)])
def test_any_shape_and_type(shape: tuple[int, ...]) -> None:
    for kind in (torch.float32, torch.bfloat16):
        y = dropout(torch.ones(shape, dtype=kind), 0.5, True)
        assert (y.shape, y.dtype) == (torch.Size(shape), kind)


def test_a_transposed_input_is_dropped_in_place_of_its_own() -> None:
    x = torch.randn(5, 7).t()
    y = dropout(x, 0.5, True)
    kept = y != 0
    torch.testing.assert_close(y[kept], 2 * x[kept])


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropping_while_adding_is_adding_what_was_dropped(kind: torch.dtype) -> None:
    x, y = torch.randn(3, 7, 11).to(kind), torch.randn(3, 7, 11).to(kind)
    torch.manual_seed(5)
    found = add_dropped(x, y, 0.3, True)
    torch.manual_seed(5)
    torch.testing.assert_close(found, x + dropout(y, 0.3, True), rtol=0.02, atol=0.02)
    assert torch.equal(add_dropped(x, y, 0.3, False), x + y)


def test_whole_rows_are_skipped() -> None:
    y = torch.ones(20_000, 2, 3)
    found = skipped(y, 0.25, True)
    row = found[:, 0, 0]
    assert torch.equal(found, row[:, None, None].expand_as(y))
    assert sorted(set(row.tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert float((row == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert skipped(y, 0.25, False) is y
    assert skipped(y, 0.0, True) is y
