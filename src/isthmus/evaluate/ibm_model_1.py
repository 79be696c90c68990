"""Which word goes with which, learned from pairs alone: IBM Model 1 (Brown et al. 1993, section 4.1) in both directions.

L links: a word of a target with a word of its source, or with none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Words = Sequence[str]
Numbers = npt.NDArray[np.int64]
Links = frozenset[tuple[int, int]]
"""Places of a word in the source and of a word in the target."""

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Corpus:
    """All links that there may be, as arrays [L].

    Attributes:
        slot: which word of which target, counted through the corpus.
        place: the place of the source's word; -1 is no word.
        kind: which source word with which target word, numbered.
        source: which source word; 0 is no word.
        target: which target word.
        distance: how far apart the two places are, as shares of the two lengths.
        starts: the first link of each pair of texts, and the number of links.
    """

    slot: Numbers
    place: Numbers
    kind: Numbers
    source: Numbers
    target: Numbers
    distance: npt.NDArray[np.float64]
    starts: tuple[int, ...]


def agreed_links(sources: Sequence[Words], targets: Sequence[Words], of: int) -> list[Links]:
    """The links of the first `of` pairs on which both directions agree; no word has more than one.

    Och and Ney 2003, A Systematic Comparison of Various Statistical Alignment Models, section 3.3 (the intersection).

    Args:
        sources: the words of each source; all of them are learned from.
        targets: the words of each target.
        of: how many pairs to link.
    """
    if not any(map(len, targets)):
        return [frozenset()] * of
    there = _linked(sources, targets, of)
    back = _linked(targets, sources, of)
    return [one & frozenset((s, t) for t, s in other) for one, other in zip(there, back, strict=True)]


def lexicon(
    sources: Sequence[Words], targets: Sequence[Words], most: int, least: float = 1e-3
) -> dict[str, tuple[str, ...]]:
    """For each word of the sources, the words of the targets that it becomes, the most probable first.

    Args:
        sources: the words of each source.
        targets: the words of each target.
        most: so many for each word.
        least: with at least this probability.
    """
    if not any(map(len, targets)):
        return {}
    corpus = _corpus(sources, targets)
    probability = _translated(corpus)
    _, first = np.unique(corpus.kind, return_index=True)
    words, others = ["", *_kinds(sources)], ["", *_kinds(targets)]
    found: dict[str, list[str]] = {}
    for kind in np.argsort(-probability, kind="stable").tolist():
        if probability[kind] < least:
            break
        link = first[kind]
        likely = found.setdefault(words[corpus.source[link]], [])
        if len(likely) < most:
            likely.append(others[corpus.target[link]])
    return {word: tuple(likely) for word, likely in found.items() if word}


def _kinds(side: Sequence[Words]) -> list[str]:
    """The different words of a side, in the order of their first coming."""
    return list(dict.fromkeys(word for one in side for word in one))


def _linked(sources: Sequence[Words], targets: Sequence[Words], of: int) -> list[Links]:
    """For each word of a target the most probable word of its source, if that is more probable than none."""
    corpus = _corpus(sources, targets)
    probability_L = _translated(corpus)[corpus.kind]
    found = []
    for number in range(of):
        one = slice(corpus.starts[number], corpus.starts[number + 1])
        width = len(sources[number]) + 1
        rows = probability_L[one].reshape(-1, width)
        near = corpus.distance[one].reshape(-1, width)
        best = np.lexsort((near, -rows), axis=1)[:, 0] - 1
        found.append(frozenset((int(s), t) for t, s in enumerate(best) if s >= 0))
    return found


def _corpus(sources: Sequence[Words], targets: Sequence[Words]) -> _Corpus:
    source_ids, target_ids = ({word: n for n, word in enumerate(_kinds(side), 1)} for side in (sources, targets))
    slots, places, left, right, distances, starts = [], [], [], [], [], [0]
    slot = 0
    for source, target in zip(sources, targets, strict=True):
        S, T = len(source) + 1, len(target)
        place = np.arange(-1, S - 1)
        slots.append(np.repeat(np.arange(slot, slot + T), S))
        places.append(np.tile(place, T))
        left.append(np.tile(np.array([0, *(source_ids[word] for word in source)]), T))
        right.append(np.repeat(np.array([target_ids[word] for word in target], dtype=np.int64), S))
        distances.append(
            np.abs(np.subtract.outer((np.arange(T) + 0.5) / max(1, T), (place + 0.5) / max(1, S - 1))).ravel()
        )
        slot += T
        starts.append(starts[-1] + S * T)
    source_L, target_L = np.concatenate(left), np.concatenate(right)
    _, kind_L = np.unique(source_L * (len(target_ids) + 1) + target_L, return_inverse=True)
    distance_L = np.concatenate(distances)
    return _Corpus(np.concatenate(slots), np.concatenate(places), kind_L, source_L, target_L, distance_L, tuple(starts))


def _translated(corpus: _Corpus) -> npt.NDArray[np.float64]:
    """The probability of each kind of link, by expectation and maximisation from equal ones."""
    kinds = int(corpus.kind.max(initial=-1)) + 1
    source_of_kind = np.zeros(kinds, dtype=np.int64)
    source_of_kind[corpus.kind] = corpus.source
    probability = np.ones(kinds)
    for _ in range(ROUNDS):
        weight_L = probability[corpus.kind]
        weight_L /= np.bincount(corpus.slot, weight_L)[corpus.slot]
        count = np.bincount(corpus.kind, weight_L, minlength=kinds)
        probability = count / np.bincount(source_of_kind, count)[source_of_kind]
    return probability
