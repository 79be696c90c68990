"""The interface of every encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from isthmus.core.padded import Padded
from isthmus.model.memory import Memory


class Encoder(nn.Module, ABC):
    """From a padded batch of sources to a memory.

    Attributes:
        kept: how many states `Memory.layers` has: 0, or one more than there are layers.
    """

    kept: int = 0

    @abstractmethod
    def forward(self, source: Padded) -> Memory:
        """Encode.

        Args:
            source: ids, lengths, and optionally a mask of one's own.
        """
