"""Augmentation as a whole, weaker and stronger."""

from __future__ import annotations

import pytest

from striate import data
from striate.data import Affine, Augmentation, ColourJitter, Cutout, Erase, Flip, PadAndCrop
from striate.data import RandomResizedCrop as Crop
from striate.errors import UsageError
from striate.records import kinds
from striate.search.strength import strengthened

EACH: tuple[Augmentation, ...] = (
    Flip(), PadAndCrop(), Affine(rotate_degrees=10, scale=(0.9, 1.1)), Crop(),
    ColourJitter(brightness=0.4, hue=0.1), Erase(), Cutout(),
    data.Stretch(), data.Perspective(), data.LensDistortion(), data.ShortSideCrop(),
    data.Lighting(), data.Noise(), data.RandAugment(), data.TrivialAugment(),
)  # fmt: skip


def test_every_kind_of_augmentation_has_a_strength() -> None:
    every = {
        each for each in kinds(Augmentation).values() if each.__module__.startswith("striate.")
    }
    assert {type(each) for each in EACH} == every  # an example may have added one of its own
    for each in EACH:
        assert strengthened((each,), 1.0) == (each,)
        assert strengthened((each,), 3.0)[0].replace() is not None  # its own checks pass
        assert strengthened((each,), 0.0) == ()


def test_twice_is_twice() -> None:
    pad, affine = strengthened((PadAndCrop(pad=3), Affine(rotate_degrees=5)), 2.0)
    assert pad == PadAndCrop(pad=6)
    assert affine == Affine(rotate_degrees=10)


def test_no_strength_is_below_none() -> None:
    with pytest.raises(UsageError, match="at least 0, received -1"):
        strengthened(EACH, -1)
