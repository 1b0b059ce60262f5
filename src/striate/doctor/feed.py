"""Checks on what the network is fed with: statistics, validation, the last batch."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.data import Loader
from striate.doctor.subject import NORMALISING, Check, Subject


def image_statistics(subject: Subject) -> Check:
    """Compare mean and spread of the images with what normalisation promises, 0 and 1."""
    channels = subject.images.double().transpose(0, 1).flatten(1)
    mean, std = channels.mean(1), channels.std(1)
    off = max(float(mean.abs().max()), float((std - 1).abs().max()))
    good, fair = off <= 0.35, off <= 3.0
    worst = ", ".join(f"{m:.2f} +- {s:.2f}" for m, s in zip(mean, std, strict=True))
    return Check(
        check="image_statistics",
        measured=off,
        expected="channel means near 0 and spreads near 1 (off by at most 0.35)",
        band=(0.0, 0.35),
        verdict="pass" if good else "warn" if fair else "fail",
        meaning=f"channels are {worst}",
        fix=""
        if good
        else "normalise with the mean and deviation of these images (preprocessing.mean, std)",
    )


def validation_is_plain(loader: Loader) -> Check:
    """See that the validation images are the same in every epoch, and in order."""
    first, second = (next(iter(loader.epoch(number)), None) for number in (0, 1))
    apart = 0.0
    if first is not None and second is not None:
        same = first.images.shape == second.images.shape
        apart = float((first.images - second.images).abs().max()) if same else 1.0
    good = apart == 0.0 and loader.augmenter is None
    return Check(
        check="validation_is_plain",
        measured=apart,
        expected="the same pixels in every epoch",
        band=(0.0, 0.0),
        verdict="pass" if good else "fail",
        meaning="validation images are not augmented"
        if good
        else "validation images change from epoch to epoch: they are augmented or shuffled",
        fix="" if good else "leave augmentation and shuffling to the training loader",
    )


def last_batch(subject: Subject, images: int, batch: int) -> Check:
    """See what batch normalisation does with the smallest batch of an epoch."""
    rest = images % batch or min(batch, images)
    norms = any(isinstance(each, NORMALISING) for each in subject.net.modules())
    smallest = rest if rest > 1 or images <= 1 else batch + 1  # striate's loader joins a last one
    bad = norms and smallest < 2
    small = norms and smallest < 8
    return Check(
        check="last_batch",
        measured=float(smallest),
        expected="at least 8 images in every batch that is normalised by its own statistics",
        band=(8.0, None) if norms else None,
        verdict="fail" if bad else "warn" if small else "pass",
        meaning=f"the smallest batch of an epoch has {smallest} images"
        + (", and batch-norm divides by their spread" if norms else ""),
        fix="" if not small else "choose a batch that leaves a larger rest, or drop batch-norm",
    )


def labels_differ(labels: Tensor, classes: int) -> Check:
    """See that there is more than one class to tell apart."""
    counts = torch.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    good = present >= 2
    return Check(
        check="labels_differ",
        measured=float(present),
        expected=f"images of all {classes} classes among those looked at",
        band=(float(classes), float(classes)),
        verdict="fail" if not good else "warn" if present < classes else "pass",
        meaning=f"{present} of {classes} classes are there"
        if good
        else "all images are of one class: there is nothing to learn",
        fix="" if present == classes else "check the labels, and shuffle before splitting",
    )
