"""A recipe from the data alone: what an engineer would write after a look at the pairs, the time and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from isthmus.core.runtime import Runtime, probe
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs, read
from isthmus.text.sentences import split
from isthmus.workflows.data_config import files_table
from isthmus.workflows.recipe import Recipe

SAMPLE = 20_000
MOST_SYMBOLS, MOST_CHARACTERS = 300, 300
EFFICIENCY = 0.45
TOKENS_A_WEIGHT = 5
"""How many target tokens a run should at least see for each weight that works on a token; Hoffmann et al. 2022 found about 20 best."""

SIZES: tuple[tuple[int, int, int, int, int], ...] = (
    (128, 512, 3, 2, 4),
    (192, 768, 4, 2, 6),
    (256, 1024, 4, 3, 4),
    (512, 2048, 6, 3, 8),
)
"""d_model, feed-forward, encoder layers, decoder layers, heads."""


@dataclass(frozen=True, slots=True)
class Side:
    """What the texts of one side look like.

    Attributes:
        characters: characters a text, on average.
        longest: characters of the longest text.
        words: words between white space a text, on average.
        kinds: different words.
        alphabet: the characters that occur.
    """

    characters: float
    longest: int
    words: float
    kinds: int
    alphabet: frozenset[str]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Side:
        """Look at some texts."""
        words = [text.split() for text in texts]
        count = max(1, len(texts))
        return cls(
            sum(map(len, texts)) / count,
            max(map(len, texts), default=0),
            sum(map(len, words)) / count,
            len({word for each in words for word in each}),
            frozenset().union(*texts),
        )

    @property
    def tokenizer(self) -> str:
        """The kind of tokenizer: few different words are symbols, single words are spelled, the rest is cut into pieces."""
        if self.words >= 1.5 and self.kinds <= MOST_SYMBOLS:
            return "symbols"
        if self.words < 1.5 and self.characters < 32 and len(self.alphabet) <= MOST_CHARACTERS:
            return "characters"
        return "sentencepiece"

    @property
    def ideographs(self) -> float:
        """The share of Chinese characters in the alphabet."""
        return sum("\u4e00" <= one <= "\u9fff" for one in self.alphabet) / max(1, len(self.alphabet))

    @property
    def pieces(self) -> float:
        """About how many pieces a text will have."""
        return {"symbols": self.words, "characters": self.characters, "sentencepiece": self.characters / 3.5 + 1}[
            self.tokenizer
        ]


@dataclass(frozen=True, slots=True)
class Look:
    """What a corpus looks like.

    Attributes:
        pairs: how many there are.
        source: the source side of the first ones.
        target: their target side.
        single: the share of sources that are one sentence.
    """

    pairs: int
    source: Side
    target: Side
    single: float

    @classmethod
    def of(cls, examples: Iterable[Example], language: str = "") -> Look:
        """Look at a corpus: closely at the first pairs, and count the rest."""
        rest = iter(examples)
        first = list(islice(rest, SAMPLE))
        sources = [example.source for example in first]
        some = sources[:: max(1, len(sources) // 500)]
        single = sum(len(split(text, language)) <= 1 for text in some) / max(1, len(some))
        return cls(
            len(first) + sum(1 for _ in rest), Side.of(sources), Side.of([example.target for example in first]), single
        )

    @property
    def joint(self) -> bool:
        """Whether one vocabulary serves both sides: both are cut into pieces, and their alphabets are much the same."""
        if self.source.tokenizer != "sentencepiece" or self.target.tokenizer != "sentencepiece":
            return False
        shared = len(self.source.alphabet & self.target.alphabet)
        return shared >= 0.4 * min(len(self.source.alphabet), len(self.target.alphabet))


def automatic_recipe(
    train: Pairs, dev: Pairs | None, test: Pairs | None, minutes: float, runtime: Runtime | None = None
) -> Recipe:
    """Choose tokenizers, vocabulary, model size, dropout, batches and metrics from a look at the data, the time and the machine.

    Args:
        train: the training pairs.
        dev: the development pairs; `None` holds some of the training pairs out.
        test: the test pairs, or `None`.
        minutes: the time for training.
        runtime: how fast the machine is (its `gflops`); `None` measures.

    Raises:
        DataError: the corpus cannot be read.
    """
    look = Look.of(read(train), train.source_language)
    vocabulary = _vocabulary(look)
    sizes = _sizes(look, vocabulary, minutes, runtime or probe())
    dropout = 0.3 if look.pairs < 50_000 else 0.1
    longest = max(_positions(look.source), _positions(look.target))
    pieces = look.target.tokenizer == "sentencepiece"
    metrics = (
        (["bleu-char" if look.target.ideographs > 0.5 else "bleu", "chrf"])
        if pieces
        else ["word-error", "per" if look.target.words > 1.5 else "cer"]
    )
    table: dict[str, Any] = {
        "about": f"Chosen from a look at {look.pairs:,} pairs.",
        "unit": "sentence" if look.source.tokenizer == "sentencepiece" and look.single > 0.9 else "",
        "data": {
            "root": "/",
            "train": [files_table(train)],
            "source_language": train.source_language,
            "target_language": train.target_language,
            "batch": {"tokens": max(3072, longest)},
        },
        "tokenizer": {
            "joint": look.joint,
            "source": _tokenizer(look.source, vocabulary),
            "target": _tokenizer(look.target, vocabulary),
        },
        "codec": {"max_source_length": longest, "max_target_length": longest},
        "model": _model(sizes, dropout, "all" if look.joint else "target", longest),
        "train": {
            "steps": 10_000,
            "optimiser": {"kind": "adam", "learning_rate": 0.04 * sizes[0] ** -0.5 * (0.7 if sizes[0] > 256 else 1.0)},
            "schedule": {"kind": "linear", "warmup": 500},
            "average": {"kind": "ema", "decay": 0.998},
        },
        "validation": {"metrics": metrics, "sentences": 300},
    }
    for name, files in (("dev", dev), ("test", test)):
        if files is not None:
            table["data"][name] = files_table(files)
    return Recipe.of(table, "the automatic recipe")


def _vocabulary(look: Look) -> int:
    """Pieces of a learned vocabulary: small corpora bear few, and each costs time at every position."""
    for most_pairs, size in ((10_000, 2000), (50_000, 4000), (300_000, 6000), (1_000_000, 8000)):
        if look.pairs < most_pairs:
            return size
    return 16_000


def _tokenizer(side: Side, vocabulary: int) -> dict[str, Any]:
    if side.tokenizer != "sentencepiece":
        return {"kind": side.tokenizer}
    return {"kind": "sentencepiece", "model": "bpe", "vocabulary_size": vocabulary}


def _positions(side: Side) -> int:
    """Room for the longest text, in powers of two."""
    pieces = {"symbols": side.longest / 2, "characters": side.longest, "sentencepiece": side.longest / 2}[
        side.tokenizer
    ]
    return next(size for size in (64, 128, 256, 512, 1024) if size >= min(1024, pieces * 1.25 + 8))


def _sizes(look: Look, vocabulary: int, minutes: float, runtime: Runtime) -> tuple[int, int, int, int, int]:
    """The largest model that sees enough tokens in the time, and does not dwarf its data."""
    speed = 1e9 * max(runtime.gflops.values(), default=50.0) * EFFICIENCY
    tokens = look.pairs * look.target.pieces
    output = vocabulary if look.target.tokenizer == "sentencepiece" else look.target.kinds + 150
    best = SIZES[0]
    for sizes in SIZES:
        d_model, inner, encoder, decoder, _ = sizes
        ratio = look.source.pieces / max(1.0, look.target.pieces)
        layer = 4 * d_model * d_model + 2 * d_model * inner
        working = encoder * layer * ratio + decoder * (layer + 4 * d_model * d_model) + output * d_model
        seen = minutes * 60 * speed / (6 * working)
        if seen >= TOKENS_A_WEIGHT * working and working <= 5 * tokens:
            best = sizes
    return best


def _model(sizes: tuple[int, int, int, int, int], dropout: float, tied: str, longest: int) -> dict[str, Any]:
    d_model, inner, encoder, decoder, heads = sizes
    layer = {"heads": heads, "feed_forward": inner, "dropout": dropout}
    return {
        "d_model": d_model,
        "embedding": {"tied": tied, "dropout": dropout, "positions": {"maximum": longest}},
        "encoder": {"layers": encoder, "layer": layer},
        "connection": {"kind": "multi-head-attention", "heads": heads},
        "decoder": {"layers": decoder, "layer": layer},
    }
