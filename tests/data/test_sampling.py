"""Which images an epoch shows: each once, in blocks, or classes in proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import data
from striate.contract import Class, Contract
from striate.data import Sampling
from striate.data.batch import Order
from striate.errors import ContractError, UsageError
from striate.randomness import stream

UNEVEN = np.repeat(np.arange(3), [60, 30, 7])
CONTRACT = Contract(
    classes=tuple(Class(id=each, label=each) for each in "abc"),
    channels="grey",
    size=(6, 6),
    mean=(0.5,),
    std=(0.2,),
)


def samples(labels: np.ndarray = UNEVEN) -> data.ArraySamples:
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 6, 6, 1)).astype(np.uint8)
    return data.ArraySamples(pixels, labels, [str(k) for k in range(len(labels))])


def test_as_found_is_the_order_there_always_was() -> None:
    drawn = Sampling().draw(UNEVEN, stream(3, "order", 1))
    expected = stream(3, "order", 1).permutation("images", len(UNEVEN))
    np.testing.assert_array_equal(drawn.indices, expected)
    assert not drawn.repeats.any()


def test_balanced_shows_classes_equally_often_and_images_of_a_class_too() -> None:
    drawn = Sampling(classes="balanced").draw(UNEVEN, stream(0))
    assert sorted(np.bincount(UNEVEN[drawn.indices]).tolist()) == [32, 32, 33]
    rare = np.bincount(drawn.indices, minlength=97)[90:]
    assert set(rare.tolist()) <= {4, 5}
    assert np.bincount(drawn.indices)[:60].max() == 1
    pairs = set(zip(drawn.indices.tolist(), drawn.repeats.tolist(), strict=True))
    assert len(pairs) == 97, "an image that comes again has another address"


def test_weights_are_proportions_and_nothing_is_a_class_that_is_not_there() -> None:
    drawn = Sampling(classes=(1.0, 0.0, 3.0)).draw(np.repeat([0, 1, 2], [50, 25, 25]), stream(0))
    counts = np.bincount(np.repeat([0, 1, 2], [50, 25, 25])[drawn.indices], minlength=3)
    assert counts.tolist() == [25, 0, 75]
    absent = np.array([0, 2, 2, 2])
    drawn = Sampling(classes="balanced").draw(absent, stream(0))
    assert np.bincount(absent[drawn.indices]).tolist() == [2, 0, 2]


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 5), st.integers(0, 69))
def test_blocks_are_a_permutation_read_from_few_places_at_a_time(
    blocks: int, block: int, seed: int, more: int
) -> None:
    count = blocks * block
    short = count + more
    order = Sampling(block=block).draw(np.zeros(short, np.int64), stream(seed)).indices
    np.testing.assert_array_equal(np.sort(order), np.arange(short))
    order = Sampling(block=block).draw(np.zeros(count, np.int64), stream(seed)).indices
    for first in range(0, count, 16 * block):
        touched = set((order[first : first + 16 * block] // block).tolist())
        assert len(touched) <= 16


def test_blocks_are_mixed_within_and_between() -> None:
    order = Sampling(block=10).draw(np.zeros(4000, np.int64), stream(1)).indices
    assert np.abs(np.diff(order)).mean() > 500, "neighbours in a batch are from all over"
    assert np.corrcoef(order, np.arange(4000))[0, 1] < 0.3
    another = Sampling(block=10).draw(np.zeros(4000, np.int64), stream(2)).indices
    assert (order != another).mean() > 0.9


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(classes="balanced"),
        Sampling(block=4),
        Sampling(last="pad"),
        Sampling(last="drop"),
        Sampling(classes=(1.0, 2.0, 1.0), last="pad"),
    ],
)
def test_processes_threads_and_resume_change_nothing(sampling: Sampling) -> None:
    flip = (data.Flip(), data.PadAndCrop(pad=1))

    def loader(rank: int = 0, world: int = 1, workers: int = 0) -> data.Loader:
        return data.Loader(
            samples(),
            CONTRACT,
            batch=16,
            seed=5,
            augmentation=flip,
            shuffle=True,
            rank=rank,
            world=world,
            workers=workers,
            sampling=sampling,
        )

    whole = [batch.images.numpy() for batch in loader().epoch(2)]
    threads = [batch.images.numpy() for batch in loader(workers=3).epoch(2)]
    resumed = [batch.images.numpy() for batch in loader(workers=2).epoch(2, 3)]
    halves = [
        np.concatenate([one.images.numpy(), other.images.numpy()])
        for one, other in zip(loader(0, 2).epoch(2), loader(1, 2).epoch(2), strict=True)
    ]
    for found, expected in ((threads, whole), (halves, whole), (resumed, whole[3:])):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("last", "rows"), [("keep", [4, 5]), ("drop", [4, 4]), ("pad", [4] * 3)])
def test_the_last_batch(last: str, rows: list[int]) -> None:
    order = Order(np.zeros(9, np.int64), 4, 0, 0, 1, Sampling(last=last))
    shares = order.epoch(0)
    assert [len(each.indices) for each in shares] == rows and order.batches == len(rows)
    if last == "pad":
        chances = np.concatenate([each.chances for each in shares])
        assert len(set(chances.tolist())) == 12, "images that fill a batch are augmented anew"
        np.testing.assert_array_equal(shares[2].indices[1:], shares[0].indices[:3])


def test_padding_more_than_there_is() -> None:
    (share,) = Order(np.zeros(3, np.int64), 8, 0, 0, 1, Sampling(last="pad")).epoch(0)
    assert len(share.indices) == 8 and len(set(share.chances.tolist())) == 8


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="received 3 images and batch=8"):
        Order(np.zeros(3, np.int64), 8, 0, 0, 1, Sampling(last="drop"))
    with pytest.raises(ValueError, match="block=0 where classes are weighted"):
        Sampling(classes="balanced", block=4)
    with pytest.raises(ContractError, match="each of 2 classes, received 3"):
        Sampling(classes=(1.0, 1.0, 1.0)).check(2)
