"""What else could have come: the runners-up of each piece of an output.

B row, T target position, V vocabulary, A alternative.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine
from isthmus.generate.batches import PIECES, batches
from isthmus.generate.score import NUMBERS


@dataclass(frozen=True, slots=True)
class Alternative:
    """A piece that could have come instead.

    Attributes:
        id: of the piece.
        score: the model's log-probability of it, after the pieces that did come.
    """

    id: int
    score: float


Pair = tuple[Sequence[int], Sequence[int]]
Runners = tuple[tuple[Alternative, ...], ...]


@torch.inference_mode()
def alternatives(
    engine: Engine, pairs: Sequence[Pair], count: int, never: Collection[int], size: int, batch: int = 64
) -> list[Runners]:
    """The most probable other pieces at each place of each output, best first.

    Args:
        engine: what knows the probabilities.
        pairs: ids of a source, and of what came (with the end, if it came).
        count: how many at each place.
        never: ids that cannot come.
        size: of the target vocabulary.
        batch: the most pairs to look at at a time.
    """
    lengths = [max(len(source), len(target)) for source, target in pairs]
    found: dict[int, Runners] = {}
    for places in batches(lengths, min(batch, max(1, NUMBERS // (size * PIECES)))):
        with engine.running():
            several = _alternatives(engine, [pairs[place] for place in places], count, sorted(never))
        found.update(zip(places, several, strict=True))
    return [found[place] for place in range(len(pairs))]


def _alternatives(engine: Engine, pairs: Sequence[Pair], count: int, never: Sequence[int]) -> list[Runners]:
    """One batch: the whole outputs are read at once, each position predicting the next."""
    begin = engine.start_ids
    came = Padded.of([ids for _, ids in pairs])
    target_in = Padded.of([[*begin, *ids][: len(begin) + max(0, len(ids) - 1)] for _, ids in pairs])
    log_probs_BTV = engine.read(Padded.of([ids for ids, _ in pairs]), target_in)[:, len(begin) - 1 :]
    log_probs_BTV = log_probs_BTV[:, : came.ids_BT.shape[1]].clone()
    log_probs_BTV.scatter_(2, came.ids_BT.to(log_probs_BTV.device).unsqueeze(2), -torch.inf)
    log_probs_BTV[:, :, never] = -torch.inf
    score_BTA, id_BTA = log_probs_BTV.topk(min(count, log_probs_BTV.shape[2]))
    rows = zip(id_BTA.tolist(), score_BTA.tolist(), pairs, strict=True)
    return [
        tuple(
            tuple(Alternative(id, score) for id, score in zip(*place, strict=True) if score > -torch.inf)
            for place in zip(ids[: len(came)], scores[: len(came)], strict=True)
        )
        for ids, scores, (_, came) in rows
    ]
