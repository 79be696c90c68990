"""Runs a model in PyTorch.

B rows, T positions, S source, V vocabulary.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import final

import torch
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.engines.engine import Engine, EngineState
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.state import DecoderState
from isthmus.nn.packed import pack


@final
class TorchEngine(Engine):
    """An `EncoderDecoder` as an engine: no gradients, no dropout, the precision of a runtime.

    Args:
        model: moved to the runtime's device and put in evaluation mode; in bfloat16 a copy is, whose weights are converted once. On a
            CPU the engine has the weights of its products once more, laid out for it (see `isthmus.nn.packed`): it does not
            see what training changes afterwards.
        start_ids: what every output begins with.
        runtime: where and how to compute.
        looks: whose weights say where the decoder looked: the layer, and its head; without one the mean over the layer's heads.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        start_ids: tuple[int, ...],
        runtime: Runtime | None = None,
        looks: tuple[int, int | None] = (-1, None),
    ) -> None:
        self.runtime = Runtime() if runtime is None else runtime
        if self.runtime.precision == "bfloat16":
            model = copy.deepcopy(model).to(torch.bfloat16)
        model = model.to(self.runtime.device)
        if torch.device(self.runtime.device).type == "cpu":
            model = _packed(model)
        self.model = model.eval()
        self._start_ids = start_ids
        self._looks = looks

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with."""
        return self._start_ids

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return self.runtime.device

    def running(self) -> AbstractContextManager[None]:
        """The runtime's threads and precision of products."""
        return self.runtime.fast()

    def start(self, source: Padded) -> DecoderState:
        """Encode the sources: one row a source."""
        with torch.inference_mode():
            return self.model.start(self.model.encode(source.to(self.runtime.device)))

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Log-probabilities of the next piece [B, V], the state, and with `weights` the attention [B, S].

        Raises:
            StateError: the state is another engine's, or was consumed before.
        """
        if not isinstance(state, DecoderState):
            raise StateError(
                "an engine goes on from its own states", expected="a DecoderState", got=type(state).__name__
            )
        with torch.inference_mode():
            decoded, state = self.model.step(tokens_BT, state, weights=weights)
            log_probs_BV = self.model.head.log_probs(decoded)[:, -1]
        return log_probs_BV, state, decoded.looked(*self._looks) if weights else None

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """Log-probabilities [B, T, V] of what follows each position of given targets."""
        with torch.inference_mode():
            log_probs_BTV: Tensor = self.model(source.to(self.runtime.device), target_in.to(self.runtime.device))
            return log_probs_BTV


def _packed(model: EncoderDecoder) -> EncoderDecoder:
    """A packed copy that shares what is not packed; a model whose weights are divided among processes cannot be copied, and stays."""
    try:
        own = copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})
    except AssertionError:  # what FSDP2 raises for every copy of its modules
        return model
    pack(own)
    return own
