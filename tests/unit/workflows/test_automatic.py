"""What is chosen from the data alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from isthmus.core.runtime import Runtime
from isthmus.data.pairs import Pairs
from isthmus.workflows.automatic import automatic_recipe
from isthmus.workflows.recipe import Recipe

ENGLISH = "the a small large red old house tree dog bird sees likes finds near under with and then while never"
GERMAN = "der ein kleines großes rotes altes haus baum hund vogel sieht mag findet bei unter mit und dann während nie"


def corpus(folder: Path, rows: list[tuple[str, str]]) -> Pairs:
    path = folder / "pairs.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8")
    return Pairs(path)


def chosen(pairs: Pairs, minutes: float = 10.0, gflops: float = 250.0) -> Recipe:
    return automatic_recipe(pairs, None, None, minutes, Runtime("cpu", gflops={"float32": gflops}))


def sentences(count: int) -> list[tuple[str, str]]:
    draw = random.Random(5)
    english, german = ENGLISH.split(), GERMAN.split()
    made = []
    for number in range(count):
        picks = [draw.randrange(19) for _ in range(7)]
        source, target = (" ".join(words[pick] for pick in picks) for words in (english, german))
        made.append((f"{source} x{number}.", f"{target} y{number}."))
    return made


def test_sentences_get_one_vocabulary_of_pieces_and_bleu(tmp_path: Path) -> None:
    recipe = chosen(corpus(tmp_path, sentences(997)))
    assert recipe.tokenizer.joint
    assert recipe.tokenizer.source.kind == "sentencepiece"
    assert recipe.validation.metrics == ("bleu", "chrf")
    assert recipe.unit == "sentence"
    assert recipe.model.embedding.tied == "all"
    assert recipe.model.embedding.dropout == 0.3


def test_spelling_and_phonemes_get_characters_and_symbols(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = []
    for _ in range(997):
        letters = [draw.choice("abcdefgh") for _ in range(6)]
        rows.append(("".join(letters), " ".join(letter.upper() + "H" for letter in letters)))
    recipe = chosen(corpus(tmp_path, rows))
    assert (recipe.tokenizer.source.kind, recipe.tokenizer.joint) == ("characters", False)
    assert recipe.tokenizer.target is not None
    assert recipe.tokenizer.target.kind == "symbols"
    assert recipe.validation.metrics == ("word-error", "per")
    assert recipe.model.embedding.tied == "target"


def test_chinese_is_scored_by_character(tmp_path: Path) -> None:
    draw = random.Random(7)
    characters = [chr(0x4E00 + number) for number in range(499)]
    rows = [("".join(draw.choices(characters, k=7)), "".join(draw.choices(characters, k=7))) for _ in range(997)]
    assert chosen(corpus(tmp_path, rows)).validation.metrics[0] == "bleu-char"


@pytest.mark.parametrize(("minutes", "gflops"), [(0.5, 50.0), (600.0, 500.0)])
def test_more_time_never_makes_a_smaller_model(tmp_path: Path, minutes: float, gflops: float) -> None:
    pairs = corpus(tmp_path, sentences(1999))
    sizes = [chosen(pairs, minutes * factor, gflops).model.d_model for factor in (1, 10, 100)]
    assert sizes == sorted(sizes)


def test_positions_hold_the_longest_text(tmp_path: Path) -> None:
    long = " ".join(["word"] * 300)
    recipe = chosen(corpus(tmp_path, [*sentences(97), (long, long)]))
    assert recipe.codec.max_source_length >= 512
    assert isinstance(recipe.data.batch.tokens, int)
    assert recipe.data.batch.tokens >= recipe.codec.max_source_length
    assert recipe.model.embedding.positions.maximum == recipe.codec.max_source_length
