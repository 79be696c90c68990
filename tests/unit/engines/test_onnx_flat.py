"""States as lists of tensors, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from isthmus.core.errors import BundleError
from isthmus.core.padded import Padded
from isthmus.engines.onnx.flat import Layout, flat_links
from isthmus.engines.onnx.folder import FORMAT, check_format
from isthmus.model.connections.connection import Link
from tests.laws.architectures import Architecture

KINDS = [
    Architecture("grouped", "slots", "grouped", "sinusoidal-all"),
    Architecture("grouped", "copying-covered", "grouped", "sinusoidal-all"),
    Architecture("gru-both-ways", "hierarchical", "bahdanau", "none-source-target"),
    Architecture("grouped", "joint", "grouped", "sinusoidal-all"),
]


def equal(one: Link, other: Link) -> bool:
    tensors = [(one.keys, other.keys), (one.values, other.values), (one.mask_BS, other.mask_BS)]
    assert (one.ids_BS is None) == (other.ids_BS is None)
    if one.ids_BS is not None and other.ids_BS is not None:
        tensors.append((one.ids_BS, other.ids_BS))
    tensors += zip(one.written, other.written, strict=True)
    parts = zip(one.parts, other.parts, strict=True)
    return all(torch.equal(*pair) for pair in tensors) and all(equal(*pair) for pair in parts)


@pytest.mark.parametrize("architecture", KINDS, ids=str)
def test_links_come_back_and_what_is_written_is_known(architecture: Architecture) -> None:
    model = architecture.model()
    state = model.start(model.encode(Padded.of([[5, 4, 6, 7], [8, 4, 9]])))
    layout, tensors = Layout.of(state), flat_links(state.links)
    assert all(equal(*pair) for pair in zip(layout.links_of(tensors), state.links, strict=True))
    _, after = model.step(torch.tensor([[5], [6]]), state)
    changed = [
        number
        for number, (one, other) in enumerate(zip(tensors, flat_links(after.links), strict=True))
        if one.shape != other.shape or not torch.equal(one, other)
    ]
    assert bool(changed) == bool(layout.written)
    assert set(changed) <= set(layout.written)


def test_nothing_is_written_into_a_one_way_link() -> None:
    model = KINDS[0].model()
    assert Layout.of(model.start(model.encode(Padded.of([[5, 6]])))).written == ()


@pytest.mark.parametrize("about", [{}, {"format": 1}, {"format": FORMAT + 1}])
def test_graphs_of_another_format_are_refused(tmp_path: Path, about: dict[str, int]) -> None:
    with pytest.raises(BundleError, match="graphs are of another format"):
        check_format(tmp_path, about)
