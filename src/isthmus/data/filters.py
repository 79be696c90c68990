"""Which pairs of a corpus are kept, and how many were removed for which reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from pydantic import Field

from isthmus.core.config import Config
from isthmus.data.example import Example
from isthmus.data.hashes import Seen, text_hashes

_CHUNK = 8192


class FilterConfig(Config):
    """Which pairs to remove. The limits in pieces belong to the codec, because generation keeps to them too.

    Attributes:
        empty: remove pairs with an empty side.
        identical: remove pairs whose target is a copy of the source.
        duplicates: remove pairs that came before (8 bytes of memory a pair, 16 at times).
        max_characters: remove pairs with a longer side.
        max_ratio: remove pairs one side of which is so many times longer than the other, in characters.
    """

    empty: bool = True
    identical: bool = False
    duplicates: bool = False
    max_characters: int | None = Field(default=None, ge=1)
    max_ratio: float | None = Field(default=None, gt=1)


class Filters:
    """Applies a `FilterConfig` to one or more corpora, one after the other, and counts what it removes.

    Attributes:
        removed: pairs removed, by the name of the field of `FilterConfig` that removed them.
    """

    def __init__(self, config: FilterConfig) -> None:
        self.config = config
        self.removed: Counter[str] = Counter()
        self._seen = Seen()

    def keep(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield the examples that pass, in order."""
        stream = iter(examples)
        while chunk := list(islice(stream, _CHUNK)):
            yield from self._chunk(chunk)

    def _chunk(self, chunk: list[Example]) -> list[Example]:
        kept = []
        for example in chunk:
            reason = self._reason(example)
            if reason:
                self.removed[reason] += 1
            else:
                kept.append(example)
        if not self.config.duplicates:
            return kept
        new = self._seen.add(text_hashes((*example.sources, example.target) for example in kept)).tolist()
        self.removed["duplicates"] += new.count(False)
        return [example for example, is_new in zip(kept, new, strict=True) if is_new]

    def _reason(self, example: Example) -> str:
        """The first rule that removes the example, or nothing."""
        config = self.config
        if config.empty and not (all(text.strip() for text in example.sources) and example.target.strip()):
            return "empty"
        if config.identical and example.source == example.target:
            return "identical"
        source, target = sum(map(len, example.sources)), len(example.target)
        if config.max_characters is not None and max(source, target) > config.max_characters:
            return "max_characters"
        if config.max_ratio is not None and max(source, target) > config.max_ratio * max(1, min(source, target)):
            return "max_ratio"
        return ""
