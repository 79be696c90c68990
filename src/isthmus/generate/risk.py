"""Minimum Bayes risk: not the most probable output, but the one that is most like all that is probable.

The expected utility of a candidate h is estimated from outputs r₁ … r_R that stand for the model's distribution,

    U(h) = Σᵢ wᵢ u(h, rᵢ),

and the best candidate is the one with the highest. Samples count alike (Eikema and Aziz 2020, Is MAP Decoding All You
Need? section 5; 2022, Sampling-Based Approximations to Minimum Bayes Risk Decoding, section 3); an n-best list counts by
probability (Kumar and Byrne 2004, section 3).

C candidates, R pieces of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.core.errors import InputError
from isthmus.generate.answer import Answer
from isthmus.generate.jobs import Found, Job, SearchJobs, Target
from isthmus.generate.options import GenerationOptions
from isthmus.text.metrics import metric
from isthmus.text.metrics.pairwise import pairwise_chrf

Utility = Callable[[str, str], float]
"""How good a candidate (first) would be if a reference (second) were right; higher is better."""


def expected_utility(
    candidates: Sequence[str],
    evidence: Sequence[str],
    utility: str | Utility = "chrf",
    weights: Sequence[float] | None = None,
) -> list[float]:
    """U(h) of each candidate.

    Args:
        candidates: the outputs to choose among.
        evidence: samples of the model; usually the candidates themselves, each of which then also counts for itself.
        utility: the name of a metric (of an error rate, less is better), or a function.
        weights: of the evidence, in any unit; equal by default.

    Raises:
        InputError: there is no evidence, the weights do not fit it, or the metric is unknown.
    """
    given = [1.0] * len(evidence) if weights is None else list(weights)
    if not evidence or len(given) != len(evidence) or min(given) < 0 or sum(given) <= 0:
        raise InputError(
            "the risk of an output is estimated from others",
            expected="at least one piece of evidence, and for each a weight of 0 or more, not all 0",
            got=f"{len(evidence)} pieces of evidence and {len(given)} weights",
            fix="give samples of the model",
        )
    share: dict[str, float] = {}
    for text, weight in zip(evidence, given, strict=True):
        share[text] = share.get(text, 0.0) + weight / sum(given)
    different = list(dict.fromkeys(candidates))
    table_CR = _table(utility, different, list(share))
    utility_of = dict(zip(different, (table_CR @ np.array(list(share.values()))).tolist(), strict=True))
    return [utility_of[text] for text in candidates]


def by_risk(answers: Sequence[Answer], utility: str | Utility = "chrf", by_probability: bool = False) -> list[Answer]:
    """Rank the outputs of each answer by their expected utility among themselves; each then has it as `normalised`.

    Args:
        answers: with several outputs each.
        utility: the name of a metric, or a function.
        by_probability: outputs count by their probability, as those of an n-best list should, and not alike, as samples do.

    Raises:
        InputError: the metric is unknown.
    """
    ranked = []
    for answer in answers:
        texts = [one.text for one in answer.hypotheses]
        scores = np.array([one.score for one in answer.hypotheses])
        weights = np.exp(scores - scores.max()).tolist() if by_probability else None
        found = expected_utility(texts, texts, utility, weights)
        outputs = [replace(one, normalised=value) for one, value in zip(answer.hypotheses, found, strict=True)]
        ranked.append(replace(answer, hypotheses=tuple(outputs[place] for place in order(texts, found))))
    return ranked


def search_by_risk(
    search: SearchJobs,
    text: Callable[[Sequence[int]], str],
    jobs: Sequence[Job],
    target: Target,
    options: GenerationOptions,
) -> list[Found]:
    """Draw `mbr` samples for each job, and keep those of the highest expected utility, which becomes their `normalised`.

    Args:
        search: draws the samples.
        text: from ids to text.
        jobs: what to generate from.
        target: what a search must know of the target side.
        options: of the sampling, settled; `mbr`, `mbr_metric` and how many outputs to keep.

    Raises:
        InputError: the metric is unknown, or the maximum length more than the model can produce.
    """
    metric(options.mbr_metric)
    drawn = search(jobs, target, options.updated({"num_return_sequences": options.mbr}))
    kept = []
    for found in drawn:
        texts = [text(one.ids) for one in found.hypotheses]
        utility = expected_utility(texts, texts, options.mbr_metric)
        best = order(texts, utility)[: options.num_return_sequences]
        chosen = tuple(replace(found.hypotheses[place], normalised=utility[place]) for place in best)
        kept.append(replace(found, hypotheses=chosen))
    return kept


def order(texts: Sequence[str], scores: Sequence[float]) -> list[int]:
    """The places of texts by falling score; what says the same as a better one comes after all that differ."""
    best = sorted(range(len(texts)), key=lambda place: -scores[place])
    first = {texts[place]: place for place in reversed(best)}
    return sorted(best, key=lambda place: first[texts[place]] != place)


def _table(utility: str | Utility, candidates: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """The utility of each candidate for each reference, [C, R]."""
    if utility == "chrf":
        return pairwise_chrf(candidates, references)
    if isinstance(utility, str):
        measure = metric(utility)
        sign = 1 if measure.higher_is_better else -1
        rows = [
            [sign * measure.sentence_score(measure.statistics(one, [other])) for other in references]
            for one in candidates
        ]
    else:
        rows = [[utility(one, other) for other in references] for one in candidates]
    return np.array(rows, dtype=np.float64).reshape(len(candidates), len(references))
