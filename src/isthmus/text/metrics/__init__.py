"""Scores over strings: BLEU, chrF, TER, error rates, exact match, ROUGE and diversity, each with its recipe."""

from isthmus.text.metrics.catalogue import NAMES, metric
from isthmus.text.metrics.diversity import DIVERSITY, Diversity, diversity
from isthmus.text.metrics.metric import Metric, Row, Table
from isthmus.text.metrics.references import check, group

__all__ = ["DIVERSITY", "NAMES", "Diversity", "Metric", "Row", "Table", "check", "diversity", "group", "metric"]
