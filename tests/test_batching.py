"""Batches: every example once, in an order that (seed, epoch) alone decide."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import Memory
from textvae.batching import WINDOW, Batch, Batches


def collate(rows, rng=None):
    x = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, ids in zip(x, rows):
        row[: len(ids)] = torch.from_numpy(ids)
    return x


def batches(lengths, size, seed=0, shuffle=True, max_tokens=None, labels=None):
    arrays = [np.full(n, i + 1, np.int64) for i, n in enumerate(lengths)]
    return Batches(Memory(arrays, labels), collate, size, seed, shuffle, max_tokens)


LENGTHS = st.lists(st.integers(1, 60), max_size=200)


@settings(max_examples=80, deadline=None)
@given(LENGTHS, st.integers(1, 40), st.booleans(), st.none() | st.integers(1, 300), st.integers(0, 3))
def test_each_example_comes_once_and_no_batch_is_too_large(lengths, size, shuffle, max_tokens, epoch):
    cut = batches(lengths, size, 3, shuffle, max_tokens)
    plan = cut.plan(epoch)
    assert sorted(int(i) for rows in plan for i in rows) == list(range(len(lengths)))
    for rows in plan:
        assert 1 <= len(rows) <= size
        padded = len(rows) * max(lengths[i] for i in rows)
        assert max_tokens is None or padded <= max_tokens or len(rows) == 1
    if max_tokens is None and not shuffle:
        assert len(plan) == -(-len(lengths) // size)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_the_order_depends_on_seed_and_epoch_alone(lengths, size, epoch):
    plans = []
    for _ in range(2):
        fresh = batches(lengths, size, seed=4)
        list(fresh.epoch(1))  # what came before makes no difference
        np.random.seed(len(plans))
        plans.append([rows.tolist() for rows in fresh.plan(epoch)])
    assert plans[0] == plans[1]


def test_epochs_and_seeds_have_orders_of_their_own():
    lengths = [5] * 100
    plans = [batches(lengths, 10, seed).plan(epoch) for seed in range(3) for epoch in range(3)]
    assert len({str([rows.tolist() for rows in plan]) for plan in plans}) == 9
    still = batches(lengths, 10, shuffle=False)
    assert str(still.plan(0)) == str(still.plan(1))


def test_a_random_order_is_random_in_length_too():
    lengths = list(range(1, 401))
    means = [np.mean([lengths[i] for i in rows]) for rows in batches(lengths, 10).plan(0)]
    assert means != sorted(means)
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_little_is_padding():
    lengths = np.random.default_rng(0).geometric(0.06, 5000).clip(1, 100)
    sorted_, random = (
        1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in plan)
        for plan in (batches(lengths, 32).plan(0), np.split(np.random.default_rng(1).permutation(4992), 156))
    )
    assert sorted_ < 0.06 < 0.5 < random
    assert WINDOW * 32 < 5000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 7), st.integers(0, 12))
def test_an_epoch_from_a_batch_on_is_the_tail_of_the_whole(lengths, size, start):
    cut = batches(lengths, size, seed=1)
    whole = [batch.x.tolist() for batch in cut.epoch(2)]
    assert [batch.x.tolist() for batch in cut.epoch(2, start)] == whole[start:]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("max_tokens", [None, 10])
def test_nothing_gives_no_batches(shuffle, max_tokens):
    assert list(batches([], 4, shuffle=shuffle, max_tokens=max_tokens).epoch()) == []


def test_labels_stay_with_their_examples():
    lengths = [3, 1, 2, 5, 4, 6, 2]
    for batch in batches(lengths, 2, labels=[10, 11, 12, -1, 14, 15, 16]).epoch():
        for row, label in zip(batch.x, batch.y.tolist()):
            number = int(row[0]) - 1
            assert label == [10, 11, 12, -1, 14, 15, 16][number]
    assert batch.y.dtype == torch.int64
    assert next(iter(batches(lengths, 2).epoch())).y is None
    moved = Batch(torch.zeros(1), torch.zeros(1)).to(torch.device("meta"))
    assert moved.x.is_meta
    assert moved.y.is_meta


def test_each_batch_of_a_training_epoch_has_random_numbers_of_its_own_and_they_come_again():
    drawn = []

    def draw(rows, rng=None):
        drawn.append(None if rng is None else rng.random())
        return collate(rows)

    def numbers(shuffle, epoch=0, start=0, seed=0):
        drawn.clear()
        list(Batches(Memory([np.ones(3, np.int64)] * 40), draw, 4, seed, shuffle).epoch(epoch, start))
        return list(drawn)

    first = numbers(True)
    assert len(set(first)) == 10
    assert numbers(True, start=4) == first[4:], "a resumed epoch goes on with the same numbers"
    assert not set(first) & set(numbers(True, epoch=1))
    assert not set(first) & set(numbers(True, seed=1))
    assert numbers(False) == [None] * 10
