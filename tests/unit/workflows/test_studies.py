"""The studies that come with the project can be read, keep to their budget, and change what they say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from isthmus.data.pairs import Pairs
from isthmus.workflows.prepare import corpora
from isthmus.workflows.study_config import load_study
from tests.project.source import ROOT

STUDIES = sorted((ROOT / "studies").glob("*.toml"))


def test_there_are_studies() -> None:
    assert len(STUDIES) >= 4


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_can_be_read(path: Path) -> None:
    plan = load_study(path)
    assert (plan.config.minutes or 0) <= 8
    assert (plan.config.steps or 0) <= 2500
    assert len({recipe.model_dump_json() for recipe in plan.recipes}) == len(plan.recipes)
    assert len({recipe.data.model_dump_json() for recipe in plan.recipes}) == 1
    assert all(recipe.metrics == plan.config.metrics for recipe in plan.recipes)
    assert all(recipe.train.select.metric == "loss" for recipe in plan.recipes)


def test_the_joined_sentences_are_of_all_lengths(data_root: Path, tmp_path: Path) -> None:
    plan = load_study(ROOT / "studies" / "tatoeba-connections.toml")
    found = corpora(plan.recipes[0], plan.base, tmp_path)
    assert found.test is not None
    assert found.test.pairs == Pairs(data_root / "tatoeba-en-fr" / "test.tsv.gz", None, (), "en", "fr")
    lengths = [len(example.source.split()) for example in found.test.examples()]
    edges = [0, *plan.config.lengths, 10_000]
    counts = [sum(low < one <= high for one in lengths) for low, high in pairwise(edges)]
    assert min(counts[:-1]) >= 50, counts
    assert counts[-1] > 0, counts
