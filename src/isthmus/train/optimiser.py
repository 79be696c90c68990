"""Optimisers: Adam and AdamW, in torch's fused kernels where the device has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from isthmus.core.config import Config
from isthmus.core.errors import CheckpointError
from isthmus.model.heads.head import Head
from isthmus.nn.blocks import Embedding
from isthmus.nn.positions import Learned

FUSED = ("cpu", "cuda")
SWEEP_EVERY = 100
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


OptimiserConfig = Annotated[Adam | AdamW, Field(discriminator="kind")]


class Optimiser:
    """The optimiser of one model: steps at a learning rate, and gives and takes its state by the names of the parameters.

    Args:
        config: which optimiser.
        model: its trainable parameters are optimised, in the order of `named_parameters`.
    """

    def __init__(self, config: OptimiserConfig, model: nn.Module) -> None:
        self.peak = config.learning_rate
        named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.parameters = list(named.values())
        decayed = _decayed(config, model)
        groups = [{name for name in named if name in decayed}, {name for name in named if name not in decayed}]
        decays = [config.weight_decay if isinstance(config, AdamW) else 0.0, 0.0]
        self._names = [name for group in groups for name in named if name in group]
        self._inner = torch.optim.AdamW(
            [
                {"params": [named[name] for name in named if name in group], "weight_decay": decay}
                for group, decay in zip(groups, decays, strict=True)
                if group
            ],
            lr=self.peak,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=all(parameter.device.type in FUSED for parameter in self.parameters),
        )

    def step(self, number: int, factor: float) -> float:
        """Make update `number` from the gradients at `factor` times the peak rate, and return the rate."""
        rate = self.peak * factor
        for group in self._inner.param_groups:
            group["lr"] = rate
        self._inner.step()
        if number % SWEEP_EVERY == 0:
            self._sweep()
        return rate

    def clear(self) -> None:
        """Forget the gradients."""
        self._inner.zero_grad(set_to_none=True)

    def _sweep(self) -> None:
        """Set moments that have all but died away to zero.

        The moments of a rare word's embedding decay into denormal numbers, which many processors add twenty times slower than others.
        """
        for _, tensors in self._states():
            for tensor in (each.to_local() if isinstance(each, DTensor) else each for each in tensors.values()):
                if tensor.dim():
                    tensor.masked_fill_(tensor.abs() < TINY, 0.0)

    def _states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        ordered = [parameter for group in self._inner.param_groups for parameter in group["params"]]
        for name, parameter in zip(self._names, ordered, strict=True):
            if parameter in self._inner.state:
                yield name, self._inner.state[parameter]

    def tensors(self) -> dict[str, Tensor]:
        """The state as tensors named `<what>/<parameter>`; those not yet stepped have none."""
        return {f"{what}/{name}": tensor for name, state in self._states() for what, tensor in state.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `tensors` gave.

        Raises:
            CheckpointError: a name belongs to no parameter of this model.
        """
        index = {name: position for position, name in enumerate(self._names)}
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            what, _, name = key.partition("/")
            if name not in index:
                raise CheckpointError(
                    "the optimiser's state names a parameter that this model has not",
                    got=name,
                    where="optimiser.safetensors",
                )
            state.setdefault(index[name], {})[what] = tensor.clone()
        self._inner.load_state_dict({"state": state, "param_groups": self._inner.state_dict()["param_groups"]})


def _decayed(config: OptimiserConfig, model: nn.Module) -> set[str]:
    """Names of the parameters that weight decay acts on."""
    if not isinstance(config, AdamW):
        return set()
    tables = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (nn.Embedding, Embedding, Learned, Head))
        for parameter in module.parameters(recurse=False)
    }
    return {
        name
        for name, parameter in model.named_parameters()
        if config.decay_all or (parameter.dim() > 1 and id(parameter) not in tables)
    }
