"""Real photographs, through everything that a training run does to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from striate import data
from striate.contract import Contract, Resize

AUGMENTATION = (
    data.RandomResizedCrop(scale=(0.25, 1.0)),
    data.Flip(),
    data.ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
)


@pytest.fixture(scope="module")
def photographs(grocery: Path) -> data.Dataset:
    return data.open(str(grocery))


@pytest.fixture
def contract(photographs: data.Dataset) -> Contract:
    return Contract(
        classes=photographs.classes,
        channels="rgb",
        size=(64, 64),
        resize=Resize(rule="short_side", size=(73, 73)),
        crop="centre",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


def test_the_folder_is_as_its_authors_left_it(photographs: data.Dataset) -> None:
    assert {part: len(of) for part, of in photographs.parts.items()} == {"train": 1153, "test": 933}
    assert len(photographs.classes) == 24 and photographs.channels == "rgb"
    assert photographs.sizes().least == (160, 160) and photographs.sizes().most == (213, 213)
    assert (photographs.skipped, photographs.notes) == ((), ())


@pytest.mark.parametrize("augmentation", [(), AUGMENTATION], ids=["plain", "augmented"])
def test_batches_are_the_same_for_any_workers_and_start(
    photographs: data.Dataset, contract: Contract, augmentation: tuple[data.Augmentation, ...]
) -> None:
    samples = photographs.parts["train"].subset(np.arange(0, 1153, 8))
    epochs = []
    for workers in (0, 1, 2, 4):
        loader = data.Loader(
            samples,
            contract,
            batch=32,
            seed=0,
            augmentation=augmentation,
            shuffle=True,
            workers=workers,
        )
        epochs.append(list(loader.epoch(1)))
        resumed = list(loader.epoch(1, start=3))
        for one, other in zip(resumed, epochs[0][3:], strict=True):
            assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    for epoch in epochs[1:]:
        assert len(epoch) == 5
        for one, other in zip(epoch, epochs[0], strict=True):
            assert torch.equal(one.images, other.images)


def test_augmentation_leaves_the_statistics_about_alone(
    photographs: data.Dataset, contract: Contract
) -> None:
    """A wrong scale, sign or channel order would show at once."""
    samples = photographs.parts["train"].subset(np.arange(0, 1153, 8))
    figures = []
    for augmentation in ((), AUGMENTATION):
        loader = data.Loader(
            samples, contract, batch=145, seed=0, augmentation=augmentation, shuffle=False
        )
        images = next(iter(loader.epoch(0))).images
        figures.append(torch.stack([images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3))]))
    assert (figures[0] - figures[1]).abs().max() < 0.12
