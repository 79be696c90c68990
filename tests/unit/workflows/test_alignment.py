"""Which head is a word alignment is found out after a training, and stands in the bundle."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from isthmus.data.corpora import Corpus
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs
from isthmus.evaluate.alignment_choice import FEWEST, choose_alignment_head
from isthmus.evaluate.attention import look
from isthmus.evaluate.inspect import inspect
from isthmus.generate.alignment import Looked, aligned
from isthmus.generate.alignment_head import FIELD, AlignmentHead, alignment_head
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.model.bundle import Bundle
from isthmus.text.vocabulary import BOS
from isthmus.workflows.alignment import note_alignment
from tests.unit.evaluate.test_evaluate_inspect import fixed_vector_bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

WORDS = [one + other for one in "abcdefgh" for other in "abcdefgh"]


def examples(count: int, seed: int = 1) -> list[Example]:
    """Word for word by a dictionary, backwards."""
    generator = random.Random(seed)
    found = []
    for _ in range(count):
        words = generator.sample(WORDS, generator.randint(2, 5))
        found.append(Example((" ".join(words),), " ".join(word[::-1].upper() for word in reversed(words))))
    return found


def corpus(path: Path, pairs: list[Example]) -> Corpus:
    path.write_text("".join(f"{one.source}\t{one.target}\n" for one in pairs), encoding="utf-8")
    return Corpus(Pairs(path))


def test_the_choice_stands_in_the_bundle_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = tmp_path / "best"
    tiny_bundle({"unit": "sentence"}).save(folder, "# A card\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    dev, train = corpus(tmp_path / "dev.tsv", examples(60)), corpus(tmp_path / "train.tsv", examples(200, seed=2))
    note_alignment(folder, dev, train)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"config.json", "manifest.json"}
    bundle = Bundle.load(folder)
    chosen = alignment_head(bundle)
    assert isinstance(chosen, AlignmentHead)
    assert chosen.links >= FEWEST
    assert chosen.error <= chosen.error_of_mean
    assert bundle.info["unit"] == "sentence"
    assert f"layer {chosen.layer + 1}" in inspect(bundle, "ab cd").alignment.origin
    note_alignment(folder, dev, train)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == after


@pytest.mark.parametrize(("layer", "head"), [(0, 2), (0, None), (1, 0)])
def test_generation_looks_where_the_noted_head_looks(layer: int, head: int | None) -> None:
    noted = {"layer": layer, "head": head, "error": 0.0, "error_of_mean": 0.0, "links": 1}
    bundle = tiny_bundle({"unit": "sentence", FIELD: noted})
    text, asked = "ab cd ef", GenerationOptions(num_beams=1, alignment=True, attention=True, guards=False)
    answer = translator(bundle).answers([text], asked)[0]
    hypothesis = answer.hypotheses[0]
    part, source = hypothesis.parts[0], bundle.codec.source_ids(Example((text,), ""))
    weights = look(bundle.model, (BOS,), source, part.ids).head(AlignmentHead.model_validate(noted))
    assert weights is not None
    assert part.attention_TS is not None
    torch.testing.assert_close(part.attention_TS[: len(part.ids)], weights)
    links = inspect(bundle, text, hypothesis.text).alignment.links
    assert [(one.source, one.target) for one in hypothesis.alignment] == [(one.source, one.target) for one in links]


def test_the_chosen_head_has_the_fewest_errors_by_the_dictionary_too() -> None:
    """The judge knows nothing of the dictionary that the texts were made with, and yet counts the same errors."""
    dev, train = examples(40), examples(300, seed=2)
    bundle = tiny_bundle()
    chosen = choose_alignment_head(bundle, dev, train)
    assert chosen is not None
    errors = {(layer, head): 0 for layer in range(2) for head in (None, 0, 1, 2, 3)}
    for pair in dev:
        source, target = bundle.codec.source_ids(pair), bundle.codec.target_ids(pair)
        seen = look(bundle.model, (BOS,), source, target)
        for layer, head in errors:
            weights = seen.head(chosen.model_copy(update={"layer": layer, "head": head}))
            assert weights is not None
            links = aligned(pair.source, pair.target, [Looked(source, 0, target[:-1], weights)], bundle.codec)
            errors[layer, head] += sum(link.source.text[::-1].upper() != link.target.text for link in links)
    total = sum(len(pair.target.split()) for pair in dev)
    assert errors[chosen.layer, chosen.head] <= min(errors.values()) + 0.02 * total
    assert chosen.error == pytest.approx(errors[chosen.layer, chosen.head] / total, abs=0.05)
    assert chosen.error_of_mean == pytest.approx(errors[1, None] / total, abs=0.05)


@pytest.mark.parametrize(
    ("bundle", "dev"),
    [
        (tiny_bundle(), []),
        (tiny_bundle(), examples(5)),
        (tiny_bundle(), [Example(("abcd",), "DCBA")] * 200),
        (tiny_bundle(), [Example(("ab cd", "ef"), "DC BA")] * 200),
        (fixed_vector_bundle(), examples(60)),
    ],
    ids=["no pairs", "few pairs", "single words", "several sources", "no weights"],
)
def test_where_nothing_can_be_said_nothing_is_chosen(bundle: Bundle, dev: list[Example]) -> None:
    assert choose_alignment_head(bundle, dev, dev) is None


def test_pairs_that_do_not_fit_the_model_are_passed_over() -> None:
    long = Example(("ab " * 60,), "AB " * 60)
    with_long = choose_alignment_head(tiny_bundle(), [long, *examples(60)], [])
    assert with_long is not None
