"""Scores over strings: BLEU, chrF, TER, error rates, exact match and ROUGE, each with its recipe."""

from isthmus.text.metrics.catalogue import NAMES, metric
from isthmus.text.metrics.metric import Metric, Row, Table
from isthmus.text.metrics.references import check, group

__all__ = ["NAMES", "Metric", "Row", "Table", "check", "group", "metric"]
