"""Preflight: what the lectures check by hand before a minute is spent on training.

Every check is a small experiment with a band that follows from the network and the data, so there
are no thresholds to type; the same seed gives the same answers. A plain nn.Module will do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from striate import progress
from striate.data import Loader
from striate.doctor import feed, learning, purity, start
from striate.doctor.subject import Check, Subject, main_output
from striate.errors import StriateError, UsageError
from striate.layers import build
from striate.train import Recipe
from striate.train.prepare import Prepared, prepare

_LOOKED_AT = 512  # training images

_CHEAP: tuple[Callable[[Subject], Check], ...] = (
    feed.image_statistics,
    start.initial_loss,
    start.regularised_loss,
    start.activation_scale,
    start.dead_units,
    start.gradients_arrive,
    purity.no_leak,
    purity.modes_agree,
)


def preflight(recipe: Recipe, prepared: Prepared | None = None) -> tuple[Check, ...]:
    """Check a recipe's network on its data, in under a minute.

    Args:
        recipe: what would be trained.
        prepared: its data, where it is open already.

    Raises:
        DataError, ContractError: network and data cannot be trained together.
    """
    prepared = prepared or prepare(recipe)
    training = _loader(recipe, prepared, "train")
    validation = _loader(recipe, prepared, "validation")
    images, labels = _first(training, _LOOKED_AT)
    subject = Subject(
        net=build(recipe.network, seed=recipe.seed),
        images=images,
        labels=labels,
        classes=len(prepared.contract.classes),
        held_out=_first(validation, _LOOKED_AT),
        answer=recipe.network.answer,
        seed=recipe.seed,
    )
    return (
        *check_module(subject),
        feed.validation_is_plain(_loader(recipe, prepared, "validation", shuffle=False)),
        feed.last_batch(subject, len(training.samples), recipe.batch // recipe.accumulate),
    )


def check_module(subject: Subject) -> tuple[Check, ...]:
    """Check any nn.Module on some images.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        >>> images = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        >>> found = check_module(Subject(net, images, torch.arange(40) % 3, classes=3))
        >>> [each.check for each in found if each.verdict == "fail"]
        []

    Raises:
        UsageError: fewer than two images, or outputs of another shape than (n, classes).
    """
    _refuse(subject)
    found = [feed.labels_differ(subject.labels, subject.classes)]
    for check in progress.track((*_CHEAP, learning.overfits_few), "checking", "checks", None):
        found.append(check(subject))
    found.extend(learning.beats_shuffled(subject))
    return tuple(found)


def verdict(checks: tuple[Check, ...]) -> str:
    """Return the worst verdict: pass, warn or fail."""
    said = {each.verdict for each in checks}
    return "fail" if "fail" in said else "warn" if "warn" in said else "pass"


def _refuse(subject: Subject) -> None:
    if len(subject.images) < 2 or len(subject.images) != len(subject.labels):
        raise UsageError(
            f"Expected at least two images with a label each, received {len(subject.images)} "
            f"images and {len(subject.labels)} labels."
        )
    try:
        with subject.quiet(training=True) as net, torch.no_grad():
            outputs = net(subject.images[:2])
    except StriateError:
        raise
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            f"The network does not take images of {tuple(subject.images.shape[1:])}: {first}"
        ) from error
    shape = tuple(main_output(outputs).shape)
    if shape != (2, subject.classes):
        raise UsageError(
            f"Expected outputs of shape (2, {subject.classes}) for 2 images, received {shape}."
        )


def _loader(recipe: Recipe, prepared: Prepared, part: str, shuffle: bool = True) -> Loader:
    return Loader(
        getattr(prepared.split, part),
        prepared.contract,
        batch=max(1, min(128, recipe.batch)),
        seed=recipe.seed,
        shuffle=shuffle,
    )


def _first(loader: Loader, count: int) -> tuple[Tensor, Tensor]:
    images, labels, total = [], [], 0
    for batch in loader.epoch(0):
        images.append(batch.images)
        labels.append(batch.labels)
        total += len(batch.labels)
        if total >= count:
            break
    return torch.cat(images)[:count], torch.cat(labels)[:count]
