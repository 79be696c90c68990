"""Reports: scores with intervals and recipes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.core.errors import InputError
from isthmus.evaluate import Provenance, evaluate
from isthmus.evaluate.layout import aligned
from isthmus.evaluate.resample import interval_of, resampled_sums
from isthmus.text.metrics import diversity, metric

HYPOTHESES = ["the cat sat on the mat", "a dog", " ", "birds fly over the house", "no"]
REFERENCES = [["the cat sat on a mat"], ["the dog", "a dog"], ["nothing"], ["birds fly over the big house"], ["no"]]


def test_the_sums_are_those_of_the_drawn_sentences() -> None:
    table_NK = np.random.default_rng(0).integers(0, 50, size=(17, 3)).astype(np.float64)
    rows_RN = np.random.default_rng(7).choice(17, size=(11, 17))
    expected_RK = np.array([table_NK[rows_N].sum(axis=0) for rows_N in rows_RN])
    np.testing.assert_array_equal(resampled_sums(table_NK, samples=11, seed=7), expected_RK)


def test_the_interval_is_the_middle_95_percent() -> None:
    values = np.random.default_rng(0).permutation(1000).astype(np.float64)
    assert interval_of(values) == (25.0, 974.0)
    assert interval_of(np.array([3.0])) == (3.0, 3.0)


def test_no_resamples_is_an_error() -> None:
    with pytest.raises(InputError, match="needs resamples"):
        evaluate(HYPOTHESES, REFERENCES, ["wer"], samples=0)


def test_a_score_carries_value_interval_recipe_and_count() -> None:
    report = evaluate(HYPOTHESES, REFERENCES, ["bleu", "wer", "exact"], samples=200, seed=3)
    assert [score.metric for score in report.scores] == ["bleu", "wer", "exact"]
    for score in report.scores:
        assert score.value == metric(score.metric).corpus_score(HYPOTHESES, REFERENCES)
        assert score.low < score.value < score.high
        assert score.sentences == 5
        assert score.signature.startswith("nrefs:var|case:mixed|")
        assert score.signature.endswith("|bs:200|seed:3")
    assert report.scores[1].higher_is_better is False
    assert report.counts == {"sentences": 5, "references": 6, "empty": 1}


def test_the_interval_of_a_mean_is_that_of_statistics() -> None:
    hypotheses = ["a"] * 300 + ["b"] * 100
    score = evaluate(hypotheses, [["a"]] * 400, ["exact"]).scores[0]
    spread = 1.96 * 100 * (0.75 * 0.25 / 400) ** 0.5
    assert score.value == 75.0
    assert score.low == pytest.approx(75 - spread, abs=0.6)
    assert score.high == pytest.approx(75 + spread, abs=0.6)


def test_the_seed_decides() -> None:
    one, again, other = (evaluate(HYPOTHESES, REFERENCES, ["cer"], samples=50, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert (one.scores[0].low, one.scores[0].high) != (other.scores[0].low, other.scores[0].high)


def test_one_sentence_has_no_spread() -> None:
    score = evaluate(["a b c"], [["a x c d"]], ["wer"]).scores[0]
    assert score.low == score.value == score.high == 50.0


def test_written_json_says_everything(tmp_path: Path) -> None:
    provenance = Provenance(decoding={"beam": 5}, model="abc", data="def", date="2026-01-02")
    report = evaluate(HYPOTHESES, REFERENCES, ["chrf"], provenance, samples=20)
    report.write(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert read == report.to_json()
    assert read["format"] == 1
    assert (read["decoding"], read["model"], read["data"], read["date"]) == ({"beam": 5}, "abc", "def", "2026-01-02")
    assert read["scores"][0]["unit"] == "chrF points"
    assert read["counts"]["sentences"] == 5


def test_the_table_is_plain_lines() -> None:
    lines = evaluate(["a b"] * 3, [["a b"]] * 3, ["wer", "exact"]).table()
    assert lines[0].split() == ["metric", "score", "95", "%", "interval", "unit", "better"]
    assert lines[1].split() == ["wer", "0.00", "0.00", "to", "0.00", "%", "lower"]
    assert lines[2].split() == ["exact", "100.00", "100.00", "to", "100.00", "%", "higher"]
    assert lines[4] == "sentences 3, references 3, empty 0"
    assert lines[5] == "wer: nrefs:1|case:mixed|symbols:words|best:rate|recipe:1|bs:1000|seed:12345"


def test_columns_line_up() -> None:
    assert aligned([("a", "b", "c"), ("long", "1", "")], right=(1,)) == ["a     b  c", "long  1"]


@pytest.mark.parametrize(
    ("hypotheses", "references", "metrics", "message"),
    [
        ([], [], ["wer"], "empty corpus"),
        (["a"], [["a"], ["b"]], ["wer"], "2 hypotheses"),
        (["a"], [["a"]], ["wr"], "did you mean `wer`"),
        (["a"], [["a"]], [], "needs a metric"),
    ],
)
def test_bad_input_is_one_clear_error(
    hypotheses: list[str], references: list[list[str]], metrics: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(hypotheses, references, metrics)


def test_diversity_is_scored_over_all_outputs_of_each_source() -> None:
    outputs = [[text, "the mat", f"{text} again"] for text in HYPOTHESES]
    report = evaluate(HYPOTHESES, REFERENCES, ["chrf", "distinct-2", "self-bleu"], samples=100, outputs=outputs)
    plain, distinct, alike = report.scores
    assert plain.value == metric("chrf").corpus_score(HYPOTHESES, REFERENCES)
    for score in (distinct, alike):
        measure = diversity(score.metric)
        assert score.value == measure.score(measure.corpus(outputs).sum(axis=0))
        assert score.low < score.value < score.high
        assert score.signature == "outputs:3|case:lc|tok:unicode-words|recipe:1|bs:100|seed:12345"
    assert evaluate(HYPOTHESES, REFERENCES, ["distinct-1"], samples=1).scores[0].signature.startswith("outputs:1|")
    with pytest.raises(InputError, match="with each other"):
        evaluate(HYPOTHESES, REFERENCES, ["self-bleu"])
    with pytest.raises(InputError, match="unknown metric of diversity"):
        evaluate(HYPOTHESES, REFERENCES, ["distinct-9"])
