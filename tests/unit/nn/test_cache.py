"""B row, T position, G key/value heads, K key size."""

from __future__ import annotations

import dataclasses

import torch

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
