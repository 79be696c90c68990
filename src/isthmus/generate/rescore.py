"""Ranking outputs again with what other models say of them: the noisy channel.

By Bayes' rule p(y | x) ∝ p(x | y) p(y): an output is good if the source follows from it, and if it is good text by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.generate.jobs import Found, Job, SearchJobs, Target
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator


@dataclass(frozen=True, slots=True)
class NoisyChannel:
    """Ranks the outputs y of a source x by

        1/t log p(y | x)  +  1/s (λ₁ log p(x | y)  +  λ₂ log p(y)),

    where t and s are the lengths of y and x in pieces, with their ends, as the model of p(y | x) divides them.

    Yee et al. 2019, Simple and Effective Noisy Channel Modeling for Neural Machine Translation, section 3.

    Attributes:
        channel: a model from target to source; any vocabulary.
        language: a model of the target alone: trained with empty sources, or with a decoder that reads none.
        channel_weight: λ₁.
        language_weight: λ₂.

    Raises:
        InputError: there is neither a channel nor a language model, or a weight is negative.
    """

    channel: Translator | None = None
    language: Translator | None = None
    channel_weight: float = 0.5
    language_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.channel is None and self.language is None:
            raise InputError(
                "a noisy channel has a channel or a language model",
                expected="a model from target to source, or one of the target alone",
                got="neither",
                fix="give one of them",
            )
        if not (0 <= self.channel_weight < math.inf and 0 <= self.language_weight < math.inf):
            raise InputError(
                "a noisy channel has weights of 0 or more",
                expected="finite numbers of 0 or more",
                got=f"channel_weight = {self.channel_weight}, language_weight = {self.language_weight}",
                fix="0.5 is a good beginning; choose on a development set",
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


def with_channel(direct: Translator, by: NoisyChannel) -> Translator:
    """The same translator, whose outputs are ranked again: as many as the search has beams, those that are asked for the best of them.

    Each has as `normalised` what it is ranked by. A stream is one output as it comes: nothing is ranked there.

    Args:
        direct: p(y | x), of one source and no context.
        by: what to rank by.

    Raises:
        InputError: the model reads more than a source.
    """
    config = direct.codec.config
    if config.sources not in (None, 1) or config.context:
        raise InputError(
            "a noisy channel gives back one source",
            expected="a model of one source without context",
            got=f"codec.sources = {config.sources}, codec.context = {config.context}",
            fix="leave the channel out",
        )
    return direct.through(direct.engine, partial(search_by_channel, direct.search, direct.codec, by))


def search_by_channel(
    search: SearchJobs, codec: Codec, by: NoisyChannel, jobs: Sequence[Job], target: Target, options: GenerationOptions
) -> list[Found]:
    """Search for as many outputs as there are beams, and keep the best by what else is said of them.

    Args:
        search: finds the outputs.
        codec: from ids to text.
        by: what to rank by.
        jobs: what to generate from.
        target: what a search must know of the target side.
        options: of a beam search, settled.

    Raises:
        InputError: outputs are drawn and not searched for, or a text is too long for one of the models.
    """
    if options.do_sample:
        raise InputError(
            "a noisy channel ranks what a search has found",
            expected="beam search",
            got="sampling",
            where="do_sample",
            fix="leave it out, or the channel",
        )
    found = search(jobs, target, options.updated({"num_return_sequences": options.num_beams}))
    texts = [codec.source.decode(codec.own_pieces(job.source)) for job in jobs]
    asked = [
        (text, codec.text(one.ids), len(job.source))
        for text, job, each in zip(texts, jobs, found, strict=True)
        for one in each.hypotheses
    ]
    scores = iter(by.scores([x for x, _, _ in asked], [y for _, y, _ in asked], [s for _, _, s in asked]))
    return [_ranked(each, [next(scores) for _ in each.hypotheses], options.num_return_sequences) for each in found]


def _ranked(found: Found, scores: Sequence[float], count: int) -> Found:
    """The best outputs by 1/t log p(y | x) plus the given scores; of equals, the one that came first."""
    outputs = [
        replace(one, normalised=one.score / max(1, one.length) + score)
        for one, score in zip(found.hypotheses, scores, strict=True)
    ]
    return replace(found, hypotheses=tuple(sorted(outputs, key=lambda one: -one.normalised)[:count]))
