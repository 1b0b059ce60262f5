"""Rules on whether a run's figures can be true together: laws that no choice of a rate breaks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from striate.doctor.curves import CROSS_ENTROPY, first_move
from striate.doctor.fed import CARRIES, first_seen, not_shuffled
from striate.doctor.story import Finding, Story
from striate.doctor.swaps import labels_disagree
from striate.train.lbfgs import LBFGS
from striate.train.objective import CrossEntropy

_BELOW: Final = -1e-3
_SHORT: Final = 0.5  # of the least loss that there can be
_SUMMED: Final = (0.8, 1.5)  # times the images of a batch: what the first loss is of guessing's
_SAY: Final = 10  # finite losses; fewer say nothing
_FEWEST: Final = 12  # steps in all
_ENOUGH: Final = 100
_LEFT: Final = 0.1  # of the loss of guessing, that labels leave to be learnt
_SHARE: Final = 2 / 3  # of the least accuracy that a loss promises
_FAR: Final = 3.0  # times the loss of images seen for the first time
_APART: Final = 1.5  # times the training loss, where both are in the same units
_BELOW_GUESSING: Final = 0.95  # of its loss: something was learnt that carries over
_SURELY: Final = 0.85  # right: no network that is, and not held back, is so unsure
_CLIMBING: Final = 6.0  # standard errors
_MARGIN: Final = 30.0  # nats, by which no network is mistaken in the mean
_GENTLE: Final = 0.03  # of the weights' size
_CHECKS: Final = 5  # fewer validations show no tendency
_GAINS: Final = 0.03  # of the loss, in the last tenth of the epochs
_ENOUGH_RIGHT: Final = 0.98
_LEFT_BEHIND: Final = 0.6  # of the validation loss: a training loss below it learns by heart


def impossible_loss(story: Story) -> Finding | None:
    """A loss that no mean cross-entropy of this many classes can be.

    It is never negative; a wrong answer gives its own class at most half, and so costs ln 2 at
    least; and guessing among K classes costs ln K an image, not ln K a batch.
    """
    objective = story.recipe.objective
    if not story.own_loop or not isinstance(objective, CrossEntropy):
        return None
    losses = story.losses[np.isfinite(story.losses)]
    if not len(losses):
        return None
    first = float(np.median(losses[:3]))
    numbers: dict[str, float | str] = {"first_loss": first, "chance": story.chance}
    if float(losses.min()) < _BELOW:
        least = float(losses.min())
        return _impossible(
            {**numbers, "least_loss": least},
            0.95,
            f"the loss is {least:.3g} at its least, and a cross-entropy cannot be negative",
            "see that it is given scores (cross_entropy) or their log_softmax (nll_loss), and that "
            "its sign was not turned round",
        )
    for loss, accuracy in story.validations:
        least = (1 - accuracy) * math.log(2)
        if story.held_out and loss < _SHORT * least and least > 0.01:
            chance = accuracy <= story.guessing
            return _impossible(
                {**numbers, "accuracy": float(accuracy), "least_loss": float(least)},
                0.9 if chance else 0.5,
                f"a validation loss of {loss:.3g} with {1 - accuracy:.0%} of the images wrong: a "
                f"cross-entropy is at least {least:.3g} then",
                "see what the loss is divided by or multiplied with; of another loss than "
                "cross-entropy tell Watch (objective=...)",
            )
    factor, batch = first / story.chance, story.recipe.batch
    among = math.log(max(batch, 2))
    like = len(losses) >= 3 and bool((np.abs(losses[:3] - among) < 0.03).all())
    if like and abs(among - story.chance) > 0.2:
        return _impossible(
            {**numbers, "batch": batch, "guessing_among_a_batch": among},
            0.85,
            f"the first losses are ln {batch}, those of guessing among the images of a batch; "
            f"among {story.classes} classes guessing costs {story.chance:.2f}: a softmax runs over "
            "the batch",
            "take softmax over the classes (dim=1)",
        )
    if batch >= 4 and _SUMMED[0] * batch < factor < _SUMMED[1] * batch:
        return _impossible(
            {**numbers, "times": factor, "batch": batch},
            0.85,
            f"the first loss is {factor:.0f} times that of guessing, ln {story.classes}, and a "
            f"batch has {batch} images: it is summed over them",
            'take the mean (reduction="mean"), or divide the rate by the images of a batch',
        )
    return None


def _impossible(
    evidence: dict[str, float | str], confidence: float, meaning: str, remedy: str
) -> Finding:
    return Finding(
        finding="impossible_loss",
        confidence=confidence,
        evidence=evidence,
        meaning=meaning,
        remedy=remedy,
    )


def validation_differs(story: Story) -> Finding | None:
    """Held-out images of which fewer are right than of training images seen for the first time.

    In the first epoch the training loss L is that of images never seen before. Their true classes
    have a probability of exp(-L) in the mean at least (Jensen), so about as many held-out images
    come right, unless they are prepared, labelled or drawn otherwise. Later epochs learn more.
    """
    checks, loss = story.validations, first_seen(story)
    if len(checks) < 3 or loss is None or not story.held_out or story.classes < 2:
        return None
    if not isinstance(story.recipe.objective, CrossEntropy):
        return None
    late = float(story.smoothed()[-1])
    promised, right = math.exp(-loss), float(np.median(checks[:, 1]))
    cheapest = float(checks[:, 0].min())
    if loss < 0 or late > 1.2 * loss:
        return None  # it has lost again what it had learnt
    fewer = loss < CARRIES * story.chance and right <= _SHARE * promised
    dear = cheapest > max(_FAR * loss, 1.2 * story.chance)  # from the first validation on
    usual, wrong = float(np.median(checks[:, 0])), max(1 - right, 1 / story.held_out)
    dear = dear or usual > max(_MARGIN * wrong, 0.5 * story.chance)
    unlike = (
        loss < _BELOW_GUESSING * story.chance
        and late < loss
        and (cheapest > story.chance or right <= story.guessing)
    )  # what carries over to training images that are new does not carry over to these
    if not (fewer or dear or unlike) or not_shuffled(story):
        return None
    if labels_disagree(story) or impossible_loss(story):
        return None
    first = f"training images had a loss of {loss:.2f} when they were seen for the first time"
    return Finding(
        finding="validation_differs",
        confidence=0.85,
        evidence={
            "first_seen_loss": loss,
            "promised_accuracy": promised,
            "validation_accuracy": right,
            "validation_loss": usual,
            "least_validation_loss": cheapest,
        },
        meaning=f"{right:.0%} of the validation images are right; {first}, which promises "
        f"{promised:.0%} or more"
        if fewer
        else f"{right:.0%} of the validation images are right, at a loss of {usual:.3g}, where "
        f"guessing has {1 / max(story.classes, 1):.0%} and {story.chance:.3g}; {first}"
        if unlike and not dear
        else f"the validation loss, {usual:.3g} with {1 - right:.0%} of the images wrong, was "
        f"never below {cheapest:.3g}; {first}",
        remedy="see that validation images are prepared (normalised, turned, scaled), labelled and "
        "drawn as the training images are, and that the network evaluates as it trains",
    )


def loss_rises(story: Story) -> Finding | None:
    """A loss that climbs from the first step on, in steps too small to be thrown about by."""
    count, losses = len(story.losses), story.losses
    if count < _ENOUGH or not bool(np.isfinite(losses).all()):
        return None
    ranks = losses.argsort(kind="stable").argsort(kind="stable")
    trend = float(np.corrcoef(ranks, np.arange(count))[0, 1]) * math.sqrt(count - 1)  # Spearman's
    thirds = [float(each.mean()) for each in np.array_split(losses, 3)]
    learnt = len(story.validations) > 0 and float(story.validations[-1, 1]) > story.guessing
    climbs = trend > _CLIMBING and thirds[0] < thirds[1] < thirds[2]
    if not climbs or learnt or not 0 < first_move(story) < _GENTLE:
        return None
    return Finding(
        finding="loss_rises",
        confidence=0.9,
        evidence={
            "first_loss": thirds[0],
            "late_loss": thirds[2],
            "trend": trend,
            "first_move": first_move(story),
        },
        meaning=f"the loss rises from the first step on ({trend:.0f} standard errors from "
        f"standing), from {thirds[0]:.4g} to {thirds[2]:.4g}, though a step moves weights by "
        f"{first_move(story):.1e} of their size only: steps go up the gradient",
        remedy="see the sign of the loss and of the update (a minus too many, maximize=True)",
    )


def softmax_twice(story: Story) -> Finding | None:
    """A loss that cannot fall below that of probabilities taken for scores.

    Scores between 0 and 1 that add up to 1 give at best ln(e + K - 1) - 1, and 1 more where wrong.
    """
    if len(story.validations) < 2 or np.isfinite(story.losses).sum() < _SAY:
        return None
    floor = math.log(math.e + story.classes - 1) - 1
    late = story.validations[len(story.validations) // 2 :]
    loss, accuracy = map(float, late[-1])
    if len(late) < 3 and accuracy < _SURELY:
        return None  # what learns passes there on its way
    near = bool((np.abs(late[:, 0] - (floor + 1 - late[:, 1])) < 0.1).all())
    above = floor - 0.01 < float(np.nanmin(story.losses)) < floor + 0.35
    if story.classes < 3 or accuracy < max(0.3, story.guessing) or not (near and above):
        return None
    return Finding(
        finding="softmax_twice",
        confidence=0.85,
        evidence={"validation_loss": loss, "accuracy": accuracy, "floor": floor},
        meaning=f"{accuracy:.0%} are right, but the loss stays at {loss:.2f}: it is that of "
        f"probabilities taken for scores, which cannot fall below {floor:.2f}",
        remedy="end the network with scores: the loss has its own softmax",
    )


def smoothed_away(story: Story) -> Finding | None:
    """Labels so smoothed that guessing is nearly the best that there is."""
    share = 1 - story.floor / story.chance
    if story.floor == 0 or share > _LEFT:
        return None
    smoothing = float(getattr(story.recipe.objective, "label_smoothing", 0.0))
    return Finding(
        finding="smoothed_away",
        confidence=0.9,
        evidence={"label_smoothing": smoothing, "least_loss": story.floor, "left": share},
        meaning=f"labels smoothed by {smoothing:g} leave {share:.1%} of the loss of guessing to be "
        f"learnt: it cannot fall below {story.floor:.2f}, and guessing is {story.chance:.2f}",
        remedy="smooth labels by a tenth",
        settings=("objective.label_smoothing=0.1",),
    )


def still_improving(story: Story) -> Finding | None:
    """A training that ended while it still gained: worth a look, and no alarm."""
    planned = story.planned
    ended = planned <= len(story.losses) and story.failure is None
    if len(story.validations) < _CHECKS or not ended:
        return None
    losses = story.validations[:, 0]
    span = max(round(len(losses) / 10), 1)
    now, before, right = float(losses[-1]), float(losses[:-span].min()), story.validations[-1, 1]
    falls = int(losses.argmin()) == len(losses) - 1 and now < (1 - _GAINS) * before
    train = float(np.median(story.losses[-max(len(story.losses) // len(losses), 1) :]))
    alike = isinstance(story.recipe.objective, CROSS_ENTROPY)  # else in other units
    if not falls or right > _ENOUGH_RIGHT or (alike and train < _LEFT_BEHIND * now):
        return None
    return Finding(
        finding="still_improving",
        confidence=0.5,
        evidence={
            "validation_loss": now,
            "before_the_last_tenth": before,
            "training_loss": train,
            "epochs": float(story.recipe.epochs),
        },
        meaning=f"the validation loss was still falling at the end: {before:.3f} before the last "
        f"tenth of the epochs, {now:.3f} after the last, and no epoch had less",
        remedy="train longer"
        if story.own_loop
        else f"train longer, as --set epochs={2 * story.recipe.epochs} does from the start (of "
        "what has ended, --resume goes no further)",
    )


def nothing_learnt(story: Story) -> Finding | None:
    """An accuracy that never left that of guessing: asked last, where no rule says why."""
    checks, steps = story.validations, len(story.losses)
    if len(checks) < 3 or steps < _ENOUGH or story.classes < 2 or not story.held_out:
        return None
    best = float(checks[:, 1].max())
    if best > story.guessing:
        return None
    return Finding(
        finding="nothing_learnt",
        confidence=0.6,
        evidence={"validation_accuracy": best, "guessing": story.guessing, "steps": steps},
        meaning=f"after {steps} steps the best validation accuracy, {best:.1%}, is that of "
        "guessing, and no curve says why",
        remedy="see that the loss compares each output with its own label (a column against a row "
        "is broadcast), that labels belong to their images, and that 20 images are learnt by heart "
        + ("(doctor.check_module)" if story.own_loop else "(striate check)"),
    )


def few_steps(story: Story) -> Finding | None:
    """A training of so few steps in all that no rate could have taught much."""
    recipe, planned = story.recipe, story.planned
    losses = story.losses[np.isfinite(story.losses)]
    if story.own_loop or recipe.start is not None:  # its step may be L-BFGS's
        return None
    if isinstance(recipe.optimiser, LBFGS):  # one of its steps is twenty
        return None
    if planned >= _FEWEST or len(losses) < max(planned, 3):
        return None
    if story.failure is not None or float(losses[-1]) < 0.5 * story.chance:
        return None
    seen = story.images * recipe.epochs
    batch = 2 ** max(int(math.log2(max(seen / _ENOUGH, 1))), 3)
    return Finding(
        finding="few_steps",
        confidence=0.8,
        evidence={"steps": planned, "batch": recipe.batch, "loss": float(losses[-1])},
        meaning=f"the whole training has {planned} steps, after which the loss is "
        f"{losses[-1]:.2f}, where guessing is {story.chance:.2f}: nothing has had the time to "
        "be learnt",
        remedy="take smaller batches, or more epochs",
        settings=(f"batch={batch}",) if batch < recipe.batch else (),
    )
