"""Ranking outputs again with what other models say of them: the noisy channel.

By Bayes' rule p(y | x) ∝ p(x | y) p(y): an output is good if the source follows from it, and if it is good text by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isthmus.core.errors import InputError
from isthmus.data.example import Example
from isthmus.generate.answer import Answer, Generation
from isthmus.generate.translator import Translator


@dataclass(frozen=True, slots=True)
class NoisyChannel:
    """Ranks the outputs y of a source x by

        1/t log p(y | x)  +  1/s (λ₁ log p(x | y)  +  λ₂ log p(y)),

    where t and s are the lengths of y and x in pieces, with their ends.

    Yee et al. 2019, Simple and Effective Noisy Channel Modeling for Neural Machine Translation, section 3.

    Attributes:
        channel: a model from target to source; any vocabulary.
        language: a model of the target alone: trained with empty sources, or with a decoder that reads none.
        channel_weight: λ₁.
        language_weight: λ₂.

    Raises:
        InputError: there is neither a channel nor a language model.
    """

    channel: Translator | None = None
    language: Translator | None = None
    channel_weight: float = 1.0
    language_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.channel is None and self.language is None:
            raise InputError(
                "a noisy channel has a channel or a language model",
                expected="a model from target to source, or one of the target alone",
                got="neither",
                fix="give one of them",
            )

    def scores(self, sources: Sequence[str], targets: Sequence[str], lengths: Sequence[int]) -> list[float]:
        """What the other models say: 1/s (λ₁ log p(x | y) + λ₂ log p(y)) of each pair.

        Args:
            sources: x.
            targets: y.
            lengths: s, of each source.

        Raises:
            InputError: a text is too long for one of the models.
        """
        sums = [0.0] * len(sources)
        if self.channel is not None:
            found = self.channel.score(targets, sources)
            sums = [sum_ + self.channel_weight * one.total for sum_, one in zip(sums, found, strict=True)]
        if self.language is not None:
            found = self.language.score([""] * len(targets), targets)
            sums = [sum_ + self.language_weight * one.total for sum_, one in zip(sums, found, strict=True)]
        return [sum_ / length for sum_, length in zip(sums, lengths, strict=True)]


def rescored(
    direct: Translator, sources: Sequence[str | Example], answers: Sequence[Answer], by: NoisyChannel
) -> list[Answer]:
    """Rank the outputs of each answer again, the best first; each then has as `normalised` what it is ranked by.

    Args:
        direct: the model that gave the answers: p(y | x).
        sources: what was asked.
        answers: with several outputs each: an n-best list, or samples.
        by: what to rank by.

    Raises:
        InputError: there is not one answer a source, or a text is too long for one of the models.
    """
    if len(sources) != len(answers):
        raise InputError(
            "every source needs its answer",
            expected=f"{len(sources):,} answers",
            got=f"{len(answers):,} answers",
            fix="give the answers to these sources",
        )
    texts = [one if isinstance(one, str) else one.source for one in sources]
    asked = [
        (text, one, len(direct.codec.source.encode(text)) + 1)
        for text, answer in zip(texts, answers, strict=True)
        for one in answer.hypotheses
    ]
    found = iter(by.scores([x for x, _, _ in asked], [y.text for _, y, _ in asked], [s for _, _, s in asked]))
    return [_ranked(answer, [next(found) for _ in answer.hypotheses]) for answer in answers]


def _ranked(answer: Answer, scores: Sequence[float]) -> Answer:
    """The outputs of one answer by 1/t log p(y | x) plus the given scores; of equals, the one that came first."""
    outputs = [
        replace(one, normalised=one.score / _length(one) + score)
        for one, score in zip(answer.hypotheses, scores, strict=True)
    ]
    return replace(answer, hypotheses=tuple(sorted(outputs, key=lambda one: -one.normalised)))


def _length(one: Generation) -> int:
    return max(1, sum(part.length for part in one.parts))
