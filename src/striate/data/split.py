"""Holding images out, stratified and by a seed, where the source has not done so itself.

A part that is given is kept as it is. The test part is held out first, then the validation part, so
that a change of the one leaves the other alone as far as it can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from striate import wording
from striate.data.dataset import Dataset
from striate.data.samples import Samples
from striate.errors import DataError
from striate.randomness import stream
from striate.records import Record

Indices = npt.NDArray[np.int64]


class PartDocument(Record, frozen=True, kw_only=True):
    """One part in data.json: ids and content hashes, in the same order."""

    ids: tuple[str, ...]
    hashes: tuple[str, ...]


class SplitDocument(Record, frozen=True, kw_only=True):
    """data.json: which images were trained on, chosen by and held out."""

    name: str
    spec: str
    train: PartDocument
    validation: PartDocument
    test: PartDocument
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """A data set in three parts.

    Args:
        name: the data set's.
        spec: the data set's.
        train: to fit weights on.
        validation: to choose by.
        test: looked at once.
        notes: what a reader should know, in whole sentences.
    """

    name: str
    spec: str
    train: Samples
    validation: Samples
    test: Samples
    notes: tuple[str, ...] = field(default=())

    def document(self) -> SplitDocument:
        """Return what is written to data.json."""
        return SplitDocument(
            name=self.name,
            spec=self.spec,
            train=_document(self.train),
            validation=_document(self.validation),
            test=_document(self.test),
            notes=self.notes,
        )


def split(
    dataset: Dataset,
    *,
    seed: int = 0,
    validation: float = 0.1,
    validation_most: int = 5000,
    test: float = 0.2,
) -> Split:
    """Hold out a validation and a test part, where the data set has none.

    Args:
        dataset: as opened.
        seed: of the split.
        validation: share of the training images held out to choose by, stratified.
        validation_most: no more than so many.
        test: share of all images held out for the test, stratified.

    Raises:
        DataError: nothing to train on (at all, or of a class), fewer than two classes, or too few
            images to hold any out.
    """
    training = _training(dataset)
    wanted = {"test": (test, None), "validation": (validation, validation_most)}
    held, notes = _deal(dataset, training.labels, wanted, seed)
    parts = {part: training.subset(places) for part, places in held.items()}
    parts |= {part: dataset.parts[part] for part in wanted if part not in held}
    if held:
        kept = np.delete(np.arange(len(training)), np.concatenate(list(held.values())))
        training = training.subset(kept)
    return Split(dataset.name, dataset.spec, training, **parts, notes=tuple(notes))


def refusal(dataset: Dataset) -> str:
    """Return why a training would refuse a data set, in the sentence it would say; or nothing."""
    try:
        _deal(dataset, _training(dataset).labels, {"test": (0.2, None), "validation": (0.1, 1)}, 0)
    except DataError as error:
        return str(error)
    return ""


def _training(dataset: Dataset) -> Samples:
    """Return what can be trained on.

    Raises:
        DataError: there is none, none of a class, or of one class only.
    """
    training = dataset.parts.get("train", dataset.parts.get("all"))
    if training is None or not len(training):
        raise DataError(
            f"{dataset.spec} has nothing to train on: expected a train part, or class folders "
            f"without parts; it has {', '.join(dataset.parts)}."
        )
    dataset.check_classes()
    if len(set(training.labels.tolist())) < 2:
        raise DataError(
            f"Expected images of at least two classes to train on, received "
            f"{len(set(training.labels.tolist()))} in {dataset.spec}: there is nothing to tell "
            "apart."
        )
    return training


def _deal(
    dataset: Dataset,
    labels: npt.NDArray[np.int64],
    wanted: Mapping[str, tuple[float, int | None]],
    seed: int,
) -> tuple[dict[str, Indices], list[str]]:
    """Return the places of the training images held out for each part that is not given; notes."""
    places = np.arange(len(labels))
    held: dict[str, Indices] = {}
    notes: list[str] = []
    for part, (share, most) in wanted.items():
        if part in dataset.parts:
            continue
        chosen = _hold_out(labels[places], dataset, part, share, most, seed)
        notes += _absent(labels[places], chosen, dataset, part) if share else []
        held[part] = places[chosen]
        places = np.delete(places, chosen)
    return held, notes


def _hold_out(
    labels: npt.NDArray[np.int64],
    dataset: Dataset,
    part: str,
    share: float,
    most: int | None,
    seed: int,
) -> Indices:
    """Return the places of the images held out, ascending."""
    if not 0 <= share < 1:
        raise DataError(f"Expected a share of 0 to 1 to hold out, received {part}={share}.")
    counts = np.bincount(labels, minlength=len(dataset.classes))
    wanted = max(round(len(labels) * share), 1) if share else 0
    quotas = _quotas(counts, wanted if most is None else min(wanted, most))
    if share and not quotas.sum():
        raise DataError(
            f"{dataset.spec} has too few images to hold out a {part} part: {len(labels):,} of "
            f"{wording.count(len(dataset.classes), 'class')}, and each keeps one to train on; add "
            f"some, or a {part} part of its own."
        )
    held = []
    for label, quota in enumerate(quotas.tolist()):
        places = np.flatnonzero(labels == label)
        order = stream(seed, "split", part, dataset.classes[label].id)
        held.append(places[order.permutation("order", len(places))[:quota]])
    return np.sort(np.concatenate(held)).astype(np.int64)


def _quotas(counts: Indices, wanted: int) -> Indices:
    """Share `wanted` among the classes by size, the largest remainders first; each keeps one."""
    exact = counts * (wanted / max(counts.sum(), 1))
    quotas = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - quotas), kind="stable")
    quotas[order[: wanted - quotas.sum()]] += 1
    return np.asarray(np.minimum(quotas, np.maximum(counts - 1, 0)), np.int64)


def _absent(labels: npt.NDArray[np.int64], held: Indices, dataset: Dataset, part: str) -> list[str]:
    there = set(labels.tolist())
    gone = [dataset.classes[label].id for label in sorted(there - set(labels[held].tolist()))]
    if not gone:
        return []
    return [f"Too few images to hold any out for the {part} part: {', '.join(gone)}."]


def _document(samples: Samples) -> PartDocument:
    hashes = tuple(samples.content_hash(index) for index in range(len(samples)))
    return PartDocument(ids=tuple(samples.ids), hashes=hashes)
