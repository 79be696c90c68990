"""Random segmentations: their probabilities, and that a process of its own draws the same."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.text.build import load_tokenizer, train_tokenizer
from isthmus.text.segmentation import MergeSegmenter, UnigramSegmenter
from isthmus.text.sentencepiece_tokenizer import SentencePieceTokenizer
from isthmus.text.tokenizer import SentencePieceConfig
from tests.unit.text.test_sentencepiece_tokenizer import corpus

SCORES = {"a": -2.0, "b": -3.0, "ab": -2.5, "ba": -3.5, "aba": -4.0, "bb": -5.0}


def cuts(word: str) -> list[tuple[str, ...]]:
    """All segmentations, by trying every set of places to cut."""
    found = []
    for places in itertools.product((False, True), repeat=len(word) - 1):
        ends = [place for place, cut in enumerate(places, 1) if cut]
        pieces = tuple(word[a:b] for a, b in itertools.pairwise([0, *ends, len(word)]))
        if all(piece in SCORES or len(piece) == 1 for piece in pieces):
            found.append(pieces)
    return found


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_every_segmentation_comes_as_often_as_its_probability(alpha: float) -> None:
    word, draws, chance = "abbaxab", 20_000, random.Random(1)
    weights = {
        cut: math.exp(alpha * sum(SCORES.get(piece, min(SCORES.values()) - 10) for piece in cut)) for cut in cuts(word)
    }
    segmenter = UnigramSegmenter(SCORES, alpha)
    seen = Counter(tuple(segmenter.draw(word, chance)) for _ in range(draws))
    assert len(weights) == 10
    assert set(seen) <= set(weights)
    for cut, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(seen[cut] / draws - share) < 5 * math.sqrt(share * (1 - share) / draws) + 1e-9


def test_merges_are_all_made_without_dropout_and_none_with_all_of_it() -> None:
    chance = random.Random(1)
    assert MergeSegmenter(SCORES, 0.0).draw("abbab", chance) == ["ab", "b", "ab"]
    assert MergeSegmenter(SCORES, 1.0).draw("abbab", chance) == list("abbab")
    assert len({tuple(MergeSegmenter(SCORES, 0.5).draw("abbab", chance)) for _ in range(99)}) > 2


def test_long_words_are_cut_as_short_ones_are() -> None:
    for length in (1, 24, 25, 300):
        assert "".join(UnigramSegmenter(SCORES, 0.2).draw("ab" * length, random.Random(2))) == "ab" * length
    assert UnigramSegmenter(SCORES, 0.2).draw("", random.Random(2)) == []


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tame(request: pytest.FixtureRequest) -> SentencePieceTokenizer:
    """A tokenizer so tame that what it draws is its best segmentation."""
    sampling = 1.0 if request.param == "unigram" else 1e-12
    values = {"model": request.param, "vocabulary_size": 440, "sampling": sampling, "user_pieces": ("<name>", "<n")}
    tokenizer = train_tokenizer(SentencePieceConfig.model_validate(values), corpus())
    assert isinstance(tokenizer, SentencePieceTokenizer)
    if request.param == "unigram":
        tokenizer._segmenter = UnigramSegmenter(tokenizer.scores(), 1000.0)
    return tokenizer


@settings(max_examples=200)
@given(text=st.text(st.sampled_from("the old cat<nm>writes. é☃▁"), max_size=40))
def test_with_the_least_of_chance_it_is_what_sentencepiece_gives(tame: SentencePieceTokenizer, text: str) -> None:
    assert tame.decode(tame.sample(text, 3)) == text
    score = tame._processor.get_score

    def worth(ids: list[int]) -> float:
        return sum(score(id) for id in ids if id not in tame._user_ids)

    if tame.config.model == "bpe":
        assert tame.sample(text, 3) == tame.encode(text)
    elif not any(piece in text for piece in tame.config.user_pieces):
        assert tame.sample(text, 3) == tame.encode(text) or worth(tame.sample(text, 3)) == pytest.approx(
            worth(tame.encode(text)), abs=1e-2
        )


PROGRAM = """
import sys
from pathlib import Path
from isthmus.text.build import load_tokenizer
tokenizer = load_tokenizer(Path(sys.argv[1]), "pieces")
print([tokenizer.sample("the small dog never writes to <name>", seed) for seed in range(50)])
"""


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_another_process_draws_the_same(tmp_path: Path, model: str) -> None:
    values = {"model": model, "vocabulary_size": 440, "sampling": 0.2}
    train_tokenizer(SentencePieceConfig.model_validate(values), corpus()).save(tmp_path, "pieces")
    said = [
        subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    here = load_tokenizer(tmp_path, "pieces")
    drawn = [here.sample("the small dog never writes to <name>", seed) for seed in range(50)]
    assert len(set(map(tuple, drawn))) > 3
    assert said[0].stdout == said[1].stdout == f"{drawn}\n"
