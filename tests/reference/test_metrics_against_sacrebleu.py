"""Our BLEU, chrF and TER, their intervals and p-values against sacreBLEU as its users call it."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics.base import Metric as Scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest, Result

from isthmus.evaluate import compare, evaluate
from isthmus.text.metrics import metric

TEXT = "The the a cat dog sat on mat, house. ran 'big' red (quickly) over été 3.5 l'eau under 春眠 lazy fox ."
WORDS = TEXT.split()
SIZE = 61


def oracle(name: str) -> Scorer:
    match name:
        case "bleu":
            return BLEU()
        case "bleu-tokenized":
            return BLEU(tokenize="none", force=True)
        case "bleu-zh":
            return BLEU(tokenize="zh")
        case "bleu-char":
            return BLEU(tokenize="char")
        case "chrf":
            return CHRF()
        case _:
            return TER()


ALL = ("bleu", "bleu-tokenized", "bleu-zh", "bleu-char", "chrf", "ter")


def corpus(noise: float, seed: int, empty: bool = False) -> tuple[list[str], list[list[str]]]:
    """Noisy copies of random sentences, each with one to three references, a few of either empty if asked for."""
    source, random = np.random.default_rng(5), np.random.default_rng(seed)
    hypotheses, references = [], []
    for index in range(SIZE):
        first = [str(word) for word in source.choice(WORDS, size=source.integers(1, 13))]
        others = [" ".join(map(str, source.permutation(first)[:7])) for _ in range(index % 3)]
        written = [str(random.choice(WORDS)) if random.random() < noise else word for word in first]
        hypotheses.append("" if empty and index % 7 == 0 else " ".join(written))
        references.append(["" if empty and index % 11 == 0 else " ".join(first), *others])
    return hypotheses, references


def streams(references: list[list[str]]) -> list[list[str | None]]:
    """As sacreBLEU takes references: the first of every sentence, then the second, ..., None where there is none."""
    most = max(map(len, references))
    return [[known[at] if at < len(known) else None for known in references] for at in range(most)]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_corpus_score_and_signature_are_sacrebleus(name: str, empty: bool) -> None:
    hypotheses, references = corpus(0.3, seed=1, empty=empty)
    scorer = oracle(name)
    for known in (references, [[row[0]] for row in references]):
        expected = scorer.corpus_score(hypotheses, streams(known)).score  # type: ignore[arg-type]
        assert metric(name).corpus_score(hypotheses, known) == expected
        assert metric(name).signature(known) == str(scorer.get_signature())
        assert 5 < expected < 100


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_sentence_score_is_sacrebleus(name: str) -> None:
    hypotheses, references = corpus(0.3, seed=2, empty=True)
    scorer = BLEU(effective_order=True) if name == "bleu" else oracle(name)
    measure = metric(name)
    for text, known in zip(hypotheses, references, strict=True):
        assert measure.sentence_score(measure.statistics(text, known)) == scorer.sentence_score(text, known).score


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_the_interval_is_as_wide_as_sacrebleus(name: str) -> None:
    hypotheses, references = corpus(0.3, seed=3)
    theirs = oracle(name).corpus_score(hypotheses, streams(references), n_bootstrap=1000)  # type: ignore[arg-type]
    ours = evaluate(hypotheses, references, [name]).scores[0]
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=1e-3)  # theirs: sums in float32


def paired(test: str, a: list[str], b: list[str], references: list[list[str]]) -> dict[str, tuple[Result, Result]]:
    """SacreBLEU's results for both systems, by metric."""
    scorers = {name: oracle(name) for name in ("bleu", "chrf", "ter")}
    systems = [("a", a), ("b", b)]
    _, found = PairedTest(systems, scorers, streams(references), test_type=test)()  # type: ignore[arg-type]
    results: dict[str, tuple[Result, Result]] = {}
    for name, key in (("bleu", "BLEU"), ("chrf", "chrF2"), ("ter", "TER")):
        first, second = found[key]
        assert isinstance(first, Result)
        assert isinstance(second, Result)
        results[name] = (first, second)
    return results


@pytest.mark.parametrize("seed", [4, 6, 8])
def test_p_values_are_sacrebleus(seed: int) -> None:
    (a, references), (b, _) = corpus(0.30, seed=seed), corpus(0.34, seed=seed + 1)
    ours = {found.metric: found for found in compare(a, b, references, ["bleu", "chrf", "ter"], a).comparisons}
    bootstrap, randomized = paired("bs", a, b, references), paired("ar", a, b, references)
    for name, found in ours.items():
        first, second = bootstrap[name]
        assert (found.a.value, found.b.value) == (first.score, second.score)
        assert (found.b.high - found.b.low) / 2 == pytest.approx(second.ci, rel=1e-3)
        assert found.p_value == pytest.approx(second.p_value, abs=2 / 1001)  # theirs: sums in float32
        exchanged = randomized[name][1].p_value
        assert exchanged is not None
        if (
            name == "ter"
        ):  # edits are few and whole: many exchanges equal the observed difference, which theirs leaves out
            assert exchanged <= found.randomized_p_value <= exchanged + 0.1
        else:
            assert found.randomized_p_value == exchanged
        assert found.p_value < 0.95
