"""Choose the layer and head whose attention is most like a word alignment, on pairs that the model was not trained on.

H heads, T target position, S source position, W words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.evaluate.attention import Look, look
from isthmus.evaluate.ibm_model_1 import Links, agreed_links
from isthmus.generate.alignment import Looked, Trace, traces, words
from isthmus.generate.alignment_head import AlignmentHead
from isthmus.model.bundle import Bundle

PAIRS, LEARNED_FROM, MOST_LINKS = 300, 20_000, 2_000_000
"""Pairs to judge heads by; pairs that the judge learns from; and how many possible links it weighs at most."""

FEWEST = 100
"""Fewer links than these say nothing."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A source and its target, with their words."""

    example: Example
    source: tuple[str, ...]
    target: tuple[str, ...]


def choose_alignment_head(bundle: Bundle, dev: Iterable[Example], train: Iterable[Example]) -> AlignmentHead | None:
    """The head that disagrees least with IBM Model 1, where both of its directions agree.

    Nobody has aligned these texts by hand: the judge is another model, learned from the same pairs, so that the error says how like
    it a head is. `None` if nothing can be said: no weights over pieces of the source, texts of single words, too few links.

    Args:
        bundle: the model, in evaluation mode.
        dev: pairs to judge by; the first ones are taken.
        train: pairs for the judge to learn from, beside those.
    """
    judged = list(_pairs(islice(dev, PAIRS)))
    if not judged or sum(len(pair.source) for pair in judged) < 2 * len(judged):
        return None
    if not any(_shares_of(bundle, pair.example) for pair in judged[:5]):
        return None
    learned = [*judged, *_enough(_pairs(islice(train, LEARNED_FROM)))]
    links = agreed_links([pair.source for pair in learned], [pair.target for pair in learned], len(judged))
    wrong, right = _judged(bundle, judged, links)
    return _best(wrong, right)


def _pairs(examples: Iterable[Example]) -> Iterator[_Pair]:
    for example in examples:
        sides = [tuple(word.text.lower() for word in words(text)) for text in (example.source, example.target)]
        if len(example.sources) == 1 and all(sides):
            yield _Pair(example, *sides)


def _enough(pairs: Iterable[_Pair]) -> Iterator[_Pair]:
    """As many pairs as the judge can weigh."""
    room = MOST_LINKS
    for pair in pairs:
        room -= (len(pair.source) + 1) * len(pair.target)
        if room < 0:
            return
        yield pair


Place = tuple[int, int | None]
"""Layer and head; no head is the mean over the heads of the layer."""


def _judged(
    bundle: Bundle, pairs: Sequence[_Pair], links: Sequence[Links]
) -> tuple[dict[Place, int], dict[Place, int]]:
    """For each head, how many links of the judge it puts elsewhere, and how many it shares."""
    wrong: dict[Place, int] = {}
    right: dict[Place, int] = {}
    for pair, judge in zip(pairs, links, strict=True):
        for place, share_WW in _shares_of(bundle, pair.example).items():
            best_W = share_WW.argmax(dim=1).tolist()
            good = sum(best_W[target] == source for source, target in judge)
            right[place] = right.get(place, 0) + good
            wrong[place] = wrong.get(place, 0) + len(judge) - good
    return wrong, right


def _best(wrong: dict[Place, int], right: dict[Place, int]) -> AlignmentHead | None:
    if not right:
        return None
    mean: Place = (max(layer for layer, _ in right), None)
    links = right[mean] + wrong[mean]
    if links < FEWEST:
        return None
    layer, head = min(right, key=lambda place: (wrong[place], place[1] is not None, -place[0], place[1] or 0))
    return AlignmentHead(
        layer=layer, head=head, error=wrong[layer, head] / links, error_of_mean=wrong[mean] / links, links=links
    )


def _shares_of(bundle: Bundle, example: Example) -> dict[Place, Tensor]:
    """How much of each word of the source each head read for each word of the target, [target words, source words].

    Only heads that read the pieces of the source; nothing where the pieces do not spell the texts, or do not fit the model.
    """
    codec = bundle.codec
    source, target = codec.source_ids(example), codec.target_ids(example)
    limit = bundle.config.embedding.positions.maximum
    if not codec.fits(source, target) or (limit is not None and max(len(source), len(target)) > limit):
        return {}
    seen = look(bundle.model, (codec.config.frame.start,), source, target)
    trace = _trace(example, source, target, codec)
    if trace is None:
        return {}
    target_WT = _membership(trace.target, len(words(example.target)), len(target))
    source_WS = _membership(trace.source, len(words(example.source)), len(source))
    return {
        place: target_WT @ weights_TS @ source_WS.T
        for place, weights_TS in _heads(seen)
        if weights_TS.shape[1] == len(source)
    }


def _trace(example: Example, source: Sequence[int], target: Sequence[int], codec: Codec) -> Trace | None:
    said = [id for id in target if id != codec.target.vocabulary.eos]
    nowhere = torch.zeros(0, 0)
    return next(iter(traces(example.source, example.target, [Looked(source, 0, said, nowhere)], codec)), None)


def _heads(seen: Look) -> Iterator[tuple[Place, Tensor]]:
    for layer, heads_HTS in enumerate(seen.layers):
        if heads_HTS is not None:
            yield (layer, None), heads_HTS.mean(dim=0)
            yield from (((layer, head), weights_TS) for head, weights_TS in enumerate(heads_HTS))


def _membership(word_of: Sequence[int | None], count: int, width: int) -> Tensor:
    """Which pieces a word has, as ones in [words, width]."""
    member = torch.zeros(count, width)
    for place, word in enumerate(word_of):
        if word is not None:
            member[word, place] = 1.0
    return member
