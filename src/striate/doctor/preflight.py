"""Preflight: what the lectures check by hand before a minute is spent on training.

Every check is a small experiment with a band that follows from the network and the data, so there
are no thresholds to type; the same seed gives the same answers. A plain nn.Module will do.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from striate import progress
from striate.data import Loader
from striate.doctor import feed, learning, parts, purity, start, usual
from striate.doctor.accepted import accepted, told
from striate.doctor.effort import BUSY, SECONDS, late
from striate.doctor.finite import all_finite
from striate.doctor.loaded import loaded_whole
from striate.doctor.subject import Check, Subject
from striate.errors import StriateError
from striate.layers import build
from striate.train import Recipe
from striate.train.feeding import loaders
from striate.train.prepare import Prepared, prepare
from striate.train.processes import Processes
from striate.train.start import begin

_LOOKED_AT = 512  # training images
_OWN_IMAGES, _SMALL = (
    15_000,
    0.1,
)  # that the checks train on, and the share of a training they may be

_Asked = Callable[[Subject], Check]
_CHEAP: tuple[_Asked, ...] = (
    feed.image_statistics,
    usual.initial_loss,
    start.regularised_loss,
    start.activation_scale,
    start.layer_gain,
    start.dead_units,
    start.gradients_arrive,
    start.features_differ,
    start.scores_not_probabilities,
    start.all_trained,
    loaded_whole,
    purity.images_matter,
    purity.no_leak,
    purity.modes_agree,
)
_OWN: dict[str, _Asked] = {}  # registered beside ours
_OF_PIXELS: tuple[_Asked, ...] = (feed.image_statistics,)
_OF_WEIGHTS: tuple[_Asked, ...] = (start.regularised_loss, start.features_differ)


def preflight(
    recipe: Recipe, prepared: Prepared | None = None, *, trainings: bool = True
) -> tuple[Check, ...]:
    """Check a recipe's network on its data, in under a minute.

    Args:
        recipe: what would be trained.
        prepared: its data, where it is open already.
        trainings: also train copies for a few steps; without, it takes a second or so.

    Raises:
        DataError, ContractError: network and data cannot be trained together.
    """
    prepared = prepared or prepare(recipe)
    images, labels = _first(_plain(recipe, prepared, "train"), _LOOKED_AT)
    subject = Subject(
        net=begin(build(recipe.network, seed=recipe.seed), recipe.start, prepared.whitening),
        images=images,
        labels=labels,
        classes=len(prepared.contract.classes),
        held_out=_first(_plain(recipe, prepared, "validation"), _LOOKED_AT),
        answer=recipe.network.answer,
        seed=recipe.seed,
        begun=recipe.start is not None,
        anew=recipe.start.anew if recipe.start else (),
        of_recipe=True,
    )
    training, validation = loaders(recipe, prepared, Processes(0, 1, torch.device("cpu")))
    fed = training[recipe.size_at(0)]
    count = len(fed.samples)
    return (
        *_module(subject, trainings, ()),
        *parts.of_parts(prepared),
        feed.validation_is_plain(validation),
        feed.augmentation_varies(fed),
        feed.order_varies(fed, fed.samples.labels.tolist(), subject.classes),
        feed.classes_drawn(
            fed,
            prepared.contract.classes,
            prepared.split.validation.labels.tolist(),
            getattr(recipe.objective, "weights", ()),
        ),
        feed.start_fits(recipe, prepared.contract),
        feed.last_batch(subject, count, recipe.batch // recipe.accumulate),
    )


def register(check: _Asked) -> _Asked:
    """Ask one more check at every preflight of this process; for use as a decorator.

    `examples/add_check.py` adds one.

    Args:
        check: a function that looks at a subject and leaves it as it was; its name is the check's.

    Raises:
        ValueError: there is a check of that name.
    """
    name = check.__name__
    if name in {each.__name__ for each in (*_CHEAP, *_OWN.values())}:
        raise ValueError(f"expected a new name, received name={name!r}, which is taken")
    _OWN[name] = check
    return check


def trainings_pay(recipe: Recipe, images: int) -> bool:
    """Tell whether checks that train copies are a small part of the training to come."""
    return images * recipe.epochs >= _OWN_IMAGES / _SMALL


def check_module(subject: Subject, *, trainings: bool = True) -> tuple[Check, ...]:
    """Check any nn.Module on some images.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        >>> images = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        >>> found = check_module(Subject(net, images, torch.arange(40) % 3, classes=3))
        >>> [each.check for each in found if each.verdict == "fail"]
        []

    Raises:
        UsageError: images, labels or outputs that no check could be asked of.
    """
    return _module(subject, trainings, (parts.held_out_alike,))


def _module(subject: Subject, trainings: bool, more: tuple[_Asked, ...]) -> tuple[Check, ...]:
    """Ask all that is asked of a module, and of its images `more`."""
    subject = accepted(subject)
    subject = replace(subject, until=min(subject.until, time.monotonic() + SECONDS))
    found = [*_ask(all_finite, subject), feed.labels_differ(subject.labels, subject.classes)]
    finite = found[0].verdict == "pass"
    cheap = (*_CHEAP, *(more if subject.held_out else ()), *_OWN.values())
    asked = (*cheap, learning.overfits_few) if trainings else cheap
    asked = asked if finite else _without_numbers(subject)
    for check in progress.track(asked, "checking", "checks", None):
        found += _ask(check, subject) if not late(subject) else [_no_time(check.__name__)]
    if trainings and finite:
        found += _ask(learning.beats_shuffled, subject)
    return tuple(found)


def _ask(
    check: Callable[[Subject], Check | tuple[Check, ...]], subject: Subject
) -> tuple[Check, ...]:
    """Ask one check; a network that stops with an error in it has failed it."""
    try:
        said = check(subject)
        return (said,) if isinstance(said, Check) else said
    except StriateError:
        raise
    except Exception as error:  # any: the network is the user's, and a check may be
        own = check.__name__ in _OWN and not _in_module(error)
        stopped = Check(
            check=check.__name__,
            measured=None,
            expected="an answer",
            verdict="warn" if own else "fail",
            meaning=f"the {'check itself' if own else 'network'} stopped with {told(error)}",
            fix="mend the check: nothing is known of what it asks"
            if own
            else "see that its forward takes any number of images, with and without gradients",
        )
        return (stopped,)


def _in_module(error: Exception) -> bool:
    """Tell whether an error comes from within a module's forward."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(isinstance(frame.f_locals.get("self"), nn.Module) for frame in frames)


def _without_numbers(subject: Subject) -> tuple[_Asked, ...]:
    """Return what can still be asked where not all is finite."""
    pixels = bool(subject.images.isfinite().all())
    weights = all(bool(each.isfinite().all()) for each in subject.net.parameters())
    return (
        *(_OF_PIXELS if pixels else ()),
        *(_OF_WEIGHTS if weights else ()),
        start.all_trained,
    )


def _no_time(check: str) -> Check:
    return Check(
        check=check,
        measured=None,
        expected="to be asked within a minute",
        verdict="skip",
        meaning=f"{SECONDS:.0f} s were over before its turn: {BUSY}",
    )


def verdict(checks: tuple[Check, ...]) -> str:
    """Return the worst verdict: pass, warn or fail."""
    said = {each.verdict for each in checks}
    return "fail" if "fail" in said else "warn" if "warn" in said else "pass"


def _plain(recipe: Recipe, prepared: Prepared, part: str) -> Loader:
    """Return a loader of images that are not augmented."""
    return Loader(
        getattr(prepared.split, part),
        prepared.contract,
        batch=max(1, min(128, recipe.batch)),
        seed=recipe.seed,
        shuffle=True,
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
