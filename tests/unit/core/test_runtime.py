from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus.core import runtime as module
from isthmus.core.errors import InputError
from isthmus.core.runtime import Runtime, probe, seed_step, seeded, step_seed


def settings() -> tuple[int, str]:
    return torch.get_num_threads(), torch.get_float32_matmul_precision()


def pretend(monkeypatch: pytest.MonkeyPatch, gflops: dict[str, float], error: float = 3e-7) -> None:
    def speeds(settings: Sequence[module.Setting], x: Tensor, weight: Tensor) -> dict[str, float]:
        return gflops

    monkeypatch.setattr(module, "_speeds", speeds)
    monkeypatch.setattr(module, "_relative_error", lambda product, x, weight: error)


@pytest.mark.parametrize(
    ("gflops", "error", "precision", "matmul"),
    [
        ({"float32": 160, "float32-medium": 385, "bfloat16": 720}, 6e-7, "bfloat16", "medium"),
        ({"float32": 250, "float32-medium": 255, "bfloat16": 160}, 6e-7, "float32", "highest"),
        ({"float32": 160, "float32-medium": 385, "bfloat16": 400}, 6e-7, "float32", "medium"),
        ({"float32": 160, "float32-medium": 385, "bfloat16": 199}, 2e-3, "float32", "highest"),
        ({"float32": 160, "float32-medium": 385, "bfloat16": 201}, 2e-3, "bfloat16", "highest"),
    ],
)
def test_the_fastest_that_is_exact_enough_is_chosen(
    monkeypatch: pytest.MonkeyPatch, gflops: dict[str, float], error: float, precision: str, matmul: str
) -> None:
    pretend(monkeypatch, gflops, error)
    chosen = probe(device="cpu", threads=1)
    assert (chosen.precision, chosen.matmul, chosen.gflops) == (precision, matmul, gflops)


def test_a_precision_that_is_named_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"float32": 250, "float32-medium": 250, "bfloat16": 1})
    assert probe("bfloat16", "cpu").precision == "bfloat16"
    pretend(monkeypatch, {"float32": 250, "float32-medium": 250})
    assert probe("float32", "cpu").precision == "float32"


def test_probing_measures_something_and_changes_nothing() -> None:
    before = settings()
    chosen = probe(device="cpu", threads=1)
    assert settings() == before
    assert all(math.isfinite(value) and value > 0 for value in chosen.gflops.values())
    assert set(chosen.gflops) == {"float32", "float32-medium", "bfloat16"}
    assert str(chosen).startswith(f"cpu, 1 threads, {chosen.precision}, products {chosen.matmul} (GFLOP/s: float32 ")


def test_fast_sets_and_restores_even_after_an_error() -> None:
    before = settings()
    runtime = Runtime("cpu", "float32", "medium", before[0] + 1)
    with runtime.fast():
        assert settings() == (before[0] + 1, "medium")
    assert settings() == before
    with pytest.raises(ZeroDivisionError), runtime.fast():
        _ = 1 / 0
    assert settings() == before


def test_autocast_computes_products_in_bfloat16_only_when_asked() -> None:
    x = torch.ones(2, 3)
    with Runtime(precision="bfloat16").autocast():
        assert (x @ x.t()).dtype == torch.bfloat16
    with Runtime(precision="float32").autocast():
        assert (x @ x.t()).dtype == torch.float32


def test_choices_make_the_runtime_again_without_the_measurements() -> None:
    runtime = Runtime("cpu", "bfloat16", "medium", 7, {"float32": 1.0})
    choices = runtime.choices()
    assert Runtime.of(choices) == runtime
    assert choices["torch"] == torch.__version__
    assert "gflops" not in choices


def test_a_device_that_is_not_there_and_no_threads_are_errors() -> None:
    with pytest.raises(InputError, match=r"(?s)this device cannot be used.*got: nonsense"):
        probe(device="nonsense")
    with pytest.raises(InputError, match="threads must be positive"):
        probe(threads=0)


@given(st.lists(st.tuples(*[st.integers(0, 2**31)] * 5), unique=True, max_size=50))
def test_step_seeds_differ_wherever_anything_differs(places: list[tuple[int, int, int, int, int]]) -> None:
    seeds = [step_seed(*place) for place in places]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_step_seed_is_a_contract() -> None:
    assert step_seed(1, 2, 3, 4, 5) == 776076787286141139


def test_seeding_a_step_repeats_its_dropout() -> None:
    def drop(step: int) -> Tensor:
        seed_step(1, 0, step)
        return torch.nn.functional.dropout(torch.ones(97))

    assert torch.equal(drop(5), drop(5))
    assert not torch.equal(drop(5), drop(6))


def test_seeded_leaves_the_generator_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    with seeded(1):
        first = torch.rand(5)
    assert torch.equal(torch.rand(5), expected)
    with seeded(1):
        assert torch.equal(torch.rand(5), first)


@pytest.mark.parametrize(("alone", "together", "threads"), [(1.0, 0.6, 3), (1.0, 1.1, 3), (1.0, 9.0, 1)])
def test_one_thread_is_taken_where_threads_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch, alone: float, together: float, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seconds = {1: alone, 3: together}
        monkeypatch.setattr(module, "_small_seconds", lambda: seconds[torch.get_num_threads()])
        assert module.best_threads() == threads
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
