"""Images on a device are changed as the processor's kernel changes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from striate.contract import Class, Contract, Resize
from striate.data.augmentation import (
    Affine,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    PadAndCrop,
    RandomResizedCrop,
)
from striate.data.augmenter import Augmenter
from striate.data.batched import augment_batch
from striate.data.bending import LensDistortion, Perspective, ShortSideCrop, Stretch
from striate.data.tones import Lighting, TrivialAugment
from striate.errors import UsageError
from striate.randomness import stream

PARTS = ((0.1, 0.08, 0.02), (0.0, 0.03, -0.04))
CHANGES: dict[str, tuple[Any, ...]] = {
    "crop": (RandomResizedCrop(), Flip()),
    "short_side": (ShortSideCrop(short_side=(30, 60)),),
    "turned": (Affine(rotate_degrees=40, translate=0.2, scale=(0.4, 2.0), shear=0.2),),
    "edge": (Affine(rotate_degrees=40, scale=(0.5, 1.0), fill="edge"), Stretch(fill="edge")),
    "reflect": (Affine(rotate_degrees=9, scale=(0.4, 1.0), fill="reflect"),),
    "mean": (Perspective(p=1.0, fill="mean"), Flip()),
    "bent": (Affine(scale=(0.5, 2.0)), LensDistortion(), Perspective(p=1.0), PadAndCrop()),
    "colour": (
        RandomResizedCrop(),
        ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        Lighting(components=PARTS),
    ),
    "holes": (Flip(), Erase(p=1.0), Cutout(size=9)),
}


def augmenter(changes: Any, size: tuple[int, int] = (28, 24)) -> Augmenter:
    return Augmenter(
        changes,
        Contract(
            classes=(Class(id="a", label="a"),),
            channels="rgb",
            size=size,
            resize=Resize(rule="short_side", size=(32, 32)),
            crop="centre",
            mean=(0.4, 0.5, 0.6),
            std=(0.2, 0.25, 0.3),
        ),
    )


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_the_processors_kernel(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 50, 70, 3)).astype(np.uint8)
    ours = augmenter(CHANGES[name])
    if ours.copies:  # then images are of the network's size already
        images = np.ascontiguousarray(images[:, :28, :24])
    draws = ours.draw(stream(2, np.arange(6)))
    expected = np.empty((6, 3, 28, 24), np.float32)
    ours.apply_all(draws, images, np.arange(6), expected)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    for given in (tensor, tensor.float()):
        received = augment_batch(ours, draws, given).numpy()
        assert received.dtype == np.float32
        assert np.abs(received - expected).max() < 2e-4  # of 4 or so: float32 rounding
    assert len(np.unique(expected.reshape(6, -1)[:, 40])) > 1


def test_what_needs_the_processor_says_so() -> None:
    ours = augmenter((TrivialAugment(),))
    draws = ours.draw(stream(0, np.arange(2)))
    with pytest.raises(UsageError, match="TrivialAugment are made on the processor"):
        augment_batch(ours, draws, torch.zeros(2, 3, 40, 40))
