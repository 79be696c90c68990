"""Whether an export computes what its model does: log-probabilities of pieces, and what greedy and beam search find.

Greedy outputs alone would hide errors that are smaller than the distance between the two best pieces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isthmus.core.errors import ExportError
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.engines.engine import Engine
from isthmus.generate.jobs import Job, Target, length_limit, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.score import token_scores
from isthmus.generate.state import Hypothesis

TOLERANCE = 1e-4
BEAMS = 5


@dataclass(frozen=True, slots=True)
class Output:
    """What a search found.

    Attributes:
        ids: the pieces, without start and end.
        score: what the search ranked by.
        ended: whether it ended by itself.
    """

    ids: tuple[int, ...]
    score: float
    ended: bool


class Exported(Protocol):
    """A model in its exported form, run by the tool that it was exported for."""

    def source_ids(self, text: str) -> list[int]:
        """The ids that the tool reads for a text."""

    def token_log_probs(self, source: Sequence[int], target: Sequence[int]) -> list[float]:
        """The log-probability of each id of a target, given a source and the ids before it.

        Args:
            source: ids with the end.
            target: ids with the end.
        """

    def search(self, source: Sequence[int], beams: int, longest: int) -> Output:
        """The best output.

        Args:
            source: ids with the end.
            beams: of the search; 1 is greedy.
            longest: the most pieces, without start and end.
        """


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an export and its model lie apart on sample texts.

    Attributes:
        texts: how many were compared.
        pieces: how many log-probabilities were.
        largest: the largest difference of two.
        mean: the mean difference.
        other_ids: texts that the tool reads as other ids.
        outputs: how many outputs of a search were compared.
        ties: how many differ where their scores do not.
        other_outputs: how many differ.
    """

    texts: int
    pieces: int
    largest: float
    mean: float
    other_ids: int
    outputs: int
    ties: int
    other_outputs: int

    @property
    def exact(self) -> bool:
        """Whether they compute the same, up to rounding."""
        return self.largest <= TOLERANCE and not self.other_ids and not self.other_outputs

    def table(self) -> list[str]:
        """Lines to show."""
        return [
            f"compared on {self.texts} texts: {self.other_ids} read as other ids",
            f"{self.pieces} log-probabilities: mean difference {self.mean:.1e}, largest {self.largest:.1e}",
            f"{self.outputs} outputs of greedy and beam search: {self.other_outputs} others, {self.ties} ties",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "texts": self.texts,
            "pieces": self.pieces,
            "largest": self.largest,
            "mean": self.mean,
            "other_ids": self.other_ids,
            "outputs": self.outputs,
            "ties": self.ties,
            "other_outputs": self.other_outputs,
        }

    def refuse(self) -> None:
        """Raise an ExportError unless they compute the same."""
        if not self.exact:
            raise ExportError(
                "what was exported does not compute what the model does",
                expected=f"differences up to {TOLERANCE}, equal ids and equal outputs",
                got="; ".join(self.table()),
                fix="report it with the model's config.json: nothing was written",
            )


@dataclass(frozen=True, slots=True)
class Origin:
    """The model that was exported.

    Attributes:
        engine: runs it.
        codec: its texts and ids.
        positions: the most ids that it has positions for.
        target_language: of the outputs, where a source says so.
    """

    engine: Engine
    codec: Codec
    positions: int | None
    target_language: str = ""


def compared(origin: Origin, other: Exported, texts: Sequence[str]) -> Parity:
    """Compare an export with its model.

    Args:
        origin: the model.
        other: the export.
        texts: what both read; each output of our beam search is also what both score.
    """
    codec = origin.codec
    target = Target(codec.target.vocabulary.eos, codec.target.vocabulary.control, origin.positions)
    sources = [codec.source_ids(Example((text,), "", target_language=origin.target_language)) for text in texts]
    other_ids = sum(other.source_ids(text) != ids for text, ids in zip(texts, sources, strict=True))
    differences: list[float] = []
    verdicts: list[str] = []
    for beams in (1, BEAMS):
        options = GenerationOptions.of({"num_beams": beams})
        jobs = [Job(tuple(source), codec.first_ids) for source in sources]
        for job, found in zip(jobs, search_jobs(origin.engine, jobs, target, options), strict=True):
            best = found.hypotheses[0]
            longest = length_limit(job, len(origin.engine.start_ids), origin.positions, options)
            verdicts.append(_verdict(best, other.search(job.source, beams, longest), beams))
            given = [*best.ids, target.end] if best.stop == "end" else list(best.ids)
            (mine,) = token_scores(origin.engine, [(job.source, given)], codec.target.vocabulary.size)
            differences += [abs(a - b) for a, b in zip(mine, other.token_log_probs(job.source, given), strict=True)]
    return Parity(
        texts=len(texts),
        pieces=len(differences),
        largest=max(differences, default=0.0),
        mean=math.fsum(differences) / max(1, len(differences)),
        other_ids=other_ids,
        outputs=sum(verdict != "cut" for verdict in verdicts),
        ties=verdicts.count("tie"),
        other_outputs=verdicts.count("other"),
    )


def _verdict(mine: Hypothesis, other: Output, beams: int) -> str:
    """Whether two outputs are one. Of beams that the longest length cut, tools keep different ones: these are left out."""
    if beams > 1 and not (mine.stop == "end" and other.ended):
        return "cut"
    if mine.ids == other.ids:
        return "same"
    return "tie" if abs(mine.normalised - other.score) <= TOLERANCE else "other"
