"""An epoch over photographs on disk: the same batches whoever makes them, and from wherever."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from striate import data
from striate.contract import Class, Contract, Resize
from striate.data.augmentation import Affine, ColourJitter, Flip, RandomResizedCrop
from striate.data.bending import LensDistortion
from striate.data.tones import Noise, RandAugment

HERE = Path(os.environ.get("STRIATE_DATA", "nowhere")) / "grocery"
pytestmark = pytest.mark.skipif(not HERE.is_dir(), reason="needs the natural-image folder")

CHANGES: dict[str, tuple[data.Augmentation, ...]] = {
    "crop": (RandomResizedCrop(), Flip(), ColourJitter(brightness=0.3, hue=0.05)),
    "policy": (Affine(rotate_degrees=9), LensDistortion(), RandAugment(fill="zero"), Noise()),
}


@pytest.fixture(scope="module")
def opened() -> data.Dataset:
    return data.open(HERE)


def sums(samples: data.Samples, name: str, workers: int, start: int = 0) -> list[str]:
    classes = tuple(Class(id=str(k), label=str(k)) for k in range(24))
    contract = Contract(
        classes=classes,
        channels="rgb",
        size=(64, 64),
        resize=Resize(rule="short_side", size=(72, 72)),
        crop="centre",
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    loader: Any = data.Loader(
        samples,
        contract,
        batch=72,
        seed=3,
        augmentation=CHANGES[name],
        shuffle=True,
        workers=workers,
    )
    return [
        sha256(batch.images.numpy().tobytes() + batch.labels.numpy().tobytes()).hexdigest()
        for batch in loader.epoch(2, start)
    ]


@pytest.mark.parametrize("name", CHANGES)
def test_threads_and_resumes_change_nothing(opened: data.Dataset, name: str) -> None:
    samples = opened.parts["train"]
    assert isinstance(samples, data.FileSamples)
    samples.kept = [None] * len(samples)  # every epoch reads and decodes anew
    if name == "policy":  # a quarter: it takes thrice as long
        samples = samples.subset(range(0, len(samples), 4))
    alone = sums(samples, name, 0)
    assert len(set(alone)) == len(alone) >= 4
    for workers in (1, 2, 4):
        assert sums(samples, name, workers) == alone
    for start, workers in ((2, 2), (3, 0)):
        assert sums(samples, name, workers, start) == alone[start:]
