"""Rules that read the loss: too low or too high a rate, explosion, plateau, over- and underfitting.

The bands were set on the digits and MNIST; every one is a ratio to something that the run itself
says (its first loss, the loss of guessing), so none depends on the size of a data set.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from striate.doctor.layers import dead_share
from striate.doctor.story import Finding, Floats, Story
from striate.train import Recipe
from striate.train.losses import WeightedCrossEntropy
from striate.train.objective import Mixing, Softmax

_EXPLODED = 3.0  # times the first loss: the lectures' rule for stopping early
_LEAPT = 10.0  # times the first loss, once
_BARELY = 0.97  # of the loss of the start that is left: nothing has happened
_STEPS = 10  # fewer say nothing
CROSS_ENTROPY: Final = (Softmax, WeightedCrossEntropy)  # in the units of validation's loss
_THROWN = 0.03  # of the weights' size a step: they go nowhere
_UNSTEADY = 0.005  # likewise, of a training that comes apart late
_BETTER = 1.3  # times its least value, beyond which a loss has been better than it is
_SMOOTHED = 0.1
_LITTLE = 0.05  # of the validation images: so few are wrong that nothing holds the network back
_HARDLY = 0.8  # of the loss of guessing: augmentation is meant to hold back, but not so far
_MANY = 0.08  # of the validation images, that what is known by heart has cost
_FALLING = 0.98  # of the least validation loss before
_SILENT = 0.95
_LEAST_RATE = 1e-5  # that is worth a try
_MOST_DECAY = 0.1  # beyond which decay is what holds a network back


def not_finite(story: Story) -> Finding | None:
    """A loss or gradient that became NaN or infinite."""
    if story.failure is None:
        return _never_finite(story)
    at, layer = story.failure.get("at", 0), str(story.failure.get("layer", ""))
    rate = float(story.rates[-1]) if len(story.rates) else story.recipe.optimiser.rate
    finite = story.losses[np.isfinite(story.losses)]
    risen = float(finite[-20:].max() / max(finite[0], 1e-12)) if len(finite) else 0.0
    calm = risen < 1.5 and (story.update_ratio() or 0.0) < _THROWN
    sudden = len(finite) >= _STEPS and calm
    return Finding(
        finding="not_finite",
        confidence=1.0,
        evidence={"step": at, "first_layer": layer, "rate": rate, "loss_risen": risen},
        meaning=f"step {at} was not finite, first in {layer}"
        + ", and nothing had grown before it" * sudden,
        remedy="look for a division by 0, a root or logarithm of what may be 0, or a damaged image "
        "in that step's batch"
        + ("" if story.own_loop else " (striate replay shows the step again)")
        if sudden
        else f"divide the learning rate by {1 / _calmer(story):g}, or clip the gradient",
        settings=() if sudden else (_rate(story, _calmer(story)),),
    )


def _never_finite(story: Story) -> Finding | None:
    """A history that goes on though no loss in it is a number."""
    count = len(story.losses)
    if count < 2 or bool(np.isfinite(story.losses).any()):
        return None
    return Finding(
        finding="not_finite",
        confidence=1.0,
        evidence={"step": 1, "steps": count},
        meaning=f"all {count} losses of the history are not finite",
        remedy="look for images, weights or a loss that are NaN from the start (striate check), "
        "and stop at the first step that is not finite",
    )


def exploding(story: Story) -> Finding | None:
    """A loss above three times the first one, or once ten times, after which nothing is learnt."""
    count = len(story.losses)
    if count < 2 or not bool(np.isfinite(story.losses).any()):
        return None
    start = max(float(story.losses[0]), story.chance)
    stopped = count < 0.5 * story.planned  # by somebody who saw it
    late = float(np.median(story.losses[-1 if stopped else -max(3, count // 10) :]))
    worst = float(np.nanmax(story.losses))
    if late <= _EXPLODED * start and not (worst > _LEAPT * start and late > 0.95 * story.chance):
        return None
    return Finding(
        finding="exploding",
        confidence=0.95,
        evidence={"first_loss": start, "late_loss": late, "worst_loss": worst},
        meaning=f"the loss went from {start:.2f} to {worst:.3g}, and stands at {late:.3g}",
        remedy=f"divide the learning rate by {1 / _calmer(story):g}, or warm it up",
        settings=(_rate(story, _calmer(story)),),
    )


def rate_too_high(story: Story) -> Finding | None:
    """A loss that stays about that of guessing while the weights are thrown about, or climbs."""
    if len(story.losses) < _STEPS or exploding(story) or not_finite(story):
        return None
    return _thrown(story) or _climbs(story)


def _thrown(story: Story) -> Finding | None:
    ratio, curve = story.update_ratio(), story.smoothed()
    alike = isinstance(story.recipe.objective, CROSS_ENTROPY)  # else guessing's is another loss
    level = min(story.chance, float(curve[0])) if alike else float(curve[0])
    stuck = float(curve[-3:].min()) > 0.9 * level
    begun = first_move(story)
    thrown = max(ratio or 0.0, begun)
    if not stuck or thrown < _THROWN:
        return None
    return Finding(
        finding="rate_too_high",
        confidence=0.85,
        evidence={
            "update_ratio": thrown,
            "late_loss": float(curve[-1]),
            "chance" if alike else "first_loss": story.chance if alike else float(curve[0]),
        },
        meaning=f"each step moves weights by {thrown:.1%} of their size, and the loss stays at "
        f"{curve[-1]:.2f}, where "
        + (f"guessing is {story.chance:.2f}" if alike else f"it began at {curve[0]:.2f}"),
        remedy=f"divide the learning rate by {1 / _calmer(story):g}",
        settings=(_rate(story, _calmer(story)),),
    )


def _climbs(story: Story) -> Finding | None:
    """A training loss that had fallen and is far up again, at a rate as high as before.

    Whatever the rate, where nothing is left of what validation had.
    """
    curve, ratio = story.smoothed(), story.update_ratio() or 0.0
    if story.planned > len(story.losses):
        return None
    least = int(curve.argmin())
    low, late = float(curve[least]), float(np.median(curve[-4:]))
    rates = [float(np.median(each)) for each in np.array_split(story.rates, len(curve))]
    steady = 0.3 * max(rates) <= rates[-1] <= 1.2 * rates[least]  # no restart, nor what one left
    up = late > 2 * low and late - low > 0.1 * story.chance and low < 0.6 * float(curve[0])
    lost = False
    if len(story.validations):  # mixed images, say, have a training loss that jumps
        last, best = float(story.validations[-1, 0]), float(story.validations[:, 0].min())
        up = up and last > 1.5 * best
        lost = up and last > max(_LEAPT * best, 1.5 * story.chance) and len(story.losses) > 30
    again = steady and ratio > _UNSTEADY and len(story.losses) >= 100
    if not (up and (again or lost) and least < len(curve) - 2):
        return None
    return Finding(
        finding="rate_too_high",
        confidence=0.7,
        evidence={"update_ratio": ratio, "least_loss": low, "late_loss": late},
        meaning=f"the training loss had fallen to {low:.2f} and is up at {late:.2f} again, while "
        f"each step moves weights by {ratio:.1%} of their size, where 0.1% is usual",
        remedy=f"divide the learning rate by {1 / _calmer(story):g}, or let it fall",
        settings=(_rate(story, _calmer(story)),),
    )


def rate_too_low(story: Story) -> Finding | None:
    """A loss that barely moves, even if the accuracy climbs: the lectures' lesson about softmax."""
    if len(story.losses) < _STEPS:
        return None
    ratio, curve = story.update_ratio(), story.smoothed()
    if first_move(story) > _THROWN / 10:  # updates that have become small are another story
        return None
    if dead_share(story)[1] > _SILENT:
        return None  # no rate moves what nothing gets through
    left = float(curve[-1] / max(float(curve[0]), 1e-12))
    slow = ratio is not None and ratio < 2e-4
    much = float(curve[-1]) > 0.6 * story.chance  # to learn; trained weights may know already
    barely = left > _BARELY and ratio is not None and ratio < 1e-3 and much
    falling = float(np.mean(np.diff(curve) < 0)) > 0.7 and much
    crawling = ratio is not None and ratio < 3e-5 and much
    if not (barely or crawling or (slow and falling)):
        return None
    accuracy = float(story.validations[-1, 1]) if len(story.validations) else float("nan")
    evidence: dict[str, float | str] = {
        "loss_left": left,
        "update_ratio": ratio if ratio is not None else 0.0,
    }
    climbs = accuracy > story.guessing
    wanted = round(math.log10(1e-3 / max(ratio or 0.0, 1e-9)))
    factor = 10.0 ** min(max(wanted, 1), 4)  # updates follow the rate
    if climbs:
        evidence["accuracy"] = accuracy
    return Finding(
        finding="rate_too_low",
        confidence=0.9 if barely or crawling else 0.7,
        evidence=evidence,
        meaning=f"{left:.0%} of the first loss is left, and each step moves weights by "
        f"{ratio or 0:.1e} of their size, where 1e-3 is usual"
        + ("; the accuracy climbs all the same, since only the order of scores counts" * climbs),
        remedy=f"multiply the learning rate by {factor:g}",
        settings=(_rate(story, factor),),
    )


def plateau(story: Story) -> Finding | None:
    """A loss that has stopped falling while the rate has not."""
    if len(story.losses) < 100 or len(story.validations) < 5:
        return None
    if isinstance(story.recipe.objective, Mixing):  # a loss that cannot fall below what is mixed
        return None
    curve, late = story.smoothed(10), story.rates[-len(story.rates) // 3 :]
    steady = float(late[-1]) >= 0.5 * float(story.rates.max()) and np.ptp(late) < 0.2 * late.max()
    before, after = float(curve[5:8].mean()), float(curve[8:].mean())
    learnt = float(curve[-1]) < 0.8 * float(curve[0])
    if isinstance(story.recipe.objective, CROSS_ENTROPY):  # else in other units than guessing's
        learnt = learnt and after < 0.98 * story.chance
    much = after - story.floor > 0.05 * story.chance and not _nearly_right(story)
    stands = 0.97 * before < after < _BETTER * float(curve.min())  # and has not climbed
    if not (steady and learnt and stands and much):
        return None
    return Finding(
        finding="plateau",
        confidence=0.6,
        evidence={"loss_before": before, "loss_after": after, "rate": float(late[-1])},
        meaning=f"the training loss has stood at {after:.3f} for the last third, at a steady rate",
        remedy="drop the learning rate by 10 from here on, or let it fall along a cosine",
        settings=("schedule=cosine",),
    )


def overfitting(story: Story) -> Finding | None:
    """A validation loss that rises, or stays far above, while the training loss falls."""
    if len(story.validations) < 4 or len(story.losses) < _STEPS:
        return None
    losses = story.validations[:, 0]
    best = int(losses.argmin())
    tail = float(losses[-max(1, len(losses) // 5) :].mean())
    train = float(story.smoothed()[-1])
    few = max((1 - float(story.validations[-1, 1])) * story.held_out, 1)  # images that are wrong
    held = min(tail, float(losses[-2:].min()))  # one validation may be a spike
    risen = held > (1.2 + 2 / math.sqrt(few)) * float(losses[best])
    risen = risen and held - float(losses[best]) > 0.05
    gap = tail - train
    alike = isinstance(story.recipe.objective, CROSS_ENTROPY)  # else in different units
    then = _training_loss_at(story, best)
    fell, learnt = train < then, train < 0.8 * max(float(story.losses[0]), story.chance)
    rises = risen and best < 0.7 * len(losses) and (gap > 0.3 * tail or not alike)
    rises = rises and train < 1.2 * then + 0.01  # where both rise, the training came apart
    rises = rises and (not alike or train < 0.95 * story.chance)  # what is overfitted was learnt
    left = max(train - story.floor, 0.0)
    by_heart = alike and learnt and left < 0.25 * tail
    by_heart = by_heart and tail > max(0.12 * story.chance, 0.5 * story.floor)
    by_heart = by_heart and 1 - float(story.validations[-1, 1]) > _MANY
    if not (rises or by_heart):
        return None
    return Finding(
        finding="overfitting",
        confidence=0.85 if rises else 0.6,
        evidence={
            "best_validation_loss": float(losses[best]),
            "validation_loss": tail,
            "training_loss": train,
            "gap": gap,
            "best_epoch": best + 1,
        },
        meaning=f"the validation loss rose from {losses[best]:.3f} (epoch {best + 1}) to "
        f"{tail:.3f} while the training loss {'fell to' if fell else 'stood at'} {train:.3f}"
        if rises
        else f"the training loss {'fell to' if train < story.losses[0] else 'is'} {train:.3f}, and "
        f"the validation loss stays at {tail:.3f}",
        remedy="augment, smooth the labels, decay more, add dropout, or stop at the best epoch",
        settings=_smoother(story, tail),
    )


def _training_loss_at(story: Story, number: int) -> float:
    """Return the training loss of the steps that led to a validation, counted from 0."""
    parts = np.array_split(story.losses, len(story.validations))
    return float(np.median(parts[number]))


def _smoother(story: Story, loss: float) -> tuple[str, ...]:
    """Return what keeps a network from being too sure of what it has by heart.

    Smoothed labels keep the loss above their own entropy, and are no remedy for one below it.
    """
    recipe = story.recipe
    if getattr(recipe.objective, "label_smoothing", _SMOOTHED) >= _SMOOTHED:
        more = max(10 * recipe.optimiser.decay, 5e-3)
        return (f"optimiser.decay={more:g}",) if more <= _MOST_DECAY else ()
    smooth = recipe.objective.replace(label_smoothing=_SMOOTHED)
    least = story._replace(recipe=recipe.replace(objective=smooth)).floor
    return (f"objective.label_smoothing={_SMOOTHED:g}",) if loss > least else ()


def underfitting(story: Story) -> Finding | None:
    """Training and validation alike, both poor, and no faster progress to be had."""
    begun = story.recipe.start is not None  # what it could learn, it may know already
    alike = isinstance(story.recipe.objective, CROSS_ENTROPY)
    if len(story.validations) < 3 or len(story.losses) < 100 or begun or not alike:
        return None
    curve, ratio = story.smoothed(), story.update_ratio()
    train, validation = float(curve[-1]), float(story.validations[-1, 0])
    poor = (
        train - story.floor > 0.25 * story.chance
        and float(story.validations[-1, 1]) > story.guessing
        and not _nearly_right(story)
    )
    alike = 0.97 * train < validation < 1.25 * train  # below it, noise in training holds it back
    calm = ratio is not None and 2e-4 < ratio < 0.03
    still = _still(story.losses[story.rates >= 0.3 * story.rates.max()])
    best = train < _BETTER * float(curve.min())  # it could do no better before either
    falling = validation < _FALLING * float(story.validations[:-1, 0].min())
    if not (poor and alike and calm and still and best) or falling:
        return None
    own = story.own_loop  # no images are known of
    return Finding(
        finding="underfitting",
        confidence=0.5 if story.recipe.augmentation and train < _HARDLY * story.chance else 0.6,
        evidence={"training_loss": train, "validation_loss": validation, "chance": story.chance},
        meaning=f"the training loss itself ends at {train:.2f}, where guessing is "
        f"{story.chance:.2f}: the network is too small, or held back, or there is no more to learn",
        remedy="look at what it gets wrong and at labels that it doubts"
        + ("" if own else " (figures/mistakes.png, striate check --run RUN)")
        + "; else augment or decay less, train longer, or take a larger network"
        + (
            " (striate augment shows what is left of an image)" if story.recipe.augmentation else ""
        ),
        settings=_freer(story.recipe),
    )


def _freer(recipe: Recipe) -> tuple[str, ...]:
    """Return what holds a network back least expensively tried: no augmentation, or less decay."""
    if recipe.augmentation:
        return ("augmentation=[]",)
    decay = recipe.optimiser.decay
    return (f"optimiser.decay={decay / 10:g}",) if decay else ()


def _nearly_right(story: Story) -> bool:
    """Tell whether so little is wrong that a loss which stands is that of its own units."""
    return len(story.validations) > 0 and 1 - float(story.validations[-1, 1]) < _LITTLE


def _still(losses: Floats) -> bool:
    """Tell whether a loss stood while the rate was high; a falling rate would calm any."""
    if len(losses) < 64:
        return False
    pieces = [float(np.median(each)) for each in np.array_split(losses, 8)]
    return pieces[-1] > 0.95 * pieces[3]


def _rate(story: Story, factor: float) -> str:
    return f"optimiser.rate={story.recipe.optimiser.rate * factor:g}"


def first_move(story: Story) -> float:
    """Return the median of update / size over layers at the first probe; 0 where there is none.

    What is not finite any more counts as beyond all measure.
    """
    weights = story.probes[0]["weights"].values() if story.probes else ()
    ratios = [
        math.nan if e["update"] is None else e["update"] / e["size"] for e in weights if e["size"]
    ]
    return float(np.median(np.minimum(np.nan_to_num(ratios, nan=1e30), 1e30))) if ratios else 0.0


def _calmer(story: Story) -> float:
    """Return the power of ten that brings the first updates to some 1% of the weights, or less.

    A rate is not brought below 1e-5 by more than a tenth.
    """
    tens = math.log10(min(max(first_move(story), 1e-2), 1e8) / 1e-2)
    room = math.floor(math.log10(max(story.recipe.optimiser.rate / _LEAST_RATE, 1e-30)))
    return float(10.0 ** -max(1, min(math.ceil(tens - 0.3), room)))
