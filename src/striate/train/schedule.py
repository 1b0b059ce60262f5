"""The learning rate as a pure function of the step (and, on a plateau, of the validations so far).

torch's schedulers count their own calls, so a resume, a skipped step or an accumulated gradient can
shift them silently. Here `Course.factor(step)` has no memory at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from striate.records import Family, expect
from striate.train.validation import Figure, Validation


class Moment(NamedTuple):
    """Where in training a step lies: all that a schedule may look at.

    Args:
        epoch: epochs since the start, counted in steps: 2.5 is the middle of the third epoch.
        fraction: 0 at the end of the warm-up, 1 at the end of training.
        validations: those done before this step.
    """

    epoch: float
    fraction: float
    validations: Sequence[Validation] = ()


class Schedule(Family, frozen=True, kw_only=True):
    """How the learning rate falls: a factor on the optimiser's rate."""

    family: ClassVar[str] = "schedule"

    def factor(self, moment: Moment) -> float:
        """Return what the optimiser's rate is multiplied by, usually from 1 down to 0."""
        raise NotImplementedError("left to each kind of schedule")


class Constant(Schedule, frozen=True, kw_only=True):
    """The rate stays as it is."""

    def factor(self, moment: Moment) -> float:
        """Return 1."""
        return 1.0


class Step(Schedule, frozen=True, kw_only=True):
    """The rate is multiplied by `drop` at each epoch in `at`, which may be fractional.

    Source: Krizhevsky et al. 2012 ("divided by 10"); He et al. 2016, section 4.2.
    """

    at: tuple[float, ...] = (30.0, 60.0, 90.0)
    drop: float = 0.1

    def __post_init__(self) -> None:
        expect(self.drop > 0, "a drop above 0", drop=self.drop)

    def factor(self, moment: Moment) -> float:
        """Return drop ** (number of epochs in `at` that have been reached)."""
        return float(self.drop ** sum(moment.epoch >= epoch for epoch in self.at))


class Exponential(Schedule, frozen=True, kw_only=True):
    """The rate falls by the factor `gamma` an epoch, smoothly: gamma ** epoch."""

    gamma: float = 0.95

    def __post_init__(self) -> None:
        expect(self.gamma > 0, "a gamma above 0", gamma=self.gamma)

    def factor(self, moment: Moment) -> float:
        """Return gamma ** epoch."""
        return float(self.gamma**moment.epoch)


class InverseTime(Schedule, frozen=True, kw_only=True):
    """The 1/t decay: 1 / (1 + k * epoch)."""

    k: float = 0.1

    def __post_init__(self) -> None:
        expect(self.k >= 0, "k of at least 0", k=self.k)

    def factor(self, moment: Moment) -> float:
        """Return 1 / (1 + k * epoch)."""
        return 1.0 / (1.0 + self.k * moment.epoch)


class Linear(Schedule, frozen=True, kw_only=True):
    """The rate falls in a straight line from 1 after the warm-up to `final` at the end."""

    final: float = 0.0

    def __post_init__(self) -> None:
        expect(self.final >= 0, "a final factor of at least 0", final=self.final)

    def factor(self, moment: Moment) -> float:
        """Return 1 + (final - 1) * fraction."""
        return 1.0 + (self.final - 1.0) * moment.fraction


class Cosine(Schedule, frozen=True, kw_only=True):
    """The rate falls along half a cosine from 1 after the warm-up to `final` at the end.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5 without restarts.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        expect(self.final >= 0, "a final factor of at least 0", final=self.final)

    def factor(self, moment: Moment) -> float:
        """Return final + (1 - final) * (1 + cos(pi * fraction)) / 2."""
        return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * moment.fraction)) / 2.0


class Polynomial(Schedule, frozen=True, kw_only=True):
    """The rate falls as (1 - fraction)^power from 1 after the warm-up to 0 at the end.

    Source: Caffe's "poly" policy; Szegedy et al.'s GoogLeNet as BVLC retrained it has power 0.5.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        expect(self.power > 0, "a power above 0", power=self.power)

    def factor(self, moment: Moment) -> float:
        """Return (1 - fraction) ** power."""
        return float(max(1.0 - moment.fraction, 0.0) ** self.power)


class Restarts(Schedule, frozen=True, kw_only=True):
    """Half cosines from 1 to `final`, one after the other, each longer than the last.

    Args:
        first: epochs of the first, warm-up included.
        growth: how much longer each next one is.
        final: the factor at the end of each.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, section 3.
    """

    first: float = 10.0
    growth: float = 2.0
    final: float = 0.0

    def __post_init__(self) -> None:
        expect(self.first > 0, "first above 0 epochs", first=self.first)
        expect(self.growth >= 1, "a growth of at least 1", growth=self.growth)
        expect(self.final >= 0, "a final factor of at least 0", final=self.final)

    def factor(self, moment: Moment) -> float:
        """Return the cosine of how far the present period has come."""
        begin, length = 0.0, self.first
        while moment.epoch >= begin + length:
            begin, length = begin + length, length * self.growth
        share = (moment.epoch - begin) / length
        return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * share)) / 2.0


class Triangle(Schedule, frozen=True, kw_only=True):
    """The rate climbs from `low` to 1 and falls back, in straight lines, again and again.

    Args:
        half: epochs of the way up, and of the way down.
        low: the factor at the bottom.

    Source: Smith, "Cyclical learning rates", WACV 2017.
    """

    half: float = 2.0
    low: float = 0.25

    def __post_init__(self) -> None:
        expect(self.half > 0, "half above 0 epochs", half=self.half)
        expect(0 <= self.low <= 1, "0 <= low <= 1", low=self.low)

    def factor(self, moment: Moment) -> float:
        """Return low + (1 - low) * distance from the nearest bottom / half."""
        place = moment.epoch % (2 * self.half)
        return self.low + (1.0 - self.low) * min(place, 2 * self.half - place) / self.half


class OneCycle(Schedule, frozen=True, kw_only=True):
    """One climb from `start` to 1 along half a cosine, one fall to `final` along another.

    It is its own warm-up: leave `warmup_epochs` at 0.

    Args:
        rise: share of training that the climb takes.
        start: the factor at the start.
        final: the factor at the end.

    Source: Smith and Topin, "Super-convergence", 2018, with fast.ai's cosines.
    """

    rise: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def __post_init__(self) -> None:
        expect(0 < self.rise < 1, "0 < rise < 1", rise=self.rise)
        expect(0 <= self.start <= 1, "0 <= start <= 1", start=self.start)
        expect(0 <= self.final <= 1, "0 <= final <= 1", final=self.final)

    def factor(self, moment: Moment) -> float:
        """Return the cosine between start and 1, or between 1 and final."""
        climbing = moment.fraction < self.rise
        low = self.start if climbing else self.final
        share = moment.fraction / self.rise
        if not climbing:
            share = (1.0 - moment.fraction) / (1.0 - self.rise)
        return low + (1.0 - low) * (1.0 - math.cos(math.pi * share)) / 2.0


class Plateau(Schedule, frozen=True, kw_only=True):
    """The rate is multiplied by `drop` whenever `patience` epochs brought no gain.

    The rule of torch's ReduceLROnPlateau (relative threshold, no cool-down), computed afresh from
    the validations so far.

    Args:
        by: the figure watched.
        drop: factor at each drop.
        patience: epochs without gain that are borne before the next one drops the rate.
        threshold: relative gain that counts as one.
        least: the factor never falls below this.
    """

    by: Figure = "loss"
    drop: float = 0.1
    patience: int = 5
    threshold: float = 1e-4
    least: float = 0.0

    def __post_init__(self) -> None:
        expect(0 < self.drop < 1, "0 < drop < 1", drop=self.drop)
        expect(self.patience >= 0, "patience of at least 0 epochs", patience=self.patience)
        expect(self.threshold >= 0, "a threshold of at least 0", threshold=self.threshold)
        expect(0 <= self.least <= 1, "0 <= least <= 1", least=self.least)

    def factor(self, moment: Moment) -> float:
        """Return drop ** (drops so far), not below `least`."""
        sign = 1.0 if self.by == "loss" else -1.0
        leader, waited, drops = math.inf, 0, 0
        for validation in moment.validations:
            figure = sign * (validation.loss if self.by == "loss" else validation.accuracy)
            if figure < leader - self.threshold * abs(leader) or leader == math.inf:
                leader, waited = figure, 0
            else:
                waited += 1
            if waited > self.patience:
                drops, waited = drops + 1, 0
        return float(max(self.least, self.drop**drops))


class Course(NamedTuple):
    """A schedule laid over a training of known length.

    Args:
        schedule: how the rate falls.
        steps_per_epoch: optimiser steps in an epoch.
        epochs: length of training.
        warmup_epochs: the rate first climbs in a straight line for this long; may be fractional.
    """

    schedule: Schedule
    steps_per_epoch: int
    epochs: int
    warmup_epochs: float = 0.0

    def factor(self, step: int, validations: Sequence[Validation] = ()) -> float:
        """Return the factor on the optimiser's rate for a step, counted from 0.

        In the warm-up, factor = (step + 1) / warm-up steps, times the schedule's own.
        Source of the warm-up: Goyal et al. 2017, section 2.2.
        """
        steps = self.epochs * self.steps_per_epoch
        warmup = min(round(self.warmup_epochs * self.steps_per_epoch), steps)
        fraction = max(step - warmup, 0) / max(steps - warmup, 1)
        moment = Moment(step / self.steps_per_epoch, fraction, validations)
        climb = min((step + 1) / warmup, 1.0) if warmup else 1.0
        return climb * self.schedule.factor(moment)
