"""Comparing two systems: paired tests, and the sentences that differ most."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.core.errors import InputError
from isthmus.evaluate import Comparison, approximate_randomization, compare, paired_bootstrap
from isthmus.text.metrics import NAMES, metric

TEXT = "the a cat dog sat on mat house ran big red quickly over under lazy fox"
WORDS = TEXT.split()


def corpus(size: int, noise: float, seed: int) -> tuple[list[str], list[list[str]]]:
    """References of random words, and copies of them in which a share of the words was replaced."""
    source = np.random.default_rng(11)
    references = [list(source.choice(WORDS, size=source.integers(4, 13))) for _ in range(size)]
    random = np.random.default_rng(seed)
    noisy = [[random.choice(WORDS) if random.random() < noise else word for word in row] for row in references]
    return [" ".join(row) for row in noisy], [[" ".join(row)] for row in references]


def bootstrap(name: str, a: list[str], b: list[str], references: list[list[str]]) -> Comparison:
    measure = metric(name)
    return paired_bootstrap(measure.corpus(a, references), measure.corpus(b, references), measure, samples=300)


@pytest.mark.parametrize("name", NAMES)
def test_a_much_better_system_wins(name: str) -> None:
    bad, references = corpus(47, noise=0.3, seed=1)
    good, _ = corpus(47, noise=0.02, seed=2)
    found = bootstrap(name, bad, good, references)
    assert found.wins == 1.0
    assert found.ties == 0.0
    assert found.p_value == pytest.approx(1 / 301)
    assert found.randomized_p_value < 0.001
    assert (found.difference.value > 0) == found.higher_is_better
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert found.difference.value == pytest.approx(found.b.value - found.a.value)
    assert found.a.value == metric(name).corpus_score(bad, references)
    assert found.a.low < found.a.value < found.a.high
    back = bootstrap(name, good, bad, references)
    assert back.wins == 0.0
    assert back.difference.value == pytest.approx(-found.difference.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_system_equals_itself(name: str) -> None:
    texts, references = corpus(13, noise=0.4, seed=1)
    found = bootstrap(name, texts, texts, references)
    assert (found.p_value, found.randomized_p_value, found.wins, found.ties) == (1.0, 1.0, 0.0, 1.0)
    assert found.difference.value == found.difference.low == found.difference.high == 0.0


def test_alike_systems_are_seldom_told_apart() -> None:
    small = 0
    for seed in range(0, 60, 2):
        a, references = corpus(53, noise=0.4, seed=seed)
        b, _ = corpus(53, noise=0.4, seed=seed + 1)
        measure = metric("wer")
        tables = measure.corpus(a, references), measure.corpus(b, references)
        small += approximate_randomization(*tables, measure, shuffles=200) < 0.05
    assert small <= 5  # 1.5 expected; more than 5 in one of 250 such tests


def test_randomisation_counts_every_exchange_that_is_as_large() -> None:
    """Three sentences that only b gets right: of the 8 exchanges 2 keep a difference as large, so p is near 1/4."""
    measure = metric("exact")
    references = [["a"]] * 3
    tables = measure.corpus(["x"] * 3, references), measure.corpus(["a"] * 3, references)
    assert approximate_randomization(*tables, measure) == pytest.approx(0.25, abs=0.02)


def test_the_bootstrap_draws_the_same_sentences_for_both() -> None:
    """b is right where a is, and once more: however sentences are drawn, b never loses."""
    measure = metric("exact")
    references = [["a"]] * 19
    a, b = ["a"] * 9 + ["x"] * 10, ["a"] * 10 + ["x"] * 9
    found = paired_bootstrap(measure.corpus(a, references), measure.corpus(b, references), measure, seed=5)
    assert found.difference.low == 0.0
    assert found.wins + found.ties == 1.0
    assert found.ties == pytest.approx((18 / 19) ** 19, abs=0.04)


def test_tables_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(InputError, match="same sentences") as caught:
        paired_bootstrap(np.zeros((5, 2)), np.zeros((7, 2)), metric("wer"))
    assert "5 sentences" in caught.value.expected
    assert "7 sentences" in caught.value.got
    with pytest.raises(InputError, match="empty corpus"):
        approximate_randomization(np.zeros((0, 2)), np.zeros((0, 2)), metric("wer"))


A = ["K AE T", "D AO G", "F IH SH", ""]
B = ["K AE T", "D AA G", "M AW S", "B ER D"]
ASKED = [["K AE T"], ["D AO G", "D AA G"], ["F IH SH"], ["B ER D Z"]]


def test_the_sentences_that_differ_most_come_first() -> None:
    report = compare(A, B, ASKED, ["per", "exact"], ["cat", "dog", "fish", "birds"], samples=50, most=7)
    assert [item.index for item in report.differing] == [2, 3]
    first, second = report.differing
    assert (first.source, first.a, first.b, first.references) == ("fish", "F IH SH", "M AW S", ("F IH SH",))
    assert (first.score_a, first.score_b) == (0.0, 100.0)
    assert (second.score_a, second.score_b) == (100.0, 25.0)
    assert report.counts == {"sentences": 4, "references": 5, "same": 1, "empty_a": 1, "empty_b": 0}
    assert len(compare(A, B, ASKED, ["per"], ["s"] * 4, samples=50, most=1).differing) == 1


def test_a_comparison_is_written_and_read(tmp_path: Path) -> None:
    report = compare(A, B, ASKED, ["per", "bleu"], ["cat", "dog", "fish", "birds"], samples=50)
    report.write(tmp_path / "comparison.json")
    read = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert read == report.to_json()
    assert read["comparisons"][0]["metric"] == "per"
    assert read["comparisons"][0]["signature"].endswith("recipe:1|bs:50|ar:10000|seed:12345")
    assert "tok:13a" in read["comparisons"][1]["signature"]


def test_the_table_shows_scores_and_sentences() -> None:
    lines = compare(A, B, ASKED, ["exact"], ["cat", "dog", "fish", "birds"], samples=50).table()
    assert lines[0].split()[:5] == ["metric", "A", "B", "B", "-"]
    assert lines[1].split()[:4] == ["exact", "75.00", "50.00", "-25.00"]
    assert "sentences 4, references 5, same 1, empty a 1, empty b 0" in lines
    start = lines.index("sentence 3: A 100.0, B 0.0")
    assert lines[start + 1 : start + 5] == [
        "  source     fish",
        "  reference  F IH SH",
        "  A          F IH SH",
        "  B          M AW S",
    ]


@pytest.mark.parametrize(
    ("a", "b", "sources", "metrics", "message"),
    [
        (["x"], ["x", "y"], ["s", "s"], ["wer"], "1 hypotheses"),
        (["x", "y"], ["x"], ["s", "s"], ["wer"], "1 hypotheses"),
        (["x", "y"], ["x", "y"], ["s"], ["wer"], "1 sources"),
        (["x", "y"], ["x", "y"], ["s", "s"], [], "needs a metric"),
    ],
)
def test_bad_input_is_one_clear_error(
    a: list[str], b: list[str], sources: list[str], metrics: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare(a, b, [["x"], ["y"]], metrics, sources)
