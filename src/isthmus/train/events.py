"""What training tells along the way: frozen events, without any reading of the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

StopReason = Literal["finished", "early-stopping", "interrupted"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One example as a model of this moment renders it, in text."""

    source: str
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Started:
    """Training starts or goes on.

    Attributes:
        step: updates already made; 0 in a new run.
        steps: updates in all.
        parameters: how many numbers are trained.
        choices: what was resolved: device, precision, threads, versions.
    """

    step: int
    steps: int
    parameters: int
    choices: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One update was made, or skipped because a number in it was not finite.

    Attributes:
        step: its number, from 1.
        epoch: which pass over the data the last of its batches belongs to, from 0.
        loss: the objective a token (an example's tokens count with its weight).
        source_tokens: real source tokens of this update.
        target_tokens: real target tokens of this update.
        learning_rate: what it was made at; 0 if it was skipped.
        gradient_norm: the length of the gradient of `loss`, before clipping.
        skipped: whether the weights were left as they were.
        seen: a digest of all examples read so far, in their order; two runs that agree in it have seen the same.
    """

    step: int
    epoch: int
    loss: float
    source_tokens: int
    target_tokens: int
    learning_rate: float
    gradient_norm: float
    skipped: bool
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Validated:
    """The model was validated. While this event is handled the model *holds the validated weights*, so that a bundle can be saved.

    Attributes:
        step: updates made so far.
        scores: what the validators gave.
        samples: what the validators showed.
        best: whether this is the best validation so far; always so if there are no validators.
        averaged: whether the weights were an average.
    """

    step: int
    scores: Mapping[str, float]
    samples: tuple[Sample, ...]
    best: bool
    averaged: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint was written."""

    step: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training has ended; a checkpoint of this step is on the disk."""

    step: int
    reason: StopReason


Event = Started | Stepped | Validated | Saved | Stopped
