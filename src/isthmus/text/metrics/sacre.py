"""BLEU, chrF and TER: sacreBLEU's own counts, formulas and signatures.

Two hooks of sacreBLEU's metrics are used that its own significance tests use as well: `_extract_corpus_statistics`
(the counts of sentences) and `_compute_score_from_stats` (a score from summed counts). A reference test pins both:
our corpus score must equal sacreBLEU's to the last bit.

BLEU: Papineni et al., 2002. chrF: Popović, 2015. TER: Snover et al., 2006. sacreBLEU: Post, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from isthmus.text.metrics.metric import Metric, Row

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer


@final
@dataclass(frozen=True, slots=True)
class SacreMetric(Metric):
    """A metric of sacreBLEU.

    Attributes:
        scorer: sacreBLEU's metric.
        sentence_scorer: the same for sentences alone: BLEU then stops at the longest n-gram that the sentence has.
    """

    scorer: Scorer
    sentence_scorer: Scorer

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Row:
        """SacreBLEU's counts for one sentence: n-gram matches and totals and lengths, or edits and length."""
        counts = self.scorer._extract_corpus_statistics([hypothesis], [[reference] for reference in references])
        return np.asarray(counts[0], dtype=np.float64)

    def score(self, total: Row) -> float:
        """SacreBLEU's corpus score of summed counts."""
        return float(self.scorer._compute_score_from_stats(total.tolist()).score)

    def sentence_score(self, row: Row) -> float:
        """SacreBLEU's score of one sentence; for BLEU with effective order."""
        return float(self.sentence_scorer._compute_score_from_stats(row.tolist()).score)

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """SacreBLEU's signature, its version included."""
        counts = {len(known) for known in references}
        self.scorer.num_refs = counts.pop() if len(counts) == 1 else -1
        return str(self.scorer.get_signature())


def bleu(name: str, tokenize: str) -> SacreMetric:
    """BLEU with one of sacreBLEU's tokenizers: `13a`, `none` (text is tokenised already), `zh` or `char`."""
    from sacrebleu.metrics.bleu import BLEU

    whole = BLEU(tokenize=tokenize, force=True)
    return SacreMetric(name, "BLEU points", True, whole, BLEU(tokenize=tokenize, force=True, effective_order=True))


def chrf() -> SacreMetric:
    """ChrF2: the F score, recall counting twice, of character n-grams up to six; needs no tokenizer."""
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    return SacreMetric("chrf", "chrF points", True, scorer, scorer)


def ter() -> SacreMetric:
    """Translation edit rate: edits and shifts of words, per hundred words of (the average) reference; lower-cased."""
    from sacrebleu.metrics.ter import TER

    scorer = TER()
    return SacreMetric("ter", "%", False, scorer, scorer)
