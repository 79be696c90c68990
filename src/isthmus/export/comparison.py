"""How equal an exported model is to the bundle that it was made from, by ids: every beam, and what is lost in smaller weights."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from isthmus.core.errors import ExportError, InputError
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.export.sides import Ids, Side
from isthmus.generate.inputs import Task, pair
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis
from isthmus.text.metrics import metric

EXACT = 1e-4
"""So much may log-probabilities and scores differ in float32; outputs whose scores lie closer are a tie."""
MOST_LOST = 0.3
"""So many BLEU may a model lose that was made smaller."""
METRICS: Final = ("bleu", "chrf")
BEAMS: Final = 5
SEARCHES: Final = (
    GenerationOptions(num_beams=1, token_scores=False),
    GenerationOptions(num_beams=BEAMS, num_return_sequences=BEAMS, early_stopping=True, token_scores=False),
)
"""Greedy search, and one with beams that every tool can do, all of which are compared."""
_RANDOM, _LONGEST = 50, 12


@dataclass(frozen=True, slots=True)
class Probe:
    """What two sides are compared on.

    Attributes:
        pairs: ids of a source and a target, each with its end.
        references: the texts of the targets; empty if the pairs are random pieces.
    """

    pairs: tuple[tuple[Ids, Ids], ...]
    references: tuple[str, ...] = ()

    @classmethod
    def of(cls, examples: Sequence[Example], codec: Codec, task: Task) -> Probe:
        """Pairs of text; without any, of random pieces, which suffice to see whether two functions are one.

        Args:
            examples: the pairs.
            codec: text to ids.
            task: what the model was trained for.

        Raises:
            InputError: a pair is too long for the model.
        """
        if not examples:
            return cls(tuple(_random_pairs(codec, task)))
        pairs = [pair(one, one.target, codec, task, number) for number, one in enumerate(examples, 1)]
        return cls(tuple(pairs), tuple(one.target for one in examples))


def _random_pairs(codec: Codec, task: Task) -> list[tuple[list[int], list[int]]]:
    draw = random.Random(0)
    longest = min(_LONGEST, (task.positions or _LONGEST) - 1)
    sides = [
        sorted(set(range(one.vocabulary.size)) - one.vocabulary.control - {one.vocabulary.eos})
        for one in (codec.source, codec.target)
    ]
    lengths = [(draw.randint(1, longest), draw.randint(1, longest)) for _ in range(_RANDOM)]
    ends = codec.source.vocabulary.eos, codec.target.vocabulary.eos
    return [
        ([*draw.choices(sides[0], k=one), ends[0]], [*draw.choices(sides[1], k=other), ends[1]])
        for one, other in lengths
    ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        pairs: how many pairs there were.
        of_text: whether they were text.
        mean: mean difference of the log-probability of a piece, without sign.
        worst: the largest one.
        searches: how many there were: of each source greedily, and with beams.
        searched: of these, how many the exported form did as asked.
        different: of these, where an output was another one, and no tie.
        score: the largest difference of a score of equal outputs.
        metrics: scores of the best outputs with beams against the references, before and after.
    """

    pairs: int
    of_text: bool
    mean: float
    worst: float
    searches: int
    searched: int
    different: int
    score: float
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report for a reader."""
        on = f"{self.pairs} pairs" + ("" if self.of_text else " of random pieces (the bundle has no sample)")
        said = [
            f"compared on {on}",
            f"log-probability of a piece: differs by {self.mean:.2e} on average, {self.worst:.2e} at most",
            f"greedy and beam search: {self.searched} of {self.searches} done as asked, {self.different} with other outputs; "
            f"scores of equal outputs differ by {self.score:.2e} at most",
        ]
        return said + [
            f"{name}: {before:.2f} before, {after:.2f} after ({after - before:+.2f})"
            for name, (before, after) in self.metrics.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def check(self, exact: bool) -> None:
        """Refuse what is not equal enough.

        Args:
            exact: whether the weights are as they were; else only quality is looked at.

        Raises:
            ExportError: in float32, numbers or outputs differ; else, more than 0.3 BLEU were lost.
        """
        if exact and (not self.worst <= EXACT or self.different or not self.score <= EXACT):
            raise _unequal(f"differences of at most {EXACT}, and the same outputs", self.lines())
        before, after = self.metrics.get("bleu", (0.0, 0.0))
        if not exact and before - after > MOST_LOST:
            raise _unequal(f"at most {MOST_LOST} BLEU lost", self.lines())


def compare(
    ours: Side, other: Side, probe: Probe, codec: Codec, searches: Sequence[GenerationOptions] = SEARCHES
) -> Comparison:
    """Compare two forms of a model.

    Args:
        ours: the bundle.
        other: what was made of it.
        probe: what to compare on.
        codec: ids to text.
        searches: how both search; metrics are of the last one.
    """
    scores = [side.token_scores(probe.pairs) for side in (ours, other)]
    gaps = [abs(a - b) for one, two in zip(*scores, strict=True) for a, b in zip(one, two, strict=True)]
    sources = [source for source, _ in probe.pairs]
    turns = [(ours.outputs(sources, options), other.outputs(sources, options)) for options in searches]
    both = [(one, two) for turn in turns for one, two in zip(*turn, strict=True) if one is not None and two is not None]
    seen = [_beams(*each) for each in both]
    metrics: dict[str, tuple[float, float]] = {}
    if probe.references:
        before = turns[-1][0]
        texts = [[codec.text(_best(one, two)) for one, two in zip(side, before, strict=True)] for side in turns[-1]]
        references = [[text] for text in probe.references]
        metrics = {
            name: (metric(name).corpus_score(texts[0], references), metric(name).corpus_score(texts[1], references))
            for name in METRICS
        }
    return Comparison(
        pairs=len(probe.pairs),
        of_text=bool(probe.references),
        mean=math.fsum(gaps) / max(1, len(gaps)),
        worst=max(gaps, default=0.0),
        searches=len(sources) * len(searches),
        searched=len(both),
        different=sum(1 for equal, _ in seen if not equal),
        score=max((gap for _, gap in seen), default=0.0),
        metrics=metrics,
    )


def _best(one: tuple[Hypothesis, ...] | None, otherwise: tuple[Hypothesis, ...] | None) -> Ids:
    """The best output; where a form does not search, it is the bundle's, which stands in for it."""
    return (one or otherwise or (Hypothesis((), (), 0.0, 0.0, "dead_end"),))[0].ids


def _beams(one: Sequence[Hypothesis], two: Sequence[Hypothesis]) -> tuple[bool, float]:
    """Whether two beams are the same but for ties, and how far the scores of equal outputs lie apart."""
    by_ids = {each.ids: each for each in two}
    gap = max((abs(each.score - by_ids[each.ids].score) for each in one if each.ids in by_ids), default=0.0)
    ranks = zip(one, two, strict=False)
    equal = all(a.ids == b.ids or abs(a.normalised - b.normalised) <= EXACT for a, b in ranks)
    return equal and len(one) == len(two), gap


def _unequal(expected: str, lines: Sequence[str]) -> ExportError:
    return ExportError(
        "the exported model is not equal enough to the bundle, so it was not kept",
        expected=expected,
        got="; ".join(lines),
        fix="report it, with the configuration of the model; a smaller quantization may lose too much for this model",
    )


def needs_text(exact: bool, examples: Sequence[Example]) -> None:
    """Refuse to make a model smaller where nothing can show what is lost.

    Args:
        exact: whether it computes the same.
        examples: the pairs to compare on.

    Raises:
        InputError: there are none.
    """
    if not exact and not examples:
        raise InputError(
            "a smaller model is compared with its bundle on pairs of text",
            expected="a sample in the bundle, or pairs",
            got="neither",
            where="--sample",
            fix="name pairs that the model was not trained on, for example --sample dev.tsv",
        )
