"""Recurrent layers of an encoder as one operation each, so that a graph has any width.

`torch.export` unrolls torch's own loop over positions; ONNX has the loop as an operation.

B row, T position, I input, D state.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.recurrent import RecurrentEncoder
from isthmus.nn.recurrent import RecurrentLayer

LSTM_ORDER, GRU_ORDER = (0, 3, 1, 2), (1, 0, 2)
"""Where ONNX's gates (input, output, forget, cell; update, reset, hidden) stand among torch's."""


def _operation(kind: str) -> Any:
    """An operation without a kernel: it exists while a graph is traced, and ONNX computes it."""

    def kernel(x: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:
        raise NotImplementedError(kind)

    def fake(x: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:  # noqa: ARG001
        return x.new_empty(x.shape[0], x.shape[1], recurrence.shape[2])

    made = torch.library.custom_op(f"isthmus::{kind}", kernel, mutates_args=())
    made.register_fake(fake)
    return made


LSTM, GRU = _operation("lstm"), _operation("gru")


@final
class OneOperation(nn.Module):
    """Stands in for `nn.LSTM` or `nn.GRU` while a graph is traced; its last state is not to be read.

    Args:
        recurrence: a layer of torch, one way, batch first.
    """

    def __init__(self, recurrence: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.lstm = isinstance(recurrence, nn.LSTM)
        order = LSTM_ORDER if self.lstm else GRU_ORDER
        own = [each.detach() for each in recurrence.all_weights[0]]
        weight, hidden, bias, hidden_bias = (
            torch.cat([each.chunk(len(order))[gate] for gate in order]) for each in own
        )
        self.weight, self.hidden, self.bias = (
            nn.Parameter(each[None], requires_grad=False) for each in (weight, hidden, torch.cat([bias, hidden_bias]))
        )

    def forward(self, x_BTI: Tensor, state: None = None) -> tuple[Tensor, Any]:  # noqa: ARG002
        """Outputs [B, T, D], and what has the shape of a last state."""
        operation = LSTM if self.lstm else GRU
        output_BTD = operation(x_BTI, self.weight, self.hidden, self.bias)
        last_1BD = output_BTD[:, -1][None]
        return output_BTD, (last_1BD, last_1BD) if self.lstm else last_1BD


def exportable(model: EncoderDecoder) -> EncoderDecoder:
    """The model, or a copy of it whose encoder loops within single operations."""
    if not isinstance(model.encoder, RecurrentEncoder):
        return model
    model = copy.deepcopy(model)
    for layer in model.encoder.modules():
        if isinstance(layer, RecurrentLayer):
            layer.add_module("recurrence", OneOperation(layer.recurrence))
    return model


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """What the operations are in ONNX."""
    from onnxscript import opset18

    op: Any = opset18

    def ran(output: Any) -> Any:
        return op.Transpose(op.Squeeze(output, op.Constant(value_ints=[1])), perm=[1, 0, 2])

    def lstm(x: Any, weight: Any, recurrence: Any, bias: Any) -> Any:
        output, _, _ = op.LSTM(
            op.Transpose(x, perm=[1, 0, 2]), weight, recurrence, bias, hidden_size=recurrence.shape[2]
        )
        return ran(output)

    def gru(x: Any, weight: Any, recurrence: Any, bias: Any) -> Any:
        turned = op.Transpose(x, perm=[1, 0, 2])
        output, _ = op.GRU(turned, weight, recurrence, bias, hidden_size=recurrence.shape[2], linear_before_reset=1)
        return ran(output)

    return {torch.ops.isthmus.lstm.default: lstm, torch.ops.isthmus.gru.default: gru}
