"""Weights, gradients and moments divided among the processes that train together (FSDP2; Zhao et al. 2023, section 3).

Attention and feed-forward layers are gathered one at a time, when they compute; what is left (embeddings, connections, norms, recurrent
layers) is one group that is gathered for the whole pass. Between passes a process holds its part only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from isthmus.core.team import Team
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.nn.attention import SelfAttention
from isthmus.nn.blocks import FeedForward
from isthmus.train.objective import Objective


@final
class Sharded(nn.Module):
    """An objective and its model as one module, whose pass is what weights are gathered for.

    Args:
        model: its weights are divided, in place.
        objective: what is made small.
        team: the processes, each of which has the same weights now.
    """

    def __init__(self, model: EncoderDecoder, objective: Objective, team: Team) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        mesh = init_device_mesh(torch.device(team.device).type, (team.size,))
        for module in list(self.model.modules()):
            if isinstance(module, SelfAttention | FeedForward):
                fully_shard(module, mesh=mesh)
        fully_shard(self, mesh=mesh)
        for part in self._parts():
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)

    def forward(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """(sum of the loss, count) of a batch of this process; gradients become those of all processes."""
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="FSDP2-wrapped module"
            )  # of changes in place, which there are none of
            return self.objective(self.model, batch, progress)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """The model with all its weights for the body, in every process."""
        for part in self._parts():
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield
        finally:
            for part in self._parts():
                part.reshard()
                part.set_reshard_after_forward(not isinstance(part, Sharded), recurse=False)

    def _parts(self) -> list[FSDPModule]:
        return [module for module in self.modules() if isinstance(module, FSDPModule)]


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be divided, put together; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put_together(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Tensors put together one after the other, and kept by those processes that need them."""
    together: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        one = whole(tensor)
        if keep:
            together[name] = one
    return together


def divided(tensors: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Whole tensors divided as the parameters that they belong to are.

    Args:
        tensors: each process has all of them. Names are those of parameters, or `<what>/<parameter>`.
        parameters: by name.
    """
    return {name: _like(tensor, _owner(name, parameters)) for name, tensor in tensors.items()}


def _owner(name: str, parameters: Mapping[str, nn.Parameter]) -> Tensor | None:
    return parameters.get(name, parameters.get(name.partition("/")[2]))


def _like(tensor: Tensor, owner: Tensor | None) -> Tensor:
    if not isinstance(owner, DTensor) or owner.shape != tensor.shape:
        return tensor
    return distribute_tensor(tensor.to(owner.device), owner.device_mesh, owner.placements, src_data_rank=None)
