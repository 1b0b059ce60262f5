"""Images that come as arrays: IDX, CIFAR and npz agree on this form before they become samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from striate import wording
from striate.contract import Class
from striate.data.dataset import PARTS, classes_of, in_order, some
from striate.data.samples import ArraySamples, Samples
from striate.errors import DataError


class Part(NamedTuple):
    """One part as its file has it.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) integers or text.
        images_from: where the images came from, for errors.
        labels_from: the same for the labels.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[Any]
    images_from: str
    labels_from: str


class Source(NamedTuple):
    """What a reader gives: classes, samples by part, and what a reader should know of them."""

    classes: tuple[Class, ...]
    parts: dict[str, Samples]
    notes: tuple[str, ...] = ()


def collect(parts: Mapping[str, Part], names: Sequence[str] | None = None) -> Source:
    """Make samples of arrays, and classes of their labels.

    Args:
        parts: by name.
        names: what label 0, 1, ... is called; without them, integers from 0 to the greatest label
            are their own names, and text is sorted.

    Raises:
        DataError: as many images as labels were expected, a label has no name, or some parts have
            text as labels and others integers.
    """
    for part in parts.values():
        _check(part)
    text = _are_text(parts)
    ids = _ids(parts) if names is None else list(names)
    place = {id: index for index, id in enumerate(ids)}
    samples: dict[str, Samples] = {}
    for name, part in sorted(parts.items(), key=lambda item: PARTS.index(item[0])):
        if text:
            labels = np.array([_place(place, str(id), part) for id in part.labels], np.int64)
        else:
            labels = part.labels.astype(np.int64)
            _check_range(labels, len(ids), part)
        numbers = [f"{name}/{index}" for index in range(len(labels))]
        samples[name] = ArraySamples(part.images, labels, numbers)
    return Source(classes_of(ids), samples, _absent(samples, ids))


def _absent(samples: Mapping[str, Samples], ids: Sequence[str]) -> tuple[str, ...]:
    """Note the classes that a network would be given without an image to learn them from."""
    part = next((name for name in ("train", "all") if name in samples), None)
    if part is None or not len(samples[part]):
        return ()
    gone = np.flatnonzero(np.bincount(samples[part].labels, minlength=len(ids)) == 0)
    where = "" if part == "all" else f" in the {part} part"
    named = some([ids[label] for label in gone.tolist()])
    return (f"There are no images of {named}{where}.",) if len(gone) else ()


def _are_text(parts: Mapping[str, Part]) -> bool:
    kinds = {part.labels.dtype.kind == "U": part.labels_from for part in parts.values()}
    if len(kinds) > 1:
        raise DataError(
            f"{kinds[True]} has text as labels, but {kinds[False]} has integers: write the same "
            "in both."
        )
    return True in kinds


def _check(part: Part) -> None:
    shape = part.images.shape
    if len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape[1:]:
        raise DataError(
            f"Expected images of shape (n, height, width, 1 or 3), received {shape} from "
            f"{part.images_from}: images.reshape(n, height, width, 1) suits grey ones in rows."
        )
    if part.labels.shape != shape[:1]:
        raise DataError(
            f"{part.images_from} has {wording.count(shape[0], 'image')}, but {part.labels_from} "
            f"has labels of shape {part.labels.shape}: expected one label for each image."
        )


def _check_range(labels: npt.NDArray[np.int64], count: int, part: Part) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        wrong = int(labels.max() if labels.max() >= count else labels.min())
        raise DataError(
            f"{part.labels_from} has a label {wrong}; expected 0 to {count - 1}, one of "
            f"{wording.count(count, 'class')}."
        )


def _ids(parts: Mapping[str, Part]) -> list[str]:
    labels = [part.labels for part in parts.values() if len(part.labels)]
    if not labels:
        return []
    if labels[0].dtype.kind == "U":
        return in_order({str(id) for each in labels for id in each})
    most = max(int(each.max()) for each in labels)
    if most >= 1 << 16:
        source = next(iter(parts.values())).labels_from
        raise DataError(
            f"{source} has a label {most}; expected labels that count from 0: "
            "np.unique(labels, return_inverse=True)[1] numbers them so."
        )
    return [str(label) for label in range(most + 1)]


def _place(place: Mapping[str, int], id: str, part: Part) -> int:
    if id not in place:
        raise DataError(
            f"{part.labels_from} has a label {id!r} that is none of the classes: expected one of "
            f"{some(list(place))}."
        )
    return place[id]
