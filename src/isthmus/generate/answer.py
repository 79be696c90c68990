"""What a translator answers: text, and what else is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.generate.segments import Segment
from isthmus.generate.state import Hypothesis, StopReason


class GenerationWarning(UserWarning):
    """An output may not be what was wanted, for example because it reached the maximum length."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One output for a whole input.

    Attributes:
        text: the output.
        score: the model's log-probability of it, summed over its sentences.
        normalised: the score over length ** length_penalty: what the search ranked by.
        stop: why it ended; of several sentences, the first reason that is not `end`.
        parts: the hypothesis of each segment of the input (see `Answer.segments`).
    """

    text: str
    score: float
    normalised: float
    stop: StopReason
    parts: tuple[Hypothesis, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one input.

    Attributes:
        hypotheses: as many outputs as were asked for (fewer where the search found fewer), best first; samples in the order
            of their drawing.
        segments: the stretches of the input that were generated from one by one, with their offsets.
        warnings: what the user should know; for example that an output reached the maximum length.
        seed: the seed of the samples; None without sampling.
        seconds: time spent on the batches that this input was part of.
    """

    hypotheses: tuple[Generation, ...]
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...]
    seed: int | None
    seconds: float

    @property
    def text(self) -> str:
        """The best output."""
        return self.hypotheses[0].text


def combined(text: str, parts: tuple[Hypothesis, ...], length_penalty: float) -> Generation:
    """The output made of one hypothesis a segment."""
    score = sum(part.score for part in parts)
    length = sum(len(part.token_scores) for part in parts)
    normalised = parts[0].normalised if len(parts) == 1 else score / max(1, length) ** length_penalty
    stop: StopReason = next((part.stop for part in parts if part.stop != "end"), "end")
    return Generation(text, score, normalised, stop, parts)
