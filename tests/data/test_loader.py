"""The loader: the same images to the bit, whoever prepares them and wherever one starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from striate import data
from striate.contract import Class, Contract, Resize
from striate.data import Batch, Loader, Samples
from striate.errors import ContractError, DataError, UsageError

EVERYTHING = (
    data.RandomResizedCrop(scale=(0.3, 1.0)),
    data.PadAndCrop(pad=2),
    data.Flip(),
    data.Affine(rotate_degrees=20.0, translate=0.1, scale=(0.8, 1.2)),
    data.ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1),
    data.Erase(p=0.5),
)


@pytest.fixture
def arrays() -> Samples:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (43, 12, 10, 3), dtype=np.uint8)
    return data.ArraySamples(images, rng.integers(0, 2, 43), [str(n) for n in range(43)])


@pytest.fixture
def files(make_folder: Callable[..., Path]) -> Samples:
    return data.open(make_folder(cat=23, dog=20)).parts["all"]


@pytest.fixture(params=["arrays", "files"])
def samples(request: pytest.FixtureRequest) -> Samples:
    found: Samples = request.getfixturevalue(request.param)
    return found


def assert_threads_end() -> None:
    for thread in threading.enumerate():
        if "striate-loader" in thread.name:
            thread.join(10)
            assert not thread.is_alive()


def equal(ours: Iterator[Batch], theirs: list[Batch]) -> None:
    ours_all = list(ours)
    assert len(ours_all) == len(theirs)
    for one, other in zip(ours_all, theirs, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.indices.tolist() == other.indices.tolist()
        assert (one.total, one.offset) == (other.total, other.offset)


@pytest.mark.parametrize("augmentation", [(), EVERYTHING, EVERYTHING[1:3]], ids=str)
def test_workers_change_nothing(samples: Samples, rgb: Contract, augmentation: tuple) -> None:  # type: ignore[type-arg]
    def epoch(workers: int) -> Iterator[Batch]:
        loader = Loader(
            samples,
            rgb,
            batch=8,
            seed=3,
            augmentation=augmentation,
            shuffle=True,
            workers=workers,
        )
        return loader.epoch(2)

    undisturbed = list(epoch(0))
    assert undisturbed[0].images.shape == (8, 3, 12, 10)
    for workers in (1, 2, 4):
        equal(epoch(workers), undisturbed)


@pytest.mark.parametrize("workers", [0, 2])
def test_any_start_goes_on_the_same(samples: Samples, rgb: Contract, workers: int) -> None:
    loader = Loader(
        samples, rgb, batch=8, seed=3, augmentation=EVERYTHING, shuffle=True, workers=workers
    )
    undisturbed = list(loader.epoch(1))
    assert len(undisturbed) == loader.batches == 6
    for start in range(7):
        equal(loader.epoch(1, start), undisturbed[start:])


@pytest.mark.parametrize("world", [2, 3, 5])
def test_any_number_of_processes_sees_the_same(samples: Samples, rgb: Contract, world: int) -> None:
    def epoch(rank: int, world: int) -> list[Batch]:
        loader = Loader(
            samples,
            rgb,
            batch=8,
            seed=3,
            augmentation=EVERYTHING,
            shuffle=True,
            rank=rank,
            world=world,
        )
        return list(loader.epoch(4))

    for whole, *shares in zip(
        *[epoch(0, 1)], *[epoch(rank, world) for rank in range(world)], strict=True
    ):
        assert torch.equal(torch.cat([share.images for share in shares]), whole.images)
        assert torch.equal(torch.cat([share.labels for share in shares]), whole.labels)
        assert {share.total for share in shares} == {len(whole.labels)}
        ends = np.cumsum([len(share.labels) for share in shares])
        assert [share.offset for share in shares] == [0, *ends[:-1].tolist()]
        assert max(len(share.labels) for share in shares) - len(shares[-1].labels) <= 1


def test_every_image_is_seen_once_an_epoch(arrays: Samples, rgb: Contract) -> None:
    loader = Loader(arrays, rgb, batch=8, seed=0, shuffle=True)
    orders = [
        np.concatenate([each.indices for each in loader.epoch(epoch)]).tolist()
        for epoch in range(2)
    ]
    assert [sorted(order) for order in orders] == [list(range(43))] * 2
    assert orders[0] != orders[1]
    other = Loader(arrays, rgb, batch=8, seed=1, shuffle=True)
    assert np.concatenate([each.indices for each in other.epoch(0)]).tolist() not in orders


def test_without_shuffling_the_images_come_in_order(samples: Samples, rgb: Contract) -> None:
    loader = Loader(samples, rgb, batch=8, seed=0, shuffle=False, workers=2)
    indices = np.concatenate([each.indices for each in loader.epoch(5)])
    assert indices.tolist() == list(range(43))


@pytest.mark.parametrize(
    ("count", "batch", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 2]), (8, 4, [4, 4]), (0, 4, [])],
)
def test_a_last_batch_of_one_joins_the_one_before(
    arrays: Samples, rgb: Contract, count: int, batch: int, sizes: list[int]
) -> None:
    loader = Loader(arrays.subset(range(count)), rgb, batch=batch, seed=0, shuffle=True)
    assert [len(each.labels) for each in loader.epoch(0)] == sizes
    assert loader.batches == len(sizes)


def test_a_process_may_get_nothing(arrays: Samples, rgb: Contract) -> None:
    loader = Loader(
        arrays.subset([0, 1]),
        rgb,
        batch=8,
        seed=0,
        shuffle=False,
        rank=2,
        world=4,
        augmentation=EVERYTHING,
    )
    (share,) = loader.epoch(0)
    assert share.images.shape == (0, 3, 12, 10)
    assert (share.total, share.offset) == (2, 2)


@pytest.mark.parametrize("channels", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("size", [(12, 10), (8, 8)])
def test_without_augmentation_it_is_prepare(
    samples: Samples, channels: str, size: tuple[int, int]
) -> None:
    count = 1 if channels == "grey" else 3
    contract = Contract(
        classes=(Class(id="a", label="a"),),
        channels=channels,  # type: ignore[arg-type]
        size=size,
        resize=Resize(rule="exact", size=size),
        mean=(0.5, 0.4, 0.3)[:count],
        std=(0.2, 0.25, 0.3)[:count],
    )
    still = (data.PadAndCrop(pad=0), data.Flip(p=0.0), data.Erase(p=0.0))
    for augmentation in ((), still):
        loader = Loader(
            samples, contract, batch=43, seed=0, augmentation=augmentation, shuffle=False
        )
        (batch,) = loader.epoch(0)
        for row in range(43):
            expected = data.prepare(samples.pixels(row, contract), contract)
            assert (batch.images[row].numpy() == expected).all()


def test_a_file_that_goes_bad_is_named_and_no_thread_stays(
    make_folder: Callable[..., Path], rgb: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.data.verify.MEMORY", 0)
    root = make_folder(cat=10, dog=10)
    samples = data.open(root).parts["all"]
    (root / "dog" / "3.png").write_bytes(b"")
    loader = Loader(samples, rgb, batch=2, seed=0, shuffle=True, workers=2)
    with pytest.raises(DataError, match=rf"{root / 'dog' / '3.png'} is empty"):
        list(loader.epoch(0))
    assert_threads_end()


def test_an_epoch_left_early_leaves_no_thread(files: Samples, rgb: Contract) -> None:
    loader = Loader(files, rgb, batch=2, seed=0, shuffle=True, workers=2)
    epoch = loader.epoch(0)
    next(epoch)
    epoch.close()  # type: ignore[attr-defined]
    assert_threads_end()


def test_workers_do_not_run_away(rgb: Contract, arrays: Samples) -> None:
    """What is prepared ahead is bounded, however slow the network is."""
    loader = Loader(arrays, rgb, batch=1, seed=0, augmentation=EVERYTHING, shuffle=True, workers=2)
    made: list[int] = []
    make = loader.make

    def counted(*args: object) -> Batch:
        made.append(1)
        return make(*args)  # type: ignore[arg-type]

    loader.make = counted  # type: ignore[method-assign, assignment]
    epoch = loader.epoch(0)
    next(epoch)
    time.sleep(0.1)
    assert len(made) <= 5


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"workers": -1}, {"rank": 2, "world": 2}, {"rank": -1}]
)
def test_numbers_that_make_no_sense(arrays: Samples, rgb: Contract, wrong: dict[str, int]) -> None:
    arguments = {"batch": 4, "workers": 0, "rank": 0, "world": 1} | wrong
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        Loader(arrays, rgb, seed=0, shuffle=False, **arguments)  # type: ignore[arg-type]


def test_an_epoch_begins_at_its_first_batch_at_the_earliest(arrays: Samples, rgb: Contract) -> None:
    loader = Loader(arrays, rgb, batch=4, seed=0, shuffle=True)
    for wrong in ({"start": -1}, {"epoch": -1}):
        with pytest.raises(UsageError, match="of at least 0, received epoch="):
            loader.epoch(**{"epoch": 0, **wrong})
    assert list(loader.epoch(0, start=loader.batches)) == []


def test_weights_of_another_number_of_classes_are_refused(arrays: Samples, rgb: Contract) -> None:
    with pytest.raises(ContractError, match="Expected one weight for each of 2 classes, received"):
        Loader(
            arrays, rgb, batch=4, seed=0, shuffle=True, sampling=data.Sampling(classes=(1, 2, 3))
        )
