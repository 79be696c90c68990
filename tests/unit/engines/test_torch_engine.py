"""The torch engine: step after step is the whole forward, whatever rows are taken."""

from __future__ import annotations

import pytest
import torch

from isthmus.core.errors import StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.engines.torch_engine import TorchEngine
from isthmus.model.transformer import Transformer
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.table_engine import TableState

SIZE = 23
SOURCE = Padded.of([[5, 6, 7, EOS], [8, EOS], [9, 10, EOS]])


@pytest.fixture
def engine() -> TorchEngine:
    return TorchEngine(Transformer(SIZE, d_model=16, n_layers=2, n_heads=2), (BOS,), Runtime())


def test_steps_are_the_whole_forward(engine: TorchEngine) -> None:
    tokens_BT = torch.randint(5, SIZE, (3, 7))
    tokens_BT[:, 0] = BOS
    whole_BTV = engine.model(SOURCE, Padded(tokens_BT, torch.tensor([7, 7, 7])))
    state = engine.start(SOURCE)
    for place in range(7):
        log_probs_BV, state, attention = engine.step(tokens_BT[:, place : place + 1], state)
        assert attention is None
        assert log_probs_BV.dtype == torch.float32
        torch.testing.assert_close(log_probs_BV, whole_BTV[:, place], rtol=1e-5, atol=1e-5)


def test_a_block_gives_what_follows_its_last_position(engine: TorchEngine) -> None:
    tokens_BT = torch.randint(5, SIZE, (3, 5))
    block, _, block_attention = engine.step(tokens_BT, engine.start(SOURCE), weights=True)
    state = engine.start(SOURCE)
    for place in range(5):
        single, state, attention = engine.step(tokens_BT[:, place : place + 1], state, weights=True)
    torch.testing.assert_close(block, single, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(block_attention, attention, rtol=1e-5, atol=1e-5)


def test_rows_can_be_repeated_reordered_and_dropped(engine: TorchEngine) -> None:
    start_B1 = torch.full((3, 1), BOS)
    _, state, _ = engine.step(start_B1, engine.start(SOURCE))
    rows = torch.tensor([2, 0, 0])
    next_B1 = torch.tensor([[5], [6], [5]])
    selected_BV, _, _ = engine.step(next_B1, state.select(rows))
    _, state, _ = engine.step(start_B1[rows], engine.start(SOURCE.select(rows)))
    direct_BV, _, _ = engine.step(next_B1, state)
    torch.testing.assert_close(selected_BV, direct_BV, rtol=1e-5, atol=1e-5)


def test_attention_is_over_real_source_positions(engine: TorchEngine) -> None:
    plain, _, _ = engine.step(torch.full((3, 1), BOS), engine.start(SOURCE))
    log_probs, _, attention_BS = engine.step(torch.full((3, 1), BOS), engine.start(SOURCE), weights=True)
    assert attention_BS is not None
    torch.testing.assert_close(attention_BS.sum(dim=1), torch.ones(3))
    assert bool((attention_BS[~SOURCE.mask_BT] == 0).all())
    torch.testing.assert_close(log_probs, plain, rtol=1e-5, atol=1e-5)


def test_a_model_runs_without_dropout_and_without_gradients(engine: TorchEngine) -> None:
    engine = TorchEngine(Transformer(SIZE, d_model=16, n_layers=1, n_heads=2, dropout=0.9).train(), (BOS,))
    one, _, _ = engine.step(torch.full((3, 1), BOS), engine.start(SOURCE))
    two, _, _ = engine.step(torch.full((3, 1), BOS), engine.start(SOURCE))
    assert torch.equal(one, two)
    assert not one.requires_grad


def test_a_state_is_used_once_and_is_the_engine_s_own(engine: TorchEngine) -> None:
    state = engine.start(SOURCE)
    engine.step(torch.full((3, 1), BOS), state)
    with pytest.raises(StateError, match="consumed"):
        engine.step(torch.full((3, 1), BOS), state)
    with pytest.raises(StateError, match="its own states"):
        engine.step(torch.full((3, 1), BOS), TableState([], []))


def test_settings_are_restored(engine: TorchEngine) -> None:
    engine = TorchEngine(engine.model, (BOS,), Runtime(matmul="medium"))
    before = torch.get_float32_matmul_precision()
    with engine.running():
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before
