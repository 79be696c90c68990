"""The doctor's visits to corpora in several directions, and what a model reads of the direction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import DataError
from isthmus.workflows.diagnose import visits
from isthmus.workflows.prepare import codec_of, corpora
from isthmus.workflows.recipe import Recipe
from tests.unit.data.test_doctor import clean

BACK = {"source_language": "fr", "target_language": "en"}


def both_ways(folder: Path, back: dict[str, str], **table: Any) -> Recipe:
    """Pairs in one direction and, of other texts, in the other."""
    for name, rows in (("pairs", clean(1009)), ("dev", clean(211, 1)), ("back", [(b, a) for a, b in clean(503, 2)])):
        (folder / f"{name}.tsv").write_text(
            "".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8"
        )
    data = {
        "root": str(folder),
        "train": [{"source": "pairs.tsv"}, {"source": "back.tsv", **back}],
        "dev": {"source": "dev.tsv"},
        "source_language": "en",
        "target_language": "fr",
    }
    return Recipe.of({"data": data, "train": {"steps": 1}, **table}, "test")


def test_a_set_is_compared_with_corpora_in_its_direction(tmp_path: Path) -> None:
    there, back = visits(both_ways(tmp_path, BACK), tmp_path)
    assert (there.diagnosis.pairs, back.diagnosis.pairs) == ({"train": 1009, "dev": 211}, {"train": 503})
    assert not there.diagnosis.fatal
    assert not back.diagnosis.fatal


def test_a_direction_that_nobody_named_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would ruin the run"):
        visits(both_ways(tmp_path, {}), tmp_path)[1].refuse()


def test_each_source_says_its_direction(tmp_path: Path) -> None:
    tokenizer = {"source": {"kind": "sentencepiece", "vocabulary_size": 448, "languages": ["en", "fr"]}}
    recipe = both_ways(tmp_path, BACK, codec={"language_tag": True}, tokenizer=tokenizer)
    found = corpora(recipe, tmp_path, tmp_path)
    codec = codec_of(recipe, found.train, tmp_path)
    vocabulary = codec.source.vocabulary
    tags = [{codec.source_ids(example)[0] for example in corpus.examples()} for corpus in found.train]
    assert tags == [{vocabulary.language("fr")}, {vocabulary.language("en")}]
