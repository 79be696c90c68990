"""Law 13 for those who look inside: asking for weights changes no output, and what is seen can be drawn for any architecture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from isthmus.core.padded import Padded
from isthmus.evaluate.attention import look
from isthmus.evaluate.inspect import inspect
from isthmus.evaluate.page import page
from isthmus.evaluate.projection import plane
from tests.laws.architectures import FAST, TARGET_SIZE, Architecture, agree, architectures, rows
from tests.unit.generate.tiny_bundle import tiny_bundle

BOS = 2
EACH_PART = tuple(
    dict.fromkeys(
        {
            (place, part): one for one in FAST for place, part in enumerate((one.encoder, one.connection, one.decoder))
        }.values()
    )
)
"""A few architectures in which every part occurs."""


@architectures
def test_looking_changes_nothing(architecture: Architecture) -> None:
    model = architecture.model()
    (source,), (target,) = rows(7), rows(5, size=TARGET_SIZE, seed=1)
    with torch.inference_mode():
        before = model(Padded.of([source]), Padded.of([[BOS, *target][:-1]]))[0]
        seen = look(model, (BOS,), source, target)
        after = model(Padded.of([source]), Padded.of([[BOS, *target][:-1]]))[0]
    assert torch.equal(before, after)
    torch.testing.assert_close(seen.log_probs_TV, before, rtol=1e-5, atol=1e-6)
    for heads_HTS in seen.layers:
        if heads_HTS is not None:
            assert heads_HTS.shape[1] == len(target)
            agree(heads_HTS.sum(dim=2), torch.ones(heads_HTS.shape[:2]))
    real = int(seen.memory.mask_BS.sum())
    assert plane(seen.memory.states_BSD[0][seen.memory.mask_BS[0]]).points_S2.shape == (real, 2)


@pytest.mark.parametrize("architecture", EACH_PART, ids=str)
def test_any_architecture_can_be_inspected(architecture: Architecture) -> None:
    other = tiny_bundle(generation={"max_length": 4, "num_beams": 2})
    size = other.codec.source.vocabulary.size
    bundle = replace(other, config=architecture.config, model=architecture.model(sizes=(size, size)))
    found = inspect(bundle, "ab cd", "dc ba")
    assert len(found.tokens) == len("dc ba") + 1
    assert found.layers
    for layer in found.layers:
        for head in (*layer.heads, *([layer.copy] if layer.copy else [])):
            assert [sum(row) for row in head] == pytest.approx([1.0] * len(found.tokens), abs=1e-4)
            assert {len(row) for row in head} == {len(layer.columns)}
    if all(not layer.heads for layer in found.layers):
        assert "has no attention weights" in found.notes[0]
    assert '"tree":[{"parent":-1' in page(found)


@pytest.mark.parametrize("start", [(BOS,), (BOS, 5, 6)])
def test_the_rows_are_those_of_the_output(start: tuple[int, ...]) -> None:
    model = next(one for one in FAST if one.connection == "attention").model()
    (source,), (target,) = rows(7), rows(5, size=TARGET_SIZE, seed=1)
    seen = look(model, start, source, target)
    assert seen.log_probs_TV.shape[0] == len(target)
    assert all(heads is None or heads.shape[1] == len(target) for heads in seen.layers)
