"""B row, T position, G key/value heads, K key size."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from isthmus.nn.attention import HeadSizes, SelfAttention, causal_allowed
from isthmus.nn.cache import KeyValueCache

B, G, K = 3, 2, 5


def filled(slots: int, rows: int = B) -> KeyValueCache:
    return KeyValueCache(torch.randn(rows, G, slots, K), torch.randn(rows, G, slots, K))


def test_rows_are_written_where_they_stand() -> None:
    cache = KeyValueCache.empty(B, G, K, torch.zeros(1)).grown(7)
    key, value = torch.randn(B, G, 2, K), torch.randn(B, G, 2, K)
    cache.write(key, value, torch.tensor([[0, 1], [5, 6], [2, 3]]))
    for row, start in enumerate((0, 5, 2)):
        assert torch.equal(cache.keys_BGSK[row, :, start : start + 2], key[row])
        assert torch.equal(cache.values_BGSK[row, :, start : start + 2], value[row])
        assert int((cache.keys_BGSK[row] != 0).any(dim=0).any(dim=-1).sum()) == 2


def test_growing_keeps_what_was_written_and_never_shrinks() -> None:
    cache = filled(4)
    grown = cache.grown(9)
    assert grown.capacity == 9
    assert torch.equal(grown.keys_BGSK[:, :, :4], cache.keys_BGSK)
    assert bool((grown.values_BGSK[:, :, 4:] == 0).all())
    assert grown.grown(3) is grown


def test_selecting_is_indexing() -> None:
    cache, rows = filled(4), torch.tensor([2, 2, 0])
    assert torch.equal(cache.select(rows).keys_BGSK, cache.keys_BGSK[rows])
    assert torch.equal(cache.select(rows).values_BGSK, cache.values_BGSK[rows])


def test_a_fork_shares_nothing() -> None:
    cache = filled(4)
    before, fork = cache.keys_BGSK.clone(), cache.fork()
    fork.write(torch.ones(B, G, 1, K), torch.ones(B, G, 1, K), torch.zeros(B, 1, dtype=torch.int64))
    assert torch.equal(cache.keys_BGSK, before)
    assert not torch.equal(fork.keys_BGSK, before)


def test_joining_caches_of_different_capacity() -> None:
    short, long = filled(2), filled(7, rows=2)
    joined = short.join((long,))
    assert joined.keys_BGSK.shape == (B + 2, G, 7, K)
    assert torch.equal(joined.keys_BGSK[:B, :, :2], short.keys_BGSK)
    assert torch.equal(joined.values_BGSK[B:], long.values_BGSK)


def test_what_is_written_takes_the_type_of_the_cache() -> None:
    cache = KeyValueCache.empty(B, G, K, torch.zeros(1, dtype=torch.bfloat16)).grown(2)
    cache.write(torch.ones(B, G, 1, K), torch.ones(B, G, 1, K), torch.zeros(B, 1, dtype=torch.int64))
    assert cache.keys_BGSK.dtype == torch.bfloat16
    assert bool((cache.keys_BGSK[:, :, 0] == 1).all())


def test_a_block_at_one_position_of_every_row_is_written_like_any_other() -> None:
    other = KeyValueCache.empty(B, G, K, torch.zeros(1)).grown(7)
    one = dataclasses.replace(other.fork(), used=0)
    for start, size in ((0, 3), (3, 1), (4, 2)):
        key, value = torch.randn(B, G, size, K), torch.randn(B, G, size, K)
        one = one.write(key, value, torch.zeros(B, size, dtype=torch.int64))
        other = other.write(key, value, torch.arange(start, start + size).expand(B, -1))
        keys, values = one.read()
        assert torch.equal(keys, other.keys_BGSK[:, :, : start + size])
        assert torch.equal(values, other.values_BGSK[:, :, : start + size])
        assert one.position_1S().tolist() == [list(range(start + size))]
    assert torch.equal(one.keys_BGSK, other.keys_BGSK)


def test_slots_that_nothing_was_written_into_are_not_copied() -> None:
    cache, rows = dataclasses.replace(filled(7), used=3), torch.tensor([2, 2, 0, 1])
    selected = cache.select(rows)
    assert (selected.capacity, selected.used) == (7, 3)
    assert torch.equal(selected.keys_BGSK[:, :, :3], cache.keys_BGSK[rows, :, :3])
    assert not selected.values_BGSK[:, :, 3:].any()


@pytest.mark.parametrize("block", [1, 3])
def test_beams_that_share_slots_read_what_they_would_read_alone(block: int) -> None:
    attention = SelfAttention(HeadSizes(7, 2, 2, 4)).eval()
    shared = attention.empty_past(2, torch.zeros(1))
    naive = dataclasses.replace(shared, sharing=False)
    generator = torch.Generator().manual_seed(3)
    moves = [[0, 0, 0, 1, 1, 1], [2, 0, 0, 3, 3, 4], [1, 1, 2, 5, 3, 3], [5, 4, 3], [2, 2, 0], [1], [0, 0]]
    groups, rows = [], 2
    with torch.no_grad():
        for number, move in enumerate([None, *moves]):
            if move is not None:
                shared, naive = shared.select(torch.tensor(move)), naive.select(torch.tensor(move))
                rows = len(move)
            groups.append(shared.group)
            x_BTD = torch.randn(rows, block, 7, generator=generator)
            position_BT = (number * block + torch.arange(block)).expand(rows, -1)
            read: list[tuple[torch.Tensor, KeyValueCache]] = []
            for cache in (shared, naive):
                roomy = cache.reserved((number + 1) * block)
                allowed = causal_allowed(block, roomy, position_BT, None)
                read_BTD, after = attention(x_BTD, allowed, position_BT, roomy)
                assert after is not None
                read.append((read_BTD, after))
            (found_BTD, shared), (expected_BTD, naive) = read
            torch.testing.assert_close(found_BTD, expected_BTD, rtol=1e-5, atol=1e-6)
            assert torch.equal(shared.rowwise().read()[0], naive.read()[0])
    assert groups == [1, 3, 3, 3, 3, 3, 1, 2]
