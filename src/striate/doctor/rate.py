"""The learning-rate range test: one short training whose rate climbs until the loss blows up.

So many steps for each power of ten, wherever the climb starts: a lower start only adds steps at
rates that change nothing, so the answer does not depend on it. The loss is followed by running
medians, which a single spike does not move.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from striate import draw
from striate.doctor.story import Floats
from striate.draw.axes import linear_axis, logarithmic_axis
from striate.errors import NotFiniteError, UsageError
from striate.records import Record
from striate.train import Recipe, Schedule
from striate.train.prepare import Prepared, prepare
from striate.train.processes import processes
from striate.train.schedule import Moment
from striate.train.training import Training

_MEDIAN = 9  # steps
_FELL = 0.9  # of the loss at the start, below which it has fallen
_BLOWN = 0.25  # of the way back up from the least median to the first
_SAFE = 6.0  # times below the rate that blows up


class Climb(Schedule, frozen=True, kw_only=True):
    """The rate climbs by a constant factor a step, from `start` to `end`."""

    start: float = 1e-6
    end: float = 10.0

    def factor(self, moment: Moment) -> float:
        """Return start (end / start) ** fraction."""
        return float(self.start * (self.end / self.start) ** moment.fraction)


class RateRange(Record, frozen=True, kw_only=True):
    """What the climb showed.

    Args:
        suggested: a rate to start from.
        blows_up: the least rate at which the loss had left its lowest level; None if none did.
        learns_from: the least rate at which it had fallen by a tenth, and stayed there until its
            lowest; None if it never did.
        rates: of each step.
        losses: of each step.
    """

    suggested: float
    blows_up: float | None
    learns_from: float | None
    rates: tuple[float, ...]
    losses: tuple[float, ...]


class _Points(NamedTuple):
    rates: list[float]
    losses: list[float]


def rate_range(
    recipe: Recipe,
    prepared: Prepared | None = None,
    *,
    start: float = 1e-6,
    end: float = 10.0,
    steps_per_decade: int = 25,
) -> RateRange:
    """Climb through learning rates and say which one to start from.

    Args:
        recipe: what would be trained; its own rate and schedule play no part.
        prepared: its data, where it is open already.
        start: the lowest rate.
        end: the highest.
        steps_per_decade: steps for each power of ten.

    Raises:
        UsageError: bounds that make no sense, or a loss that never falls.

    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.
    """
    if not 0 < start < end or steps_per_decade < _MEDIAN:
        raise UsageError(
            f"Expected 0 < start < end and at least {_MEDIAN} steps per decade, received "
            f"start={start:g}, end={end:g}, steps_per_decade={steps_per_decade}."
        )
    steps = math.ceil(steps_per_decade * math.log10(end / start))
    points = _climb(recipe, prepared or prepare(recipe), start, end, steps)
    losses, rates = np.array(points.losses), np.array(points.rates)
    calm = _calmed(losses)
    lowest = np.minimum.accumulate(calm)
    bottom = int(calm.argmin())
    level = max(float(np.median(losses[:count])) for count in (_MEDIAN, steps_per_decade))
    above = np.flatnonzero(calm[:bottom] >= _FELL * level)  # for good: one low batch is no fall
    falls = int(above[-1]) + 1 if len(above) else 0
    blown = np.flatnonzero((calm > lowest + _BLOWN * (calm[0] - lowest)) & (rates > rates[bottom]))
    left = float(rates[blown[0]]) if len(blown) else None
    if left is None and len(losses) < steps:
        left = float(rates[-1])
    if calm[bottom] >= _FELL * level:
        raise UsageError(
            "The loss never fell at any rate: see what `striate check` says of the network."
        )
    lag = 10 ** (_MEDIAN / 2 / steps_per_decade)  # a median answers half its length late
    top = (left if left is not None else end) / lag
    return RateRange(
        suggested=top / _SAFE,
        blows_up=left,
        learns_from=float(rates[falls]),
        rates=tuple(points.rates),
        losses=tuple(points.losses),
    )


def rate_picture(found: RateRange, network: str) -> draw.Figure:
    """Draw the loss over the rates, where it falls and blows up, and the rate to start from."""
    calm = _calmed(np.array(found.losses))
    suggested = int(np.abs(np.log(np.array(found.rates) / found.suggested)).argmin())
    kept = calm <= 3 * calm[0]  # beyond, only that it blew up can be seen
    every = list(zip(found.rates, found.losses, calm.tolist(), kept, strict=True))
    places = {"it learns from here": found.learns_from, "it blows up": found.blows_up}
    chart = draw.Chart(
        "Loss while the rate climbs",
        "learning rate",
        logarithmic_axis(found.rates[0], found.rates[-1]),
        linear_axis(0, float(calm[kept].max()) * 1.2, 5),
        {
            "_of each step": [
                (rate, min(loss, 1.2 * calm[kept].max())) for rate, loss, *_ in every
            ],
            f"median of {_MEDIAN} steps": [(rate, level) for rate, _, level, keep in every if keep],
        },
        places={name: rate for name, rate in places.items() if rate is not None},
        marked=((found.rates[suggested], float(calm[suggested])), f"start: {found.suggested:.2g}"),
    )
    return draw.charts([chart], title=f"{network}: start from a rate of {found.suggested:.2g}")


def _calmed(losses: Floats) -> Floats:
    """Return the running medians of the losses."""
    return np.array(
        [np.median(losses[max(0, k - _MEDIAN + 1) : k + 1]) for k in range(len(losses))]
    )


def _climb(recipe: Recipe, prepared: Prepared, start: float, end: float, steps: int) -> _Points:
    """Train with a climbing rate until the end, or until a loss is not finite."""
    per_epoch = max(1, -(-len(prepared.split.train) // recipe.batch))
    climbing = recipe.replace(
        optimiser=recipe.optimiser.replace(rate=1.0),
        schedule=Climb(start=start, end=end),
        epochs=-(-steps // per_epoch),
        warmup_epochs=0.0,
        ema=None,
        sizes=(),
    )
    points = _Points([], [])
    with processes(recipe.device) as together:
        training = Training(climbing, prepared, together)
        training.course = training.course._replace(steps_per_epoch=1, epochs=steps)
        try:
            while training.done < steps:
                for parts in training.batches():
                    taken = training.take_step(parts)
                    points.rates.append(taken.rate)
                    points.losses.append(taken.loss)
                    worst = taken.loss > 100 * points.losses[0]
                    if worst or training.done >= steps:
                        return points
        except NotFiniteError:
            pass
    return points
