"""What training makes small: an objective gives the sum of the loss over a batch and the number that it is to be divided by.

Sums, not means: the trainer divides once by the count over all micro-batches (and processes), so that n accumulated micro-batches are
exactly one batch, however the tokens fall on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from isthmus.data.batches import Batch
    from isthmus.model.encoder_decoder import EncoderDecoder


class Objective(Protocol):
    """(model, batch) -> (sum of the loss, count), both float32 scalars; the sum carries the gradient."""

    def __call__(self, model: EncoderDecoder, batch: Batch) -> tuple[Tensor, Tensor]:
        """Read the batch with the model and sum its loss."""
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Teacher forcing: each target token is predicted from the true ones before it (Williams and Zipser 1989).

    Attributes:
        label_smoothing: the share of the target distribution that is spread over the whole vocabulary (Szegedy et al. 2016, section 7).
    """

    label_smoothing: float = 0.0

    def __call__(self, model: EncoderDecoder, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum the cross-entropy over the real target tokens, each times the weight of its example; count the weights."""
        _, decoded = model.read(batch.source, batch.target_in)
        total: tuple[Tensor, Tensor] = model.head.nll(decoded, batch.target, self.label_smoothing, batch.weight_B)
        return total
