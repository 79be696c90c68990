"""The interface of every encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from isthmus.core.padded import Padded
from isthmus.model.memory import Memory


class Encoder(nn.Module, ABC):
    """From a padded batch of sources to a memory."""

    @abstractmethod
    def forward(self, source: Padded) -> Memory:
        """Encode.

        Args:
            source: ids, lengths, and optionally a mask of one's own.
        """
