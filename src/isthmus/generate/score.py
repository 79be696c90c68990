"""How probable a model finds given targets, piece by piece: teacher forcing.

B row, T target position, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine
from isthmus.generate.batches import PIECES, batches

NUMBERS = 2**24
"""How many log-probabilities may exist at a time."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A target, and how probable a model finds it.

    Attributes:
        ids: its pieces, with the end.
        pieces: how they are written.
        token_scores: log p(yₜ | y₁ … yₜ₋₁, x) of each.
        total: their sum, log p(y | x).
        normalised: total / length ** length_penalty, where the length counts the end: what a search ranks by.
    """

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    token_scores: tuple[float, ...]
    total: float
    normalised: float


def token_scores(
    engine: Engine, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], size: int, batch: int = 64
) -> list[tuple[float, ...]]:
    """The log-probability of each id of each target after those before it, in the order of the pairs.

    Args:
        engine: what knows the probabilities.
        pairs: ids of a source and of a target, each with its end.
        size: of the target vocabulary.
        batch: the most pairs to score at a time.
    """
    lengths = [max(len(source), len(target)) for source, target in pairs]
    found: dict[int, tuple[float, ...]] = {}
    for places in batches(lengths, min(batch, max(1, NUMBERS // (size * PIECES)))):
        with engine.running():
            scores = _scores(engine, [pairs[place] for place in places])
        found.update(zip(places, scores, strict=True))
    return [found[place] for place in range(len(pairs))]


def scored(ids: Sequence[int], pieces: Sequence[str], scores: Sequence[float], length_penalty: float) -> Scored:
    """The sums of a target's scores.

    Args:
        ids: the pieces, with the end.
        pieces: how they are written.
        scores: of each.
        length_penalty: the power of the length.
    """
    total = math.fsum(scores)
    return Scored(tuple(ids), tuple(pieces), tuple(scores), total, total / max(1, len(ids)) ** length_penalty)


def _scores(engine: Engine, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[float, ...]]:
    """One batch: the whole targets are read at once, each position predicting the next."""
    begin = engine.start_ids
    source = Padded.of([ids for ids, _ in pairs])
    target = Padded.of([ids for _, ids in pairs])
    target_in = Padded.of([[*begin, *ids][:-1] for _, ids in pairs])
    log_probs_BTV = engine.read(source, target_in)[:, len(begin) - 1 :]
    chosen_BT = log_probs_BTV.gather(2, target.ids_BT.to(log_probs_BTV.device).unsqueeze(2)).squeeze(2)
    return [tuple(row[: len(ids)]) for row, (_, ids) in zip(chosen_BT.tolist(), pairs, strict=True)]
