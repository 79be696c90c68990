"""Texts to compare an export with its model on, where none are given."""

from __future__ import annotations

import random

from isthmus.data.codec import Codec

COUNT, LONGEST = 12, 24


def drawn_texts(codec: Codec, count: int = COUNT) -> list[str]:
    """Texts of random pieces of the source vocabulary, of 1 to 24 pieces: always the same for one vocabulary."""
    vocabulary = codec.source.vocabulary
    ordinary = sorted({*range(vocabulary.size)} - vocabulary.control - {vocabulary.eos})
    chance = random.Random(0)
    rows = ([chance.choice(ordinary) for _ in range(1 + number * LONGEST // count)] for number in range(count))
    return [text for text in map(codec.source.decode, rows) if text.strip()]
