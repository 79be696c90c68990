"""Layers computed again in the backward pass give the same gradients, to the bit, and keep less for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.core.config import parse
from isthmus.core.runtime import Runtime, seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.objective import CrossEntropy
from tests.unit.train.toy import ToyBatches

VOCABULARY = 16


def model(recompute: bool) -> EncoderDecoder:
    part = {"layers": 3, "layer": {"heads": 2, "feed_forward": 24, "dropout": 0.3}, "recompute": recompute}
    table = {
        "d_model": 12,
        "encoder": {"kind": "transformer", **part},
        "connection": {"kind": "multi-head-attention", "heads": 2, "dropout": 0.2},
        "decoder": {"kind": "transformer", **part},
    }
    with seeded(5):
        return build(parse(ModelConfig, table, "test"), VOCABULARY, VOCABULARY)


def trained(recompute: bool, precision: str) -> tuple[float, dict[str, Tensor], int]:
    """Loss, gradients, and how many numbers the backward pass was kept."""
    made, kept = model(recompute), 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    batch = next(ToyBatches(rows=11).epoch(0))
    runtime = Runtime(precision="bfloat16" if precision == "bfloat16" else "float32")
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), runtime.autocast():
        total, _ = CrossEntropy(0.1)(made, batch)
    torch.autograd.backward(total)
    return float(total.detach()), {name: p.grad for name, p in made.named_parameters() if p.grad is not None}, kept


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_are_the_same_and_less_is_kept(precision: str) -> None:
    loss, gradients, kept = trained(False, precision)
    loss_again, gradients_again, kept_again = trained(True, precision)
    assert loss_again == loss
    assert gradients.keys() == gradients_again.keys()
    for name, gradient in gradients.items():
        assert torch.equal(gradients_again[name], gradient), name
    assert kept_again < kept / 3


def test_generation_is_what_it_is_without() -> None:
    batch = next(ToyBatches().epoch(0))
    outputs = [made.eval()(batch.source, batch.target_in) for made in (model(False), model(True))]
    assert torch.equal(*outputs)
