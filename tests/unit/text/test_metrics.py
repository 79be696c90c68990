"""Scores over strings: values worked out by hand, and laws."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.errors import InputError
from isthmus.text.metrics import NAMES, check, group, metric
from isthmus.text.metrics.rouge import words

SENTENCE = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "été", "春"]), max_size=7).map(" ".join)
REFERENCES = st.lists(SENTENCE, min_size=1, max_size=3)
CORPUS = st.lists(st.tuples(SENTENCE, REFERENCES), min_size=1, max_size=5)
BEST_OF = ("exact", "word-error", "wer", "per", "cer", "rouge1", "rouge2", "rougeL")

HAND = [
    # one reference
    ("bleu", ["The cat sat."], [["The cat sat."]], 100.0),
    ("bleu-tokenized", ["a b c d e"], [["a b c d f"]], 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
    ("bleu-tokenized", ["a b c d"], [["a b c d e"]], 100 * math.exp(1 - 5 / 4)),
    (
        "bleu-tokenized",
        ["a b c."],
        [["a b c ."]],
        0.0,
    ),  # three tokens against four: no 3-gram in common, no 4-gram at all
    ("bleu-char", ["abcde"], [["abcdf"]], 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
    ("bleu-zh", ["春眠不觉"], [["春眠不觉晓"]], 100 * math.exp(1 - 5 / 4)),
    ("chrf", ["abc"], [["abd"]], 100 * (2 / 3 + 1 / 2 + 0) / 3),
    ("ter", ["a b c d"], [["a b c e"]], 25.0),
    ("ter", ["b c d a"], [["a b c d"]], 25.0),  # one shift
    ("exact", ["a  b ", "c"], [["a b"], ["d"]], 50.0),
    ("exact", ["A"], [["a"]], 0.0),
    ("word-error", ["K AE T", "D AO G", "F IH SH"], [["K AE T"], ["D AA G"], ["F IH SH"]], 100 / 3),
    ("wer", ["a b c"], [["a x c d"]], 50.0),
    ("wer", ["a"], [["b c d e f"]], 100.0),
    ("wer", ["a b c d"], [["x"]], 400.0),
    ("wer", ["Hi."], [["hi"]], 100.0),
    ("per", ["K AE T"], [["K AH T S"]], 50.0),
    ("cer", ["abc d"], [["abcd"]], 25.0),
    ("cer", ["été"], [["ete"]], 200 / 3),
    ("rouge1", ["The cat sat!"], [["the cat"]], 80.0),
    ("rouge1", ["the the the"], [["the cat"]], 40.0),
    ("rouge2", ["the cat sat"], [["the cat"]], 200 / 3),
    ("rougeL", ["a b c d"], [["a c b d"]], 75.0),
    # a ratio of sums is not a mean of ratios; ROUGE is a mean
    ("wer", ["a", "b c d e f g h"], [["x"], ["b c d e f g h"]], 100 / 8),
    ("rouge1", ["a", "b c"], [["x"], ["b c"]], 50.0),
    # several references: the nearest counts, with its own length
    ("exact", ["a"], [["b", "a"]], 100.0),
    ("word-error", ["a"], [["b", "a"]], 0.0),
    ("wer", ["a b"], [["a b c d e f g h i j", "x"]], 80.0),
    ("wer", ["a b"], [["a x", "a b c d"]], 50.0),
    ("per", ["K AE T", "D"], [["K AH T S", "K AE T"], ["D IY", "D"]], 0.0),
    ("rouge1", ["the cat"], [["dog", "the cat sat"]], 80.0),
    # nothing written, nothing asked for
    ("bleu", [""], [["a b c d"]], 0.0),
    ("bleu", [""], [[""]], 0.0),
    ("chrf", [""], [["abc"]], 0.0),
    ("ter", [""], [["a b"]], 100.0),
    ("ter", ["a b"], [[""]], 100.0),
    ("ter", [""], [[""]], 0.0),
    ("wer", [""], [["a b"]], 100.0),
    ("wer", ["a b"], [[""]], 200.0),
    ("wer", [" "], [[""]], 0.0),
    ("wer", ["a b"], [["", "a c"]], 50.0),
    ("wer", ["", "a"], [[""], ["b c"]], 100.0),
    ("wer", ["a", "b"], [["", "x"], ["b"]], 50.0),
    ("wer", ["a", "b"], [["x", ""], ["b"]], 50.0),
    ("cer", [""], [[""]], 0.0),
    ("exact", [""], [[""]], 100.0),
    ("rouge1", [""], [["a"]], 0.0),
    ("rougeL", ["a"], [[""]], 0.0),
]


@pytest.mark.parametrize(("name", "hypotheses", "references", "expected"), HAND)
def test_equals_the_value_worked_out_by_hand(
    name: str, hypotheses: list[str], references: list[list[str]], expected: float
) -> None:
    assert metric(name).corpus_score(hypotheses, references) == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_metric_that_knows_its_name(name: str) -> None:
    made = metric(name)
    assert made.name == name
    assert made.unit
    assert made.higher_is_better == (name not in {"ter", "word-error", "wer", "per", "cer"})


@pytest.mark.parametrize(
    ("name", "nearest"), [("blue", "bleu"), ("rouge-l", "rougeL"), ("chrF", "chrf"), ("word_error", "word-error")]
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InputError, match="unknown metric") as caught:
        metric(name)
    assert caught.value.fix == f"did you mean `{nearest}`?"
    assert caught.value.got == repr(name)


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(InputError, match="choose one of them"):
        metric("")


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("wer", "nrefs:1|case:mixed|symbols:words|best:rate|recipe:1"),
        ("cer", "nrefs:1|case:mixed|symbols:characters|best:rate|recipe:1"),
        ("word-error", "nrefs:1|case:mixed|match:any|recipe:1"),
        ("rouge2", "nrefs:1|case:lc|tok:unicode-words|stem:no|best:f1|recipe:1"),
    ],
)
def test_the_signature_says_the_recipe(name: str, signature: str) -> None:
    assert metric(name).signature([["a"], ["b"]]) == signature
    assert metric(name).signature([["a"], ["b", "c"]]) == signature.replace("nrefs:1", "nrefs:var")
    assert metric(name).signature([["a", "d"], ["b", "c"]]) == signature.replace("nrefs:1", "nrefs:2")


def test_bleu_of_a_short_sentence_is_not_zero() -> None:
    bleu = metric("bleu-tokenized")
    row = bleu.statistics("a b", ["a b"])
    assert bleu.score(row) == 0.0
    assert bleu.sentence_score(row) == pytest.approx(100.0)


@pytest.mark.parametrize(
    "text",
    ["Москва слезам не верит", "θάλασσα", "हिन्दी में", "ไทย", "العربية", "春眠不觉晓", "ひらがな", "한국어 문장", "été"],
)
@pytest.mark.parametrize("name", ["rouge1", "rougeL"])
def test_rouge_counts_every_script(name: str, text: str) -> None:
    assert metric(name).corpus_score([text], [[text]]) == 100.0


def test_rouge_takes_characters_where_words_are_not_spaced() -> None:
    assert metric("rouge1").corpus_score(["春眠不觉晓。"], [["春眠不知晓"]]) == pytest.approx(80.0)
    assert words("हिन्दी में") == ["हिन्दी", "में"]  # vowel signs do not end a word
    assert words("e\u0301te\u0301 É") == ["été", "é"]  # composed and decomposed letters are equal
    assert words("snake_case don't 3.5") == ["snake", "case", "don", "t", "3", "5"]


def test_equal_sources_are_grouped_in_the_order_first_seen() -> None:
    sources, references = group(["b", "a", "b", "b", "a"], ["1", "2", "3", "1", "4"])
    assert sources == ["b", "a"]
    assert references == [["1", "3"], ["2", "4"]]
    assert group([], []) == ([], [])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))))
def test_grouping_loses_no_pair_and_invents_none(pairs: list[tuple[str, str]]) -> None:
    sources, references = group([source for source, _ in pairs], [target for _, target in pairs])
    again = [(source, target) for source, known in zip(sources, references, strict=True) for target in known]
    assert set(again) == set(pairs)
    assert len(again) == len(set(again))
    first = [[source for source, _ in pairs].index(source) for source in sources]
    assert all(one < other for one, other in pairwise(first))


def test_counts_that_differ_are_said() -> None:
    with pytest.raises(InputError, match="one target") as caught:
        group(["a"] * 1234, ["b"])
    assert "1,234" in caught.value.expected
    assert "1 targets" in caught.value.got
    with pytest.raises(InputError, match="its references") as caught:
        metric("bleu").corpus(["a", "b"], [["a"]] * 3)
    assert "3 hypotheses" in caught.value.expected
    assert "2 hypotheses" in caught.value.got


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_corpus_has_no_score(name: str) -> None:
    with pytest.raises(InputError, match="empty corpus"):
        metric(name).corpus([], [])


def test_a_sentence_without_reference_is_named() -> None:
    with pytest.raises(InputError, match="at least one reference") as caught:
        check(["a", "b"], [["a"], []])
    assert caught.value.where == "sentence 2"


def test_a_string_in_the_place_of_a_list_is_an_error() -> None:
    with pytest.raises(InputError, match="lists of strings"):
        check(["a"], ["a"])
    with pytest.raises(InputError, match="lists of strings"):
        check("a", [["a"]])


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_the_reference_is_perfect(name: str) -> None:
    text = "the cat sat on the mat"
    measure = metric(name)
    best = pytest.approx(100.0 if measure.higher_is_better else 0.0)
    assert measure.corpus_score([text], [[text]]) == best
    assert measure.corpus_score([text, "on a big mat ."], [["dog", text], ["on a big mat ."]]) == best


@pytest.mark.parametrize("name", NAMES)
@given(corpus=CORPUS, data=st.data())
@settings(max_examples=20, deadline=None)
def test_order_does_not_matter(name: str, corpus: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    measure = metric(name)
    shuffled = data.draw(st.permutations(corpus))
    score = measure.corpus_score([text for text, _ in corpus], [known for _, known in corpus])
    turn = 1 if name == "chrf" else -1  # of references that score the same, sacreBLEU's chrF counts the first
    again = measure.corpus_score([text for text, _ in shuffled], [known[::turn] for _, known in shuffled])
    assert again == pytest.approx(score)
    assert score >= 0


@pytest.mark.parametrize("name", BEST_OF)
@given(text=SENTENCE, known=REFERENCES, more=SENTENCE)
@settings(max_examples=40, deadline=None)
def test_another_reference_never_makes_a_sentence_worse(name: str, text: str, known: list[str], more: str) -> None:
    measure = metric(name)
    before = measure.score(measure.statistics(text, known))
    after = measure.score(measure.statistics(text, [*known, more]))
    assert after >= before if measure.higher_is_better else after <= before


@given(text=SENTENCE, known=SENTENCE)
@settings(max_examples=60, deadline=None)
def test_edits_are_those_of_the_textbook(text: str, known: str) -> None:
    for name, one, other in (("wer", text.split(), known.split()), ("cer", list(text), list(known))):
        assert metric(name).statistics(text, [known]).tolist() == [_edits(one, other), len(other)]


def _edits(one: list[str], other: list[str]) -> int:
    """The table of Wagner and Fischer, row by row."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        above, row = row, [i]
        for j, right in enumerate(other, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right)))
    return row[-1]


def test_word_error_is_what_exact_leaves() -> None:
    hypotheses, references = ["a", "b", "c"], [["a"], ["x", "b"], ["d"]]
    exact, wrong = (metric(name).corpus_score(hypotheses, references) for name in ("exact", "word-error"))
    assert exact + wrong == pytest.approx(100.0)


def test_importing_the_metrics_imports_no_scorer_and_no_torch() -> None:
    code = "import sys, isthmus.text.metrics; print(*{'torch', 'sacrebleu', 'rapidfuzz'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
