"""Optimisers: Adam and AdamW, in torch's fused kernels where the device has them, and Muon beside Adam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from isthmus.core.config import Config
from isthmus.core.errors import CheckpointError
from isthmus.core.runtime import Precision
from isthmus.model.heads.head import Head
from isthmus.nn.blocks import Embedding
from isthmus.nn.positions import Learned
from isthmus.train.muon import MEAN, OrthogonalMomentum

Inner = torch.optim.Optimizer

FUSED = ("cpu", "cuda")
SWEEP_EVERY = 100
MATRIX = 2  # dimensions
TINY = 1e-30  # from here, 100 steps of decay by 0.9 stay above the smallest normal float32, 1.2e-38


class Adam(Config):
    """Adam (Kingma and Ba 2015), with the constants of Vaswani et al. 2017, section 5.3.

    Attributes:
        learning_rate: the highest, which the schedule reaches after its warm-up.
        beta1: how much of the mean gradient is kept in a step.
        beta2: how much of the mean square is kept in a step.
        epsilon: added to the root of the mean square.
    """

    kind: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    epsilon: PositiveFloat = 1e-9


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Attributes:
        learning_rate: the highest, which the schedule reaches after its warm-up.
        beta1: how much of the mean gradient is kept in a step.
        beta2: how much of the mean square is kept in a step.
        epsilon: added to the root of the mean square.
        weight_decay: the share of a weight that is taken away in each step, times the learning rate.
        decay_all: decay norms, biases and embeddings too; by default only the matrices of projections are decayed.
    """

    kind: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    epsilon: PositiveFloat = 1e-9
    weight_decay: NonNegativeFloat = 0.01
    decay_all: bool = False


class Muon(Config):
    """Orthogonalised momentum (Jordan et al. 2024) for the matrices of projections, Adam for norms, biases, embeddings and the head.

    Attributes:
        learning_rate: the highest, which the schedule reaches after its warm-up; of matrices, whose updates have the size of
            Adam's (Liu et al. 2025), and of the rest.
        momentum: how much of a matrix's mean gradient is kept in a step.
        weight_decay: the share of a matrix's weight that is taken away in each step, times the learning rate.
        beta1: how much of the mean gradient is kept in a step, of the rest.
        beta2: how much of the mean square is kept in a step, of the rest.
        epsilon: added to the root of the mean square, of the rest.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: PositiveFloat = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95
    weight_decay: NonNegativeFloat = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    epsilon: PositiveFloat = 1e-9


OptimiserConfig = Annotated[Adam | AdamW | Muon, Field(discriminator="kind")]


class Optimiser:
    """The optimiser of one model: steps at a learning rate, and gives and takes its state by the names of the parameters.

    Args:
        config: which optimiser.
        model: its trainable parameters are optimised, in the order of `named_parameters`.
        precision: what an optimiser that multiplies matrices does so in.
    """

    def __init__(self, config: OptimiserConfig, model: nn.Module, precision: Precision = "float32") -> None:
        self.peak = config.learning_rate
        named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.parameters = list(named.values())
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in named.items()}
        chosen = _chosen(config, model)
        matrices = [parameter for name, parameter in named.items() if name in chosen]
        others = [parameter for name, parameter in named.items() if name not in chosen]
        self._inner = _inner(config, matrices, others, torch.bfloat16 if precision == "bfloat16" else torch.float32)

    def step(self, number: int, factor: float) -> float:
        """Make update `number` from the gradients at `factor` times the peak rate, and return the rate."""
        rate = self.peak * factor
        for inner in self._inner:
            for group in inner.param_groups:
                group["lr"] = rate
            inner.step()
        if number % SWEEP_EVERY == 0:
            self._sweep()
        return rate

    def clear(self) -> None:
        """Forget the gradients."""
        for inner in self._inner:
            inner.zero_grad(set_to_none=True)

    def _sweep(self) -> None:
        """Set moments that have all but died away to zero.

        The moments of a rare word's embedding decay into denormal numbers, which many processors add twenty times slower than others.
        """
        for _, tensors in self._states():
            for tensor in (each.to_local() if isinstance(each, DTensor) else each for each in tensors.values()):
                if tensor.dim():
                    tensor.masked_fill_(tensor.abs() < TINY, 0.0)

    def _states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        for inner in self._inner:
            for parameter in _ordered(inner):
                if parameter in inner.state:
                    yield self._names[parameter], inner.state[parameter]

    def tensors(self) -> dict[str, Tensor]:
        """The state as tensors named `<what>/<parameter>`; those not yet stepped have none."""
        return {f"{what}/{name}": tensor for name, state in self._states() for what, tensor in state.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `tensors` gave; a parameter that another kind of optimiser had begins anew.

        Raises:
            CheckpointError: a name belongs to no parameter of this model.
        """
        states: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            what, _, name = key.partition("/")
            states.setdefault(name, {})[what] = tensor.clone()
        unknown = sorted(states.keys() - set(self._names.values()))
        if unknown:
            raise CheckpointError(
                "the optimiser's state names a parameter that this model has not",
                got=unknown[0],
                where="optimiser.safetensors",
            )
        for inner in self._inner:
            names = [self._names[parameter] for parameter in _ordered(inner)]
            state = {position: states[name] for position, name in enumerate(names) if _its_own(inner, states.get(name))}
            inner.load_state_dict({"state": state, "param_groups": inner.state_dict()["param_groups"]})


def _its_own(inner: Inner, state: Mapping[str, Tensor] | None) -> bool:
    """Whether the state of a parameter is of this kind of optimiser; the run may have been allowed to change it."""
    return state is not None and (MEAN in state) == isinstance(inner, OrthogonalMomentum)


def _ordered(inner: Inner) -> list[Tensor]:
    return [parameter for group in inner.param_groups for parameter in group["params"]]


def _inner(
    config: OptimiserConfig, matrices: list[nn.Parameter], others: list[nn.Parameter], dtype: torch.dtype
) -> list[Inner]:
    """torch's optimisers: of the matrices that the configuration treats in a way of their own, and of the other parameters."""
    if isinstance(config, Muon):
        constants = (config.learning_rate, config.weight_decay, config.momentum, dtype)
        muon = [OrthogonalMomentum(matrices, *constants)] if matrices else []
        return [*muon, *_adam(config, (others, 0.0))]
    decay = config.weight_decay if isinstance(config, AdamW) else 0.0
    return _adam(config, (matrices, decay), (others, 0.0))


def _adam(config: OptimiserConfig, *groups: tuple[list[nn.Parameter], float]) -> list[Inner]:
    """Adam over groups of parameters with the share of each that decays; none where there are no parameters."""
    filled = [{"params": parameters, "weight_decay": decay} for parameters, decay in groups if parameters]
    constants = (config.learning_rate, (config.beta1, config.beta2), config.epsilon)
    fused = all(parameter.device.type in FUSED for parameters, _ in groups for parameter in parameters)
    return [torch.optim.AdamW(filled, *constants, fused=fused)] if filled else []


def _chosen(config: OptimiserConfig, model: nn.Module) -> set[str]:
    """Names of the parameters that decay (AdamW) or are orthogonalised (Muon): the matrices of projections, unless all shall decay."""
    if isinstance(config, AdamW) and config.decay_all:
        return {name for name, _ in model.named_parameters()}
    tables = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (nn.Embedding, Embedding, Learned, Head))
        for parameter in module.parameters(recurse=False)
    }
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.dim() == MATRIX and id(parameter) not in tables
    }
