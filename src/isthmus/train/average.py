"""Averages of the weights along the way, which generalise better than the last weights (Polyak and Juditsky 1992; Izmailov et al. 2018).

An average is told of every update and every validation, says which weights are to be validated, and lives in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, assert_never, final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from isthmus.core.config import Config

Weights = Mapping[str, Tensor]


class NoAverage(Config):
    """The weights as they are."""

    kind: Literal["none"] = "none"


class LastAverage(Config):
    """The mean of the weights at the last `count` validations (Vaswani et al. 2017, section 6.1).

    Attributes:
        count: of how many validations.
    """

    kind: Literal["last"] = "last"
    count: PositiveInt = 5


class BestAverage(Config):
    """The mean of the weights at the `count` best validations, made and validated once at the end.

    Attributes:
        count: of how many validations.
    """

    kind: Literal["best"] = "best"
    count: PositiveInt = 5


class EmaAverage(Config):
    """An exponential moving average over all updates, without a bias towards the first weights (Kingma and Ba 2015, section 3).

    Attributes:
        decay: how much of the average is kept in an update.
    """

    kind: Literal["ema"] = "ema"
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999


AverageConfig = Annotated[NoAverage | LastAverage | BestAverage | EmaAverage, Field(discriminator="kind")]


class Average:
    """What is kept of the weights along the way; this one keeps nothing, others override what they need."""

    def after_step(self, parameters: Weights) -> None:
        """An update was made."""

    def before_validation(self, step: int, parameters: Weights) -> None:
        """A validation is about to be made."""

    def after_validation(self, step: int, parameters: Weights, merit: float) -> None:
        """The weights were validated; the higher the merit the better."""

    def weights(self) -> Weights | None:
        """The weights to validate along the way, or `None` for those of the model."""
        return None

    def final(self) -> Weights | None:
        """The weights to validate once at the end, after those of the last step; `None` if there are none."""
        return None

    def tensors(self) -> dict[str, Tensor]:
        """All that is kept, by name."""
        return {}

    def load(self, tensors: Weights) -> None:
        """Take what `tensors` gave."""


@final
class _Last(Average):
    """Snapshots by step, oldest first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.snapshots: dict[int, Weights] = {}

    def before_validation(self, step: int, parameters: Weights) -> None:
        self.snapshots[step] = _copy(parameters)
        for old in sorted(self.snapshots)[: -self.count]:
            del self.snapshots[old]

    def weights(self) -> Weights | None:
        return mean([self.snapshots[step] for step in sorted(self.snapshots)])

    def tensors(self) -> dict[str, Tensor]:
        return _join(self.snapshots)

    def load(self, tensors: Weights) -> None:
        self.snapshots = _split(tensors)


@final
class _Best(Average):
    """Snapshots by step, with their merits; of equals the earlier is kept."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.snapshots: dict[int, Weights] = {}
        self.merits: dict[int, float] = {}

    def after_validation(self, step: int, parameters: Weights, merit: float) -> None:
        self.snapshots[step], self.merits[step] = _copy(parameters), merit
        ranked = sorted(self.snapshots, key=lambda step: (-self.merits[step], step))
        for worst in ranked[self.count :]:
            del self.snapshots[worst], self.merits[worst]

    def final(self) -> Weights | None:
        return mean([self.snapshots[step] for step in sorted(self.snapshots)])

    def tensors(self) -> dict[str, Tensor]:
        merits = {f"merit/{step}": torch.tensor(merit, dtype=torch.float64) for step, merit in self.merits.items()}
        return _join(self.snapshots) | merits

    def load(self, tensors: Weights) -> None:
        self.merits = {int(key[6:]): float(value) for key, value in tensors.items() if key.startswith("merit/")}
        self.snapshots = _split({key: value for key, value in tensors.items() if not key.startswith("merit/")})


@final
class _Ema(Average):
    """mₜ = mₜ₋₁ + w (pₜ - mₜ₋₁) with w = (1-d) / (1-dᵗ), which is the bias-corrected average at every t."""

    def __init__(self, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.mean: dict[str, Tensor] = {}

    @torch.no_grad()
    def after_step(self, parameters: Weights) -> None:
        self.updates += 1
        if not self.mean:
            self.mean = _copy(parameters)
        weight = (1 - self.decay) / (1 - self.decay**self.updates)
        torch._foreach_lerp_(list(self.mean.values()), [parameters[name].detach() for name in self.mean], weight)

    def weights(self) -> Weights | None:
        return self.mean or None

    def tensors(self) -> dict[str, Tensor]:
        return {f"mean/{name}": value for name, value in self.mean.items()} | {"updates": torch.tensor(self.updates)}

    def load(self, tensors: Weights) -> None:
        self.updates = int(tensors["updates"])
        self.mean = {key[5:]: value.clone() for key, value in tensors.items() if key.startswith("mean/")}


def build_average(config: AverageConfig) -> Average:
    """The average of a configuration, empty."""
    match config:
        case NoAverage():
            return Average()
        case LastAverage(count=count):
            return _Last(count)
        case BestAverage(count=count):
            return _Best(count)
        case EmaAverage(decay=decay):
            return _Ema(decay)
        case _:
            assert_never(config)


def mean(snapshots: Sequence[Weights]) -> Weights | None:
    """The mean of weights, summed in float64; `None` of none."""
    if not snapshots:
        return None
    return {
        name: (sum((snapshot[name].double() for snapshot in snapshots[1:]), first.double()) / len(snapshots)).to(
            first.dtype
        )
        for name, first in snapshots[0].items()
    }


def _copy(parameters: Weights) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}


def _join(snapshots: Mapping[int, Weights]) -> dict[str, Tensor]:
    return {f"{step}/{name}": value for step, weights in snapshots.items() for name, value in weights.items()}


def _split(tensors: Weights) -> dict[int, Weights]:
    snapshots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        step, _, name = key.partition("/")
        snapshots.setdefault(int(step), {})[name] = value.clone()
    return dict(snapshots)
