"""Honest numbers: scores with intervals and recipes, and whether two systems differ by more than chance."""

from isthmus.evaluate.comparison import ComparisonReport, Differing, compare
from isthmus.evaluate.report import Provenance, Report, Score, evaluate
from isthmus.evaluate.significance import Comparison, Interval, approximate_randomization, paired_bootstrap

__all__ = [
    "Comparison",
    "ComparisonReport",
    "Differing",
    "Interval",
    "Provenance",
    "Report",
    "Score",
    "approximate_randomization",
    "compare",
    "evaluate",
    "paired_bootstrap",
]
