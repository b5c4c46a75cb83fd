"""Batches: every example once, in an order that (seed, epoch) alone decide."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import Memory
from textvae.batching import SAMPLE, WINDOW, Batch, Batches, shuffled
from textvae.codecs import CODECS


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
    plan = list(cut.plan(epoch))
    assert sorted(int(i) for rows in plan for i in rows) == list(range(len(lengths)))
    for rows in plan:
        assert 1 <= len(rows) <= size
        padded = len(rows) * max(lengths[i] for i in rows)
        assert max_tokens is None or padded <= max_tokens or len(rows) == 1
    if max_tokens is None:
        assert len(plan) == -(-len(lengths) // size)
    assert cut.planned() == len(list(cut.plan(0)))


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
    plans = [list(batches(lengths, 10, seed).plan(epoch)) for seed in range(3) for epoch in range(3)]
    assert len({str([rows.tolist() for rows in plan]) for plan in plans}) == 9
    still = batches(lengths, 10, shuffle=False)
    assert str(list(still.plan(0))) == str(list(still.plan(1)))


def test_a_random_order_is_random_in_length_too():
    lengths = list(range(1, 401))
    means = [np.mean([lengths[i] for i in rows]) for rows in batches(lengths, 10).plan(0)]
    assert means != sorted(means)
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_little_is_padding():
    lengths = np.random.default_rng(0).geometric(0.06, 5000).clip(1, 100)
    sorted_, random = (
        1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in plan)
        for plan in (list(batches(lengths, 32).plan(0)), np.split(np.random.default_rng(1).permutation(4992), 156))
    )
    assert sorted_ < 0.06 < 0.5 < random
    assert WINDOW * 32 < 5000


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 9), max_size=300), st.integers(1, 3), st.integers(0, 160), st.none() | st.integers(9, 20)
)
def test_an_epoch_from_a_batch_on_is_the_tail_of_the_whole(lengths, size, start, max_tokens):
    cut = batches(lengths, size, seed=1, max_tokens=max_tokens)
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


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 9), st.integers(0, 3))
def test_an_order_that_is_not_made_holds_every_number_once(n, seed, epoch):
    order = shuffled(np.arange(n), n, (seed, epoch))
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    some = np.random.default_rng(0).integers(0, n, 20)
    assert shuffled(some, n, (seed, epoch)).tolist() == order[some].tolist()


@pytest.mark.parametrize("n", [5, 16, 33])
def test_every_number_is_as_likely_at_every_place(n):
    counts = np.zeros((n, n))
    tries = 3000
    for seed in range(tries):
        counts[np.arange(n), shuffled(np.arange(n), n, (seed, 0))] += 1
    chi = ((counts - tries / n) ** 2 / (tries / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_in_a_large_order_have_nothing_to_do_with_each_other():
    order = shuffled(np.arange(200_000), 30_000_000, (1, 0))
    assert len(set(order.tolist())) == len(order)
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.01
    assert abs(order.mean() / 15_000_000 - 1) < 0.01


def test_the_length_of_a_long_epoch_under_a_token_budget_is_estimated():
    lengths = np.random.default_rng(0).integers(1, 30, 2 * (SAMPLE + 40) * WINDOW)
    cut = batches(lengths, 2, max_tokens=40)
    assert cut.planned() == pytest.approx(sum(1 for _ in cut.plan(0)), rel=0.01)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20), st.none() | st.integers(1, 200), st.integers(1, 7), st.integers(0, 30))
def test_processes_divide_every_batch_and_lose_and_double_nothing(lengths, size, max_tokens, processes, start):
    cut = batches(lengths, size, seed=2, max_tokens=max_tokens, labels=range(len(lengths)))
    parts = [list(cut.epoch(1, start, rank, processes)) for rank in range(processes)]
    assert len({len(part) for part in parts}) == 1
    for rows, *shares in zip(list(cut.plan(1))[start:], *parts):
        assert sum(batch.share for batch in shares) == pytest.approx(1)
        found = [i for batch in shares if batch.share for i in batch.y.tolist()]
        assert sorted(found) == sorted(rows.tolist())
        for batch in shares:
            assert batch.share == pytest.approx(len(batch.x) / len(rows) if batch.share else 0)
            assert len(batch.x) == len(batch.y) >= 1
            assert max(len(b.x) for b in shares) - len(batch.x) <= 1


def test_without_padding_to_save_lengths_are_mixed_in_every_batch():
    lengths = np.repeat([1, 100], 320).tolist()
    examples = Memory([np.ones(n, np.int64) for n in lengths])
    mixed = list(Batches(examples, collate, 32, by_length=False).plan(0))
    assert sorted(np.concatenate(mixed).tolist()) == list(range(640))
    assert all(0 < sum(lengths[i] > 1 for i in rows) < 32 for rows in mixed)
    assert {name for name in CODECS if CODECS.get(name).pads} == {"sentencepiece", "words", "captions"}
