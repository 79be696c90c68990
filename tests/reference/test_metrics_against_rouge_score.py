"""Our ROUGE against the rouge-score package."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.text.metrics import metric

rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")

NAMES = ("rouge1", "rouge2", "rougeL")
ASCII = st.text(st.characters(max_codepoint=127), max_size=23)
ENGLISH = st.lists(
    st.sampled_from(["The", "the", "cat", "cat's", "sat,", "3.5", "--", "on_a", "mat."]), max_size=13
).map(" ".join)
TEXT = ASCII | ENGLISH


@given(text=TEXT, references=st.lists(TEXT, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_sentence_scores_the_same_on_ascii(text: str, references: list[str]) -> None:
    theirs = rouge_scorer.RougeScorer(list(NAMES)).score_multi(references, text)
    for name in NAMES:
        measure = metric(name)
        ours = measure.score(measure.statistics(text, references))
        assert ours == pytest.approx(100 * theirs[name].fmeasure)


@given(st.lists(st.tuples(ENGLISH, ENGLISH), min_size=1, max_size=7))
@settings(max_examples=30, deadline=None)
def test_a_corpus_scores_the_mean(pairs: list[tuple[str, str]]) -> None:
    scorer = rouge_scorer.RougeScorer(list(NAMES))
    for name in NAMES:
        mean = sum(scorer.score(known, text)[name].fmeasure for text, known in pairs) / len(pairs)
        ours = metric(name).corpus_score([text for text, _ in pairs], [[known] for _, known in pairs])
        assert ours == pytest.approx(100 * mean)
