"""How much several outputs for one input differ: distinct n-grams, self-BLEU, entropy.

Words are those of ROUGE here: lower-cased, of every script. A row of statistics belongs to one input, so that these
scores can be resampled like all others.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from isthmus.core.errors import InputError
from isthmus.text.metrics import sacre
from isthmus.text.metrics.metric import Row, Table
from isthmus.text.metrics.rouge import words
from isthmus.text.metrics.sacre import SacreMetric

DIVERSITY = (
    *("distinct-1", "distinct-2", "distinct-3"),
    "self-bleu",
    *("entropy-1", "entropy-2", "entropy-3", "entropy-4"),
)


@dataclass(frozen=True, slots=True)
class Diversity(ABC):
    """A score of several outputs for each input.

    Attributes:
        name: what users type, for example `distinct-2`.
        unit: what the number counts.
        higher_is_better: whether more means more diverse; diversity itself is good only as far as it is wanted.
    """

    name: str
    unit: str
    higher_is_better: bool

    @abstractmethod
    def statistics(self, outputs: Sequence[str]) -> Row:
        """The sufficient statistics of the outputs for one input, [K] float64."""

    @abstractmethod
    def score(self, total: Row) -> float:
        """The score of a sum of statistics."""

    def corpus(self, outputs: Sequence[Sequence[str]]) -> Table:
        """The statistics of every input, [N, K].

        Raises:
            InputError: there is no input, or one has no output (or too few).
        """
        if not outputs or not all(outputs):
            raise InputError(
                "diversity is measured over outputs",
                expected="at least one output for each input",
                got="none",
                fix="generate from these sources first",
            )
        return np.stack([self.statistics(several) for several in outputs])

    def signature(self, outputs: Sequence[Sequence[str]]) -> str:
        """For example `outputs:5|case:lc|tok:unicode-words|recipe:1`."""
        counts = {len(several) for several in outputs}
        return f"outputs:{counts.pop() if len(counts) == 1 else 'var'}|case:lc|tok:unicode-words|recipe:1"


@final
@dataclass(frozen=True, slots=True)
class Distinct(Diversity):
    """Of the n-grams in the outputs for an input, how many are different; a row is (different, all).

    Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models, section 5.2.

    Attributes:
        order: n.
    """

    order: int

    def statistics(self, outputs: Sequence[str]) -> Row:
        """How many n-grams there are, each counted once, and all."""
        grams = _ngrams(outputs, self.order)
        return np.array([len(grams), grams.total()], dtype=np.float64)

    def score(self, total: Row) -> float:
        """Per cent that are different."""
        return float(100 * total[0] / max(total[1], 1))


@final
@dataclass(frozen=True, slots=True)
class Entropy(Diversity):
    """The entropy of the n-grams in the outputs for an input, - Σ p log₂ p; a row is (entropy, 1).

    Zhang et al. 2018, Generating Informative and Diverse Conversational Responses via Adversarial Information
    Maximization, section 4.1 (there with the natural logarithm).

    Attributes:
        order: n.
    """

    order: int

    def statistics(self, outputs: Sequence[str]) -> Row:
        """The entropy in bits, and one."""
        grams = _ngrams(outputs, self.order)
        shares = [count / grams.total() for count in grams.values()]
        return np.array([-math.fsum(share * math.log2(share) for share in shares), 1.0])

    def score(self, total: Row) -> float:
        """The mean over inputs."""
        return float(total[0] / total[1])


@final
@dataclass(frozen=True, slots=True)
class SelfBleu(Diversity):
    """The BLEU of each output with the other outputs for its input as references; a row is (their sum, their number).

    Zhu et al. 2018, Texygen: A Benchmarking Platform for Text Generation Models, section 3.

    Attributes:
        bleu: over words between spaces.
    """

    bleu: SacreMetric

    def statistics(self, outputs: Sequence[str]) -> Row:
        """The sum of the sentence scores, and how many.

        Raises:
            InputError: there is no other output.
        """
        if len(outputs) < 2:
            raise InputError(
                "self-BLEU compares the outputs for an input with each other",
                expected="at least 2 outputs for each input",
                got=str(len(outputs)),
                where=self.name,
                fix="ask for several outputs, for example --n-best 5",
            )
        texts = [" ".join(words(text)) for text in outputs]
        scores = [
            self.bleu.sentence_score(self.bleu.statistics(text, texts[:place] + texts[place + 1 :]))
            for place, text in enumerate(texts)
        ]
        return np.array([math.fsum(scores), len(scores)])

    def score(self, total: Row) -> float:
        """The mean over outputs."""
        return float(total[0] / total[1])


def diversity(name: str) -> Diversity:
    """The metric of diversity of a name.

    `distinct-1` to `distinct-3` (the share of n-grams that are different), `self-bleu` (how alike the outputs are),
    `entropy-1` to `entropy-4` (of the n-grams, in bits).

    Raises:
        InputError: there is none of this name; the error names the nearest.
    """
    kind, _, order = name.rpartition("-")
    match kind if name in DIVERSITY else "":
        case "distinct":
            return Distinct(name, "%", True, int(order))
        case "entropy":
            return Entropy(name, "bits", True, int(order))
        case "self":
            return SelfBleu(name, "BLEU points", False, sacre.bleu(name, "none"))
    near = difflib.get_close_matches(name, DIVERSITY, n=1, cutoff=0.5)
    raise InputError(
        "unknown metric of diversity",
        expected=f"one of {', '.join(DIVERSITY)}",
        got=repr(name),
        fix=f"did you mean `{near[0]}`?" if near else "choose one of them",
    )


def _ngrams(texts: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """The n-grams of all texts; none goes from one text into the next."""
    return Counter(
        tuple(tokens[start : start + order]) for tokens in map(words, texts) for start in range(len(tokens) - order + 1)
    )
