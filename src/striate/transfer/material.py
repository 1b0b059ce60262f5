"""What a network learns from when it is put to other classes: images, and what they go through."""

from __future__ import annotations

from typing import Literal

import numpy as np

from striate import data as sources
from striate.contract import Contract
from striate.data import Augmentation, Dataset, Flip, PadAndCrop, RandomResizedCrop
from striate.errors import UsageError
from striate.randomness import stream
from striate.train import Preprocessing


def few(dataset: Dataset, per_class: int | None, seed: int) -> Dataset:
    """Return the data as a train and a test part, with so many training images of each class."""
    held = sources.split(dataset, validation=0.0)  # the test part, where the source has none
    training = held.train
    if per_class is not None:
        if per_class < 2:
            raise UsageError(f"Expected 2 images a class or more, received {per_class}.")
        order = stream(seed, "few").permutation("images", len(training))
        taken = np.zeros(len(dataset.classes), np.int64)
        chosen = []
        for index in order.tolist():
            label = training.labels[index]
            if taken[label] < per_class:
                taken[label] += 1
                chosen.append(index)
        training = training.subset(sorted(chosen))
    kept = {"test": held.test}
    if "validation" in dataset.parts:
        kept["validation"] = held.validation
    return Dataset(
        dataset.name,
        dataset.spec,
        dataset.classes,
        {"train": training, **kept},
        dataset.skipped,
        (*dataset.notes, *held.notes),
    )


def preprocessing(contract: Contract) -> Preprocessing:
    """Return what makes the same contract for other classes."""
    return Preprocessing(
        channels=contract.channels,
        size=contract.size,
        resize=contract.resize,
        crop=contract.crop,
        exif=contract.exif,
        background=contract.background,
        sixteen_bit=contract.sixteen_bit,
        mean=contract.mean,
        std=contract.std,
        scale=contract.scale,
        order=contract.order,
    )


def layout(contract: Contract) -> Literal["channels_last", "contiguous"]:
    """Return the memory order of images and weights: channels innermost for photographs."""
    return "channels_last" if _photographs(contract) else "contiguous"


def _photographs(contract: Contract) -> bool:
    return min(contract.size) >= 64


def augmentation(contract: Contract) -> tuple[Augmentation, ...]:
    """Return crops and flips for photographs, shifts and flips for small images."""
    if _photographs(contract):
        return (RandomResizedCrop(scale=(0.4, 1.0)), Flip())
    if contract.channels == "grey":
        return (PadAndCrop(pad=2),)
    return (PadAndCrop(pad=max(2, contract.size[0] // 8)), Flip())
