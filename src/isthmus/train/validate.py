"""Validation: the interface of what is handed to the trainer, and the validator by loss.

B row, T target position, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from isthmus.core.runtime import Runtime
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.events import Sample
from isthmus.train.feed import BatchSource, on_device


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What a validator found.

    Attributes:
        scores: figures by name, unique among all validators of a run.
        samples: some examples as the model renders them.
    """

    scores: Mapping[str, float]
    samples: tuple[Sample, ...] = ()


class Validator(Protocol):
    """Scores a model; called without gradients, with dropout off, while the model holds the weights to be judged."""

    @property
    def name(self) -> str:
        """What it is called in errors."""
        ...

    def __call__(self, model: EncoderDecoder) -> ValidationResult:
        """Score the model."""
        ...


@dataclass(frozen=True, slots=True)
class LossValidator:
    """Teacher forcing over held-out batches.

    Its scores are `loss` (nats a token, no smoothing), `perplexity`, and `accuracy` (the share of tokens ranked first).

    Attributes:
        batches: the held-out data; its epoch 0 is read.
        runtime: how to compute.
        name: what it is called in errors.
    """

    batches: BatchSource
    runtime: Runtime
    name: str = "loss"

    def __call__(self, model: EncoderDecoder) -> ValidationResult:
        """Read every held-out batch once; every token counts the same."""
        sums = torch.zeros(3, dtype=torch.float64)
        for batch in self.batches.epoch(0):
            sums += self._sums(model, on_device(batch, self.runtime.device))
        loss, right, count = sums.tolist()
        loss, accuracy = (loss / count, right / count) if count else (math.nan, math.nan)
        return ValidationResult({"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "accuracy": accuracy})

    def _sums(self, model: EncoderDecoder, batch: Batch) -> Tensor:
        """(loss, tokens ranked first, tokens) of one batch."""
        with self.runtime.autocast():
            _, decoded = model.read(batch.source, batch.target_in)
            parts = [
                _judged(log_probs_BTV, batch.target.ids_BT[rows], batch.target.mask_BT[rows])
                for rows, log_probs_BTV in model.head.log_probs_by_rows(decoded)
            ]
        return torch.stack(parts).sum(dim=0).cpu()


def _judged(log_probs_BTV: Tensor, target_BT: Tensor, real_BT: Tensor) -> Tensor:
    """(loss, tokens ranked first, tokens) of some rows."""
    loss_BT = -log_probs_BTV.gather(-1, target_BT[..., None])[..., 0]
    right_BT = log_probs_BTV.argmax(dim=-1) == target_BT
    return torch.stack([loss_BT[real_BT].double().sum(), right_BT[real_BT].double().sum(), real_BT.double().sum()])
