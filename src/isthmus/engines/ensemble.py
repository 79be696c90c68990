"""Several engines that run in step as one, their predictions mixed at every piece.

The search above sees one engine, so greedy search, beams, samples and constraints work as ever.

E engines, B rows, T positions, S source, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from isthmus.core.errors import InputError, StateError
from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine, EngineState

Mix = Callable[[Sequence[Tensor]], Tensor]
"""From the log-probabilities [..., V] of each engine to those of all together."""
Scale = Literal["probabilities", "log-probabilities"]


@final
@dataclass(frozen=True, slots=True)
class Mean:
    """The weighted mean of several predictions, as a distribution again.

    Over probabilities, p = Σ wₑ pₑ: a piece is likely if any engine finds it likely. Over log-probabilities,
    p ∝ Π pₑ^wₑ: a piece is likely only if no engine finds it unlikely.

    Attributes:
        weights: how much each engine counts: positive, of sum 1 (see `of`).
        scale: what the mean is taken of.
    """

    weights: tuple[float, ...]
    scale: Scale = "probabilities"

    @classmethod
    def of(cls, count: int, weights: Sequence[float] | None = None, scale: Scale = "probabilities") -> Mean:
        """The mean of `count` engines.

        Args:
            count: of engines.
            weights: in any unit; equal by default.
            scale: what the mean is taken of.

        Raises:
            InputError: there is not one weight an engine, or one is not a positive number.
        """
        given = [1.0] * count if weights is None else list(weights)
        if len(given) != count or not all(math.isfinite(weight) and weight > 0 for weight in given):
            raise InputError(
                "an ensemble has one positive weight a model",
                expected=f"{count} positive numbers",
                got=", ".join(map(str, given)) or "none",
                where="weights",
                fix="give one weight for each model, in their order, or none at all",
            )
        return cls(tuple(weight / sum(given) for weight in given), scale)

    def __call__(self, predictions: Sequence[Tensor]) -> Tensor:
        """Log-probabilities [..., V] of the mixture, from those of each engine."""
        log_probs_EV = torch.stack(list(predictions))
        weights_E1 = log_probs_EV.new_tensor(self.weights).reshape(-1, *[1] * (log_probs_EV.dim() - 1))
        if self.scale == "probabilities":
            return (log_probs_EV + weights_E1.log()).logsumexp(dim=0)
        return (log_probs_EV * weights_E1).sum(dim=0).log_softmax(dim=-1)


@final
@dataclass(frozen=True, slots=True)
class EnsembleState:
    """The state of each engine; all stand at the same piece of the same rows.

    Attributes:
        parts: one an engine.
    """

    parts: tuple[EngineState, ...]

    def select(self, rows: Tensor) -> EnsembleState:
        """The given rows of every part."""
        return EnsembleState(tuple(part.select(rows) for part in self.parts))


@final
class Ensemble(Engine):
    """Engines over one vocabulary as one engine.

    Args:
        engines: at least one. The first says where the decoder looked.
        mix: what becomes of their predictions.

    Raises:
        InputError: they begin outputs differently, or their tensors lie on different devices.
    """

    def __init__(self, engines: Sequence[Engine], mix: Mix) -> None:
        self.engines, self.mix = tuple(engines), mix
        for name, values in (
            ("start ids", {engine.start_ids for engine in engines}),
            ("device", {engine.device for engine in engines}),
        ):
            if len(values) != 1:
                raise InputError(
                    f"models that run together share their {name}",
                    expected="the same for each model",
                    got=" and ".join(sorted(map(str, values))) or "no model",
                    fix="load them in one call, with models of one kind",
                )

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with."""
        return self.engines[0].start_ids

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return self.engines[0].device

    @contextmanager
    def running(self) -> Iterator[None]:
        """The settings of every engine, entered in order."""
        with ExitStack() as stack:
            for engine in self.engines:
                stack.enter_context(engine.running())
            yield

    def start(self, source: Padded) -> EnsembleState:
        """Every engine reads the sources."""
        return EnsembleState(tuple(engine.start(source) for engine in self.engines))

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, EnsembleState, Tensor | None]:
        """The mixed log-probabilities of the next piece [B, V], the state, and the first engine's attention [B, S].

        Raises:
            StateError: the state is another engine's, or was consumed before.
        """
        if not isinstance(state, EnsembleState):
            raise StateError(
                "an engine goes on from its own states", expected="an EnsembleState", got=type(state).__name__
            )
        found = [
            engine.step(tokens_BT, part, weights and place == 0)
            for place, (engine, part) in enumerate(zip(self.engines, state.parts, strict=True))
        ]
        log_probs_BV = self.mix([log_probs_BV for log_probs_BV, _, _ in found])
        return log_probs_BV, EnsembleState(tuple(part for _, part, _ in found)), found[0][2]

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """The mixed log-probabilities [B, T, V] of what follows each position of given targets."""
        return self.mix([engine.read(source, target_in) for engine in self.engines])
