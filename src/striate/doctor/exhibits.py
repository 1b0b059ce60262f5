"""Charts of evidence that is no curve over the epochs: parts, answers, settings, checks."""

from __future__ import annotations

import math

import numpy as np

from striate.contract import Contract
from striate.design.pointwise import Dropout
from striate.doctor.begun import start_sizes
from striate.doctor.story import Finding
from striate.doctor.told import Drawer, Shown, Told, finite, numbered
from striate.draw import Bands, Bars, Chart, Table
from striate.draw.axes import Axis, linear_axis, loss_axis
from striate.draw.figure import Point

_DRAWN = 80  # points of a curve that is a formula
_FIRST = 50  # steps
_MOST_CHECKS = 4  # in one chart


# -- parts and answers


def answers(told: Told, finding: Finding) -> Shown | None:
    """Draw the confusion of the test."""
    table = ((told.story.results or {}).get("test") or {}).get("confusion")
    if not table:
        return None
    return Table("Answers on the test images", np.asarray(table, np.float64), "answered")


def leaked(told: Told, finding: Finding) -> Shown | None:
    """Draw the share of a part that was trained on."""
    return _shared(finding, f"{finding.evidence['part']} images that were trained on")


def chosen(told: Told, finding: Finding) -> Shown | None:
    """Draw the share of the validation part that is the test's."""
    return _shared(finding, "validation images that are the test's")


def _shared(finding: Finding, what: str) -> Bars:
    share = float(finding.evidence["shared"]) / max(float(finding.evidence["of"]), 1)
    return Bars("Images in two parts", {what: share})


def _evidence(title: str, named: dict[str, str]) -> Drawer:
    """Return what draws numbers of the evidence as bars, by the words that they go under."""

    def draw(told: Told, finding: Finding) -> Shown | None:
        return Bars(title, {word: float(finding.evidence[key]) for word, key in named.items()})

    return draw


parts = _evidence(
    "Accuracy of the parts", {"validation": "validation_accuracy", "test": "test_accuracy"}
)
luck = _evidence(
    "Accuracy against guessing",
    {
        "best on validation images": "validation_accuracy",
        "guessing, and three standard errors": "guessing",
    },
)
bad_luck = _evidence(
    "Accuracy against guessing",
    {
        "later validations": "validation_accuracy",
        "guessing": "guessing",
        "guessing, three standard errors less": "least_by_luck",
    },
)
promise = _evidence(
    "Accuracy against what training promises",
    {
        "right of validation images": "validation_accuracy",
        "promised by the first epoch's loss, at least": "promised_accuracy",
    },
)
modes = _evidence(
    "Mode that the network was called in",
    {"training": "in_training_mode", "evaluation": "in_evaluation_mode"},
)
left_to_learn = _evidence("Part of the guessing loss that can be learnt", {"here": "left"})


# -- what the run was made of


def idle(told: Told, finding: Finding) -> Shown | None:
    """Draw how many layers train, and how many keep what they were drawn with."""
    share = float(finding.evidence["layers"]) / max(float(finding.evidence["of"]), 1)
    return Bars("Layers with weights", {"that train": 1 - share, "left as drawn": share})


def beginnings(told: Told, finding: Finding) -> Shown | None:
    """Draw how many epochs begin with the images that the first one began with."""
    digests = [each["digest"] for each in told.story.orders if "digest" in each]
    if len(digests) < 2:
        return None
    share = float(np.mean([each == digests[0] for each in digests[1:]]))
    return Bars("Later epochs", {"that begin with the batch of the first": share})


def dropped(told: Told, finding: Finding) -> Shown | None:
    """Draw the share that each dropout drops."""
    layers = [e for e in told.story.recipe.network.layers if isinstance(e, Dropout)]
    worst = sorted(layers, key=lambda each: -each.p)[:_MOST_CHECKS]
    return Bars("Features dropped", {each.name: each.p for each in worst}) if worst else None


def memory(told: Told, finding: Finding) -> Shown | None:
    """Draw for how much of the training momentum goes on with one gradient, and 0.9 beside it."""
    momentum = float(getattr(told.story.recipe.optimiser, "momentum", 0.0))
    steps = told.pace * told.story.recipe.epochs
    places = np.linspace(0, steps, _DRAWN)
    series = {
        f"momentum {each:g}": [(float(at), float(each**at)) for at in places]
        for each in (momentum, 0.9)
    }
    percent = linear_axis(0, 1, 5, label=lambda value: f"{100 * value:g}%")
    across = _within(linear_axis(0, steps, 6), steps)
    return Chart("What is left of a gradient", "steps after it", across, percent, series)


def small(told: Told, finding: Finding) -> Shown | None:
    """Draw by how much a batch's mean is off, by its images."""
    size = max(told.story.recipe.batch // told.story.recipe.accumulate, 1)
    most = max(32, 2 * size)
    points = [(float(n), n**-0.5) for n in range(1, most + 1)]
    across = _within(linear_axis(0, most, 8), most)
    mark = ((float(size), size**-0.5), f"here: {size} image{'s' * (size > 1)}")
    title, curve = "Error of a batch's mean, in deviations", {"1 / square root": points}
    up = linear_axis(0, 1, 5)
    return Chart(title, "images in a batch", across, up, curve, marked=mark)


def levels(told: Told, finding: Finding) -> Shown | None:
    """Draw what becomes of a pixel here, and where the weights were trained."""
    mine, theirs = told.story.contract, told.story.start
    if mine is None or theirs is None:
        return None
    found = {**_lines(mine, "here"), **_lines(theirs, "for the weights")}
    values = [value for points in found.values() for _, value in points]
    across = Axis(0, 255, (0, 50, 100, 150, 200, 250))
    up = linear_axis(min(values), max(values), 6)
    return Chart("What a pixel becomes", "8-bit level", across, up, found)


def _lines(contract: Contract, name: str) -> dict[str, list[Point]]:
    """Return a preparation as lines, that of the first channel named."""
    found = {}
    for number, (slope, offset) in enumerate(zip(*contract.forward, strict=True)):
        key = f"_{name} {number}" if number else name
        found[key] = [(0.0, offset), (255.0, 255 * slope + offset)]
    return found


def norms(told: Told, finding: Finding) -> Shown | None:
    """Draw the norms that layers began with, and those that the file would have given them."""
    start = told.story.recipe.start
    first = told.probes[0]["weights"] if told.probes else {}
    given = start_sizes(start) if start is not None else {}
    places = {layer.name: k for k, layer in enumerate(told.story.recipe.network.layers)}
    names = sorted(
        (name for name in first if name in given and first[name]["size"]),
        key=lambda name: places.get(name.rpartition(".")[0], len(places)),
    )
    if not names:
        return None
    found = {
        "here": [(k, float(first[name]["size"])) for k, name in enumerate(names, 1)],
        "in the file": [(k, given[name]) for k, name in enumerate(names, 1)],
    }
    most = max(value for points in found.values() for _, value in points)
    below = f"weights, {names[0]} to {names[-1]}"
    return Chart(
        "Norm at the first step", below, numbered(len(names)), linear_axis(0, most, 5), found
    )


# -- laws


def law(told: Told, finding: Finding) -> Shown | None:
    """Draw the loss of each validation by its accuracy, and what probabilities for scores give."""
    losses, hits = told.checks("loss"), dict(told.checks("accuracy"))
    seen = sorted((hits[x], loss) for x, loss in losses if x in hits)
    floor = finding.evidence.get("floor")
    if not seen or not finite(floor):
        return None
    lines = {"each validation": seen, "a softmax twice": [(0.0, floor + 1), (1.0, floor)]}
    percent = linear_axis(0, 1, 5, label=lambda value: f"{100 * value:g}%")
    every = [value for points in lines.values() for _, value in points]
    return Chart("Loss by accuracy", "accuracy", percent, loss_axis(every), lines)


def first_losses(told: Told, finding: Finding) -> Shown | None:
    """Draw the first losses, that of guessing and the least that there can be."""
    points = told.steps("loss")[:_FIRST]
    if not points:
        return None
    chance, values = told.story.chance, [value for _, value in points]
    up = linear_axis(min(0.0, *values), max(chance, *values), 5)
    levels = {"guessing": chance, "no cross-entropy is below this": 0.0}
    return Chart("First losses", "epochs", _until(points), up, {"training": points}, levels)


def _until(points: list[Point]) -> Axis:
    """Return an axis from 0 to the last of some points."""
    last = max(points[-1][0], 1e-3)
    return _within(linear_axis(0, last, 4), last)


def gap(told: Told, finding: Finding) -> Shown | None:
    """Draw by how much the validation loss exceeds the training loss of its epoch."""
    steps = told.steps("loss")
    found: list[Point] = []
    before = 0.0
    for x, loss in told.checks("loss"):
        own = [value for at, value in steps if before < at <= x]
        found += [(x, loss - float(np.mean(own)))] if own else []
        before = x
    if not found:
        return None
    values = [value for _, value in found]
    up = linear_axis(min(0.0, *values), max(*values, 1e-3), 5)
    title = "Validation loss - training loss"
    return Chart(title, "epochs", told.across, up, {"gap": found}, {"none": 0.0})


def checks(told: Told, finding: Finding) -> Shown | None:
    """Draw what the failed checks measured against what passes."""
    rows: dict[str, tuple[float, float, float]] = {}
    for each in told.story.failed[:_MOST_CHECKS]:
        measured = each.evidence.get("measured")
        least, most = (each.evidence.get(key) for key in ("at_least", "at_most"))
        if not finite(measured):
            continue
        low, high = (
            end if finite(end) else open_end
            for end, open_end in ((least, -math.inf), (most, math.inf))
        )
        if not low <= measured <= high:  # else what failed was a yes or no
            rows[each.finding.replace("_", " ")] = (measured, low, high)
    return Bands("Checks before the training: what passes is shaded", rows) if rows else None


def _within(axis: Axis, last: float) -> Axis:
    """Return an axis that ends at a value."""
    return Axis(0, last, tuple(each for each in axis.ticks if each <= last))
