"""Checks on what the network is fed with: statistics, validation, the last batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from striate import wording
from striate.contract import Class, Contract
from striate.data import Loader
from striate.doctor.begun import PREPARED_ALIKE, preparation_gap, start_contract
from striate.doctor.subject import NORMALISING, Check, Subject
from striate.train import Recipe

_TRIED = 16  # images looked at twice
_NEAR = 0.9  # distance of a mean from 0, or of a deviation from 1
_ENOUGH, _OF_PLACES, _PLACES = 8, 4, 16  # images of a norm's batch; of one over so many places


def image_statistics(subject: Subject) -> Check:
    """Compare mean and spread of the images with what normalisation promises, 0 and 1.

    Pixels of 0 to 1, and of -1 to 1, are near enough: networks are trained on both.
    """
    others = [axis for axis in range(subject.images.dim()) if axis != 1]
    std, mean = torch.std_mean(subject.images.float(), others)
    off = max(float(mean.abs().max()), float((std - 1).abs().max()))
    narrow, wide = float(std.min()), float(std.max())
    good = off <= _NEAR
    fair = float(mean.abs().max()) <= 3.0 and narrow >= 0.08 and wide <= 4.0
    worst = ", ".join(f"{m:.2f} +- {s:.2f}" for m, s in zip(mean, std, strict=True))
    settings = " (preprocessing.mean, std)" if subject.of_recipe else ""
    return Check(
        check="image_statistics",
        measured=off,
        expected=f"channel means near 0 and spreads near 1 (off by at most {_NEAR:g}, as pixels of "
        "0 to 1 and of -1 to 1 are)",
        band=(0.0, _NEAR),
        verdict="pass" if good else "warn" if fair else "fail",
        meaning=f"channels are {worst}" if wide else "all pixels have one value: nothing is seen",
        fix=""
        if good
        else "look at the images: they may have been read, scaled or clipped to nothing"
        if not wide
        else f"normalise with the mean and deviation of these images{settings}",
    )


def validation_is_plain(loader: Loader) -> Check:
    """See that the validation images are the same in every epoch, and in order."""
    first, second = (next(iter(loader.epoch(number)), None) for number in (0, 1))
    apart = 0.0
    if first is not None and second is not None:
        same = first.images.shape == second.images.shape
        pair = (each.images.nan_to_num() for each in (first, second))  # that is another check's
        apart = float(torch.sub(*pair).abs().max()) if same else 1.0
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


def augmentation_varies(loader: Loader) -> Check:
    """See that augmentation draws anew for every image and every epoch."""
    if loader.augmenter is None or not len(loader.samples):
        return Check(
            check="augmentation_varies",
            measured=None,
            expected="other draws for every image and epoch",
            verdict="skip",
            meaning="training images are not augmented",
        )
    chosen = list(range(min(_TRIED, len(loader.samples))))
    first, second = (loader.images(chosen, epoch) for epoch in (0, 1))
    changed = float((first != second).reshape(len(chosen), -1).any(1).mean())
    good = changed > 0
    plain = first.reshape(len(chosen), first.shape[1], -1)
    if not good and bool((plain == plain[..., :1]).all()):
        return Check(
            check="augmentation_varies",
            measured=None,
            expected="other draws for every image and epoch",
            verdict="skip",
            meaning="images of one value look the same however they are augmented",
        )
    return Check(
        check="augmentation_varies",
        measured=changed,
        expected="other pixels in the second epoch than in the first, for some images at least",
        band=(1 / len(chosen), 1.0),
        verdict="pass" if good else "fail",
        meaning=f"{changed:.0%} of {len(chosen)} images look otherwise in the second epoch"
        if good
        else "augmentation does the same in every epoch, as workers with one seed do",
        fix="" if good else "give each worker and epoch randomness of its own",
    )


def order_varies(loader: Loader, labels: Sequence[int], classes: int) -> Check:
    """See that epochs come in orders of their own, and batches of many classes."""
    orders = [[share.indices for share in loader.order.epoch(number)] for number in (0, 1)]
    same = all(
        np.array_equal(first, second) for first, second in zip(*orders, strict=True)
    ) and any(len(each) > 1 for each in orders[0])
    there = np.asarray(labels)
    shares = np.bincount(there, minlength=classes) / len(there)
    seen = [len(np.unique(there[each])) for each in orders[0]]
    hoped = [float((1 - (1 - shares) ** len(each)).sum()) for each in orders[0]]
    found = float(np.median(np.array(seen) / np.array(hoped)))
    bad = same or (found < 0.5 and float(np.median(hoped)) > 2)
    return Check(
        check="order_varies",
        measured=found,
        expected="another order in every epoch, and as many classes in a batch as by chance",
        band=(0.5, None),
        verdict="fail" if bad else "pass",
        meaning="images are shuffled"
        if not bad
        else "every epoch has the same order"
        if same
        else f"a batch has {found:.0%} of the classes it would have by chance",
        fix="shuffle the training images anew in every epoch" if bad else "",
    )


def classes_drawn(
    loader: Loader,
    classes: Sequence[Class],
    asked: Sequence[int],
    weights: Sequence[float] = (),
) -> Check:
    """See that the first epochs show every class that validation asks for.

    Args:
        loader: of the training.
        classes: all, in their order.
        asked: labels of the validation images.
        weights: of the classes in the loss, where it weighs them.
    """
    there = np.bincount(loader.samples.labels, minlength=len(classes))
    shown = np.zeros(len(classes), np.int64)
    for share in (each for number in range(3) for each in loader.order.epoch(number)):
        drawn = loader.samples.labels[share.indices]  # a rest that is dropped differs by epoch
        shown += np.bincount(drawn, minlength=len(classes))
    if len(weights):
        shown *= np.asarray(weights) > 0
    wanted = np.bincount(np.asarray(asked, np.int64), minlength=len(classes))
    never = np.flatnonzero(shown == 0)
    missed = [k for k in never.tolist() if wanted[k]]
    chosen = missed or never.tolist()
    named = ", ".join(classes[k].label for k in chosen[:5])
    named += f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    left_out = any(there[k] for k in chosen)
    return Check(
        check="classes_drawn",
        measured=float(len(never)),
        expected="training images of every class in the first epochs",
        band=(0.0, 0.0),
        verdict="fail" if missed else "warn" if len(never) else "pass",
        meaning="every class is trained"
        if not chosen
        else f"nothing is ever trained of {named}, "
        + (f"of which validation has {wanted[missed].sum()} images" if missed else "nor validated"),
        fix=""
        if not chosen
        else "give every class a weight above 0 (in sampling.classes or objective.weights)"
        if left_out
        else "see that the training part has images of it, and that its folder is not empty",
    )


def start_fits(recipe: Recipe, contract: Contract) -> Check:
    """Compare the preparation of images with that of the weights the training begins with."""
    theirs = start_contract(recipe)
    off = 0.0 if theirs is None else preparation_gap(contract, theirs)
    good = off < PREPARED_ALIKE
    return Check(
        check="start_fits",
        measured=None if theirs is None else min(off, 1e6),
        expected="images prepared as those that the weights to begin with were trained on",
        band=(0.0, PREPARED_ALIKE),
        verdict="skip" if theirs is None else "pass" if good else "fail",
        meaning="training begins with random weights"
        if theirs is None
        else "images are prepared as those the weights were trained on"
        if good
        else "the weights were trained on images prepared otherwise",
        fix="" if good else "take preprocessing.mean, std and scale from the weights' contract",
    )


def last_batch(subject: Subject, images: int, batch: int) -> Check:
    """See what batch normalisation does with the smallest batch of an epoch.

    A norm of feature maps averages over places too, so that fewer images will do.
    """
    rest = images % batch or min(batch, images)
    places = _places(subject)
    joined = rest == 1 and batch > 1 and images > 1  # striate's loader joins a last one to the rest
    smallest = batch + 1 if joined else rest
    least = _OF_PLACES if places is not None and places >= _PLACES else _ENOUGH
    bad = places is not None and smallest < 2
    small = places is not None and smallest < least
    return Check(
        check="last_batch",
        measured=float(smallest),
        expected=f"at least {least} images in every batch that is normalised by its own statistics",
        band=(float(least), None) if places is not None else None,
        verdict="fail" if bad else "warn" if small else "pass",
        meaning=f"the smallest batch of an epoch has {wording.count(smallest, 'image')}"
        + (", and batch-norm divides by their spread" if places is not None else ""),
        fix="" if not small else "choose a batch that leaves a larger rest, or drop batch-norm",
    )


def _places(subject: Subject) -> int | None:
    """Return the places of an image that norms average over, the fewest; None without a norm."""
    norms = [each for each in subject.net.modules() if isinstance(each, NORMALISING)]
    if not norms:
        return None
    found: list[int] = []

    def look(module: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        found.append(given[0, 0].numel() if given.dim() > 2 else 1)

    with subject.quiet() as net, torch.no_grad():
        handles = [each.register_forward_hook(look) for each in norms]
        try:
            net(subject.images[:2])
        finally:
            for handle in handles:
                handle.remove()
    return min(found, default=1)


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
