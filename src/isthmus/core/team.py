"""The processes that train one model together, as `torchrun` starts them; one process alone is a team of one.

Every process has the whole model (or, where weights are sharded, a part of it) and computes a part of every update's batches. Gradients
are added up in one message in a fixed order, so that all processes make the same update to the bit, and a run that was killed and resumed
makes it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from isthmus.core.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Team:
    """One process among those that train a model.

    Attributes:
        rank: the number of this process.
        size: how many there are.
        device: where messages live: `cpu`, or this process's GPU.
        shards: whether each process holds only a part of the weights between passes.
        sharing: how many of them take from one memory: on a CPU those of this machine; a GPU has one process.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    shards: bool = False
    sharing: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes, judges and tells; the others only compute."""
        return self.rank == 0

    def mine(self, number: int) -> bool:
        """Whether the batch of this number within an update is this process's."""
        return number % self.size == self.rank

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type, in place, by their sums over all processes."""
        if self.size == 1:
            return
        message = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _all_there():
            distributed.all_reduce(message)
        parts = torch.split(message, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        asked = torch.tensor([float(flag)], device=self.device)
        with _all_there():
            distributed.all_reduce(asked)
        return bool(asked > 0)

    def told(self, text: str) -> str:
        """What the first process says."""
        if self.size == 1:
            return text
        data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=self.device)
        length = torch.tensor([data.numel()], device=self.device)
        with _all_there():
            distributed.broadcast(length, 0)
            message = data if self.first else torch.empty(int(length), dtype=torch.uint8, device=self.device)
            distributed.broadcast(message, 0)
        return bytes(message.tolist()).decode()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process runs the body while the others wait; then they do, and find on the disk what it has made."""
        if not self.first:
            self._wait()
        yield
        if self.first:
            self._wait()

    def _wait(self) -> None:
        if self.size > 1:
            with _all_there():
                distributed.barrier()


ALONE = Team()
PATIENCE = timedelta(hours=24)
"""How long a process waits for the others: the first one encodes a large corpus while they do."""


@contextmanager
def _all_there() -> Iterator[None]:
    """Say plainly that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            "another process of the training has stopped",
            expected="an answer",
            got=str(error).splitlines()[0],
            where="the processes that torchrun started",
            fix="read what the first process said; the same command goes on from the last checkpoint",
        ) from error


def is_first() -> bool:
    """Whether this process is the first of its team, or alone; known before it joins."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(shards: bool = False) -> Iterator[Team]:
    """The team that this process belongs to, by the environment that `torchrun` sets; one process alone shards nothing."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    cuda = torch.cuda.is_available()
    device = f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        here = 1 if cuda else int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
        yield Team(distributed.get_rank(), size, device, shards, here)
    finally:
        distributed.destroy_process_group()
