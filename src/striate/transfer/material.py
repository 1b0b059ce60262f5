"""What a network learns from when it is put to other classes: images, and what they go through."""

from __future__ import annotations

import numpy as np

from striate import data as sources
from striate.contract import Contract
from striate.data import Augmentation, Dataset, Flip, PadAndCrop, RandomResizedCrop
from striate.errors import UsageError
from striate.randomness import stream
from striate.train import Preprocessing


def few(dataset: Dataset, per_class: int | None, seed: int) -> Dataset:
    """Return the data as a train and a test part, with so many training images of each class."""
    parts = dict(dataset.parts)
    if "train" not in parts:
        held = sources.split(dataset, validation=0.0)
        parts = {"train": held.train, "test": held.test}
    training = parts["train"]
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
    kept = {name: part for name, part in parts.items() if name in ("validation", "test")}
    return Dataset(
        dataset.name,
        dataset.spec,
        dataset.classes,
        {"train": training, **kept},
        dataset.skipped,
        dataset.notes,
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


def augmentation(contract: Contract) -> tuple[Augmentation, ...]:
    """Return crops and flips for photographs, shifts and flips for small images."""
    if min(contract.size) >= 64:
        return (RandomResizedCrop(scale=(0.4, 1.0)), Flip())
    if contract.channels == "grey":
        return (PadAndCrop(pad=2),)
    return (PadAndCrop(pad=max(2, contract.size[0] // 8)), Flip())
