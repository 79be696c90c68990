"""B batch, S source position, D model."""

from __future__ import annotations

import pytest
import torch

from isthmus.model.connections.connection import Link
from isthmus.model.memory import Memory


def memory(rows: int, width: int, layers: int = 2, summary: bool = True) -> Memory:
    return Memory(
        torch.randn(rows, width, 5),
        torch.rand(rows, width) > 0.5,
        torch.randn(rows, 5) if summary else None,
        tuple(torch.randn(rows, width, 5) for _ in range(layers)),
    )


def test_selecting_is_indexing() -> None:
    one, rows = memory(3, 7), torch.tensor([2, 0, 2])
    found = one.select(rows)
    assert torch.equal(found.states_BSD, one.states_BSD[rows])
    assert torch.equal(found.mask_BS, one.mask_BS[rows])
    assert found.summary_BD is not None
    assert one.summary_BD is not None
    assert torch.equal(found.summary_BD, one.summary_BD[rows])
    assert [torch.equal(a, b[rows]) for a, b in zip(found.layers, one.layers, strict=True)] == [True, True]
    bare = memory(3, 7, 0, summary=False).select(rows)
    assert bare.summary_BD is None
    assert bare.layers == ()


def test_repeating_keeps_rows_together() -> None:
    one = memory(2, 3)
    assert torch.equal(one.repeat(3).states_BSD, one.states_BSD[torch.tensor([0, 0, 0, 1, 1, 1])])
    assert one.repeat(0).mask_BS.shape == (0, 3)


def test_several_sources_are_one_memory() -> None:
    one, two = memory(3, 7), memory(3, 2)
    joined = Memory.concat([one, two])
    assert torch.equal(joined.states_BSD, torch.cat([one.states_BSD, two.states_BSD], dim=1))
    assert torch.equal(joined.mask_BS, torch.cat([one.mask_BS, two.mask_BS], dim=1))
    assert one.summary_BD is not None
    assert two.summary_BD is not None
    torch.testing.assert_close(joined.summary_BD, (one.summary_BD + two.summary_BD) / 2)
    assert [layer.shape for layer in joined.layers] == [(3, 9, 5)] * 2
    assert Memory.concat([one, memory(3, 2, summary=False)]).summary_BD is None
    alone = Memory.concat([one])
    assert torch.equal(alone.states_BSD, one.states_BSD)


def test_moving_moves_everything() -> None:
    moved = memory(3, 7).to("meta")
    assert moved.summary_BD is not None
    tensors = [moved.states_BSD, moved.mask_BS, moved.summary_BD, *moved.layers]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert memory(3, 7, summary=False).to("meta").summary_BD is None


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        memory(1, 1).mask_BS = torch.zeros(1, 1)  # type: ignore[misc]


def link(rows: int, width: int) -> Link:
    mask_BS = torch.rand(rows, width) > 0.5
    return Link(torch.randn(rows, 2, width, 3), torch.randn(rows, width, 5), mask_BS, (torch.randn(rows, width, 1),))


def test_a_link_selects_and_repeats() -> None:
    one, rows = link(3, 7), torch.tensor([1, 1, 0, 2])
    found = one.select(rows)
    assert torch.equal(found.keys, one.keys[rows])
    assert torch.equal(found.values, one.values[rows])
    assert torch.equal(found.mask_BS, one.mask_BS[rows])
    assert torch.equal(found.written[0], one.written[0][rows])
    assert one.repeat(2).rows == 6
    assert torch.equal(one.repeat(2).mask_BS, one.mask_BS.repeat_interleave(2, dim=0))
    assert one.readers(12) == 4
    assert link(0, 7).readers(0) == 1


def test_links_of_sources_of_different_lengths_join() -> None:
    long, short = link(2, 7), link(3, 4)
    joined = Link.join([long, short])
    assert (joined.rows, joined.mask_BS.shape, joined.keys.shape) == (5, (5, 7), (5, 2, 7, 3))
    assert torch.equal(joined.mask_BS[2:, :4], short.mask_BS)
    assert not bool(joined.mask_BS[2:, 4:].any())
    assert torch.equal(joined.keys[2:, :, :4], short.keys)
    assert torch.equal(joined.values[:2], long.values)
    assert torch.equal(joined.written[0][2:, :4], short.written[0])
    assert bool((joined.written[0][2:, 4:] == 0).all())


def test_links_inside_links_and_ids_go_along() -> None:
    first, second = (
        Link(one.keys, one.values, one.mask_BS, parts=(one,), ids_BS=torch.randint(4, 9, one.mask_BS.shape))
        for one in (link(2, 7), link(3, 4))
    )
    joined = Link.join([first, second])
    assert first.by_row
    assert not Link(first.keys, first.values, first.mask_BS).by_row
    assert first.ids_BS is not None
    assert second.ids_BS is not None
    assert joined.ids_BS is not None
    assert torch.equal(joined.ids_BS[2:, :4], second.ids_BS)
    assert torch.equal(joined.ids_BS[:2], first.ids_BS)
    assert torch.equal(joined.parts[0].written[0][2:, :4], second.parts[0].written[0])
    rows = torch.tensor([4, 0])
    found = joined.select(rows)
    assert found.ids_BS is not None
    assert torch.equal(found.ids_BS, joined.ids_BS[rows])
    assert torch.equal(found.parts[0].keys, joined.parts[0].keys[rows])
