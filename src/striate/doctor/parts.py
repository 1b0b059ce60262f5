"""Checks on the parts of data: held-out images prepared otherwise, too few, or of few classes."""

from __future__ import annotations

import numpy as np

from striate.data.health.alike import LOOKED_AT, Looks
from striate.data.health.parts import (
    Said,
    levels_used,
    looks_alike,
    parts_alike,
    validation_tells,
)
from striate.doctor.subject import Check, Subject
from striate.train.prepare import Prepared

_ALIKE = (
    "no figure of held-out images (brightness, contrast, sharpness, colour, place) far from that "
    "of training images of the same class"
)


def of_parts(prepared: Prepared) -> tuple[Check, ...]:
    """Compare a training's parts, as they are stored.

    Raises:
        DataError: an image cannot be read any more.
    """
    split = prepared.split
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    labels = split.train.labels, split.validation.labels
    said = validation_tells(*labels, prepared.contract.classes)
    return (
        _told(parts_alike(parts), _ALIKE, check="parts_alike"),
        _told(
            said, "25 validation images or more, of every trained class", check="validation_tells"
        ),
        _told(levels_used(split.train), "pixels of more than 16 levels", check="levels_used"),
    )


def held_out_alike(subject: Subject) -> Check:
    """Compare held-out images with training images, as the network gets them."""
    if subject.held_out is None or subject.images.dim() < 3:
        none = Said("pass", 0, "there are no held-out images", "")
        return _told(none, _ALIKE, check="parts_alike")
    images, labels = subject.images[:LOOKED_AT].float(), subject.labels[:LOOKED_AT]
    others, known = (each[:LOOKED_AT] for each in subject.held_out)
    if images.shape[1:] != others.shape[1:] or not bool(others.isfinite().all()):
        shapes = Said("pass", 0, "held-out images are of another shape, or not finite", "")
        return _told(shapes, _ALIKE, check="parts_alike")
    size = float(images.std()) or 1.0
    training = Looks.at((images / size).cpu().numpy(), labels.cpu().numpy().astype(np.int64))
    held_out = Looks.at((others.float() / size).cpu().numpy(), known.cpu().numpy().astype(np.int64))
    return _told(looks_alike(training, {"held-out": held_out}), _ALIKE, check="parts_alike")


def _told(said: Said, expected: str, *, check: str) -> Check:
    return Check(
        check=check,
        measured=float(said.number),
        expected=expected,
        band=(0.0, 0.0),
        verdict=said.verdict,
        meaning=said.meaning,
        fix=said.fix,
    )
