"""The pictures of findings: the curves, then a chart of the evidence of each finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import numpy as np

from striate.doctor.story import Finding, Story
from striate.draw import Bars, Chart, Figure, Table, charts
from striate.draw.axes import Axis, linear_axis, logarithmic_axis, loss_axis
from striate.draw.figure import Point
from striate.train.objective import Softmax

Shown = Chart | Bars | Table
Line = Mapping[str, Any]
Drawer = Callable[["_Told", Finding], Shown | None]

_USUAL = 1e-3  # update / weight
_NAMED = 4  # layers of a chart; the others are grey
_STRETCHES = 150  # that a longer history is drawn in
_LEAST = 1e-12  # that a logarithmic axis shows


def picture(
    title: str, story: Story, history: Sequence[Line], findings: Sequence[Finding]
) -> Figure:
    """Draw a run's loss and accuracy, then the evidence of each finding, one chart a kind.

    Args:
        title: what the run is called.
        story: of the run.
        history: its lines.
        findings: about it, the surest first.
    """
    told = _Told(story, history)
    shown: list[Shown] = [told.loss(findings), told.accuracy()]
    kinds: dict[Drawer, list[Finding]] = {}
    for each in findings:
        for drawer in _EVIDENCE.get(each.finding, ()):
            kinds.setdefault(drawer, []).append(each)
    shown += [chart for drawer, own in kinds.items() if (chart := drawer(told, own[0])) is not None]
    names = [each.finding.replace("_", " ") for each in findings]
    return charts(shown, title=f"{title}: {names[0] if names else 'nothing found'}",
                  note=f"also: {', '.join(names[1:])}" if names[1:] else "")  # fmt: skip


class _Told:
    """What charts are made of: the lines of a history, over epochs."""

    def __init__(self, story: Story, history: Sequence[Line]) -> None:
        self.story, self.history = story, history
        self.pace = story.steps_per_epoch
        self.alike = isinstance(story.recipe.objective, Softmax)  # its loss is guessing's ln K
        self.probes = [line for line in history if line.get("probe") == "layers"]
        last = max((line.get("step", 0) for line in history), default=0) / self.pace
        whole = linear_axis(0, max(last, 1e-3), 6)
        self.across = Axis(0, max(last, 1e-3), tuple(each for each in whole.ticks if each <= last))

    def steps(self, key: str) -> list[Point]:
        """Return a figure of steps over the epochs, finite ones only."""
        return [
            (line["step"] / self.pace, float(line[key]))
            for line in self.history
            if line.get("kind") == "step" and _finite(line.get(key))
        ]

    def checks(self, key: str) -> list[Point]:
        """Return a figure of validations over the epochs."""
        return [
            (line["step"] / self.pace, float(line[key]))
            for line in self.history
            if line.get("kind") == "validation" and _finite(line.get(key))
        ]

    def layers(self, part: str, value: Callable[[Line], float | None]) -> dict[str, list[Point]]:
        """Return a figure of each layer's probes over the epochs."""
        found: dict[str, list[Point]] = {}
        for probe in self.probes:
            for name, each in probe.get(part, {}).items():
                figure = value(each) if isinstance(each, Mapping) else each
                if _finite(figure):
                    found.setdefault(name.removesuffix(".weight"), []).append(
                        (probe["step"] / self.pace, float(figure))
                    )
        return found

    def loss(self, findings: Sequence[Finding]) -> Chart:
        """Draw the loss of training and validation, the best epoch of the latter marked."""
        series = {"training": _medians(self.steps("loss")), "validation": self.checks("loss")}
        values = [value for points in series.values() for _, value in points]
        best = min(series["validation"], key=lambda point: point[1], default=None)
        evidence = next((f.evidence for f in findings if "chance" in f.evidence), {})
        levels = {"guessing": self.story.chance} if self.alike else {}
        if "chance" in evidence:
            values.append(self.story.chance)
        floor = next((f.evidence["floor"] for f in findings if "floor" in f.evidence), None)
        if isinstance(floor, float):
            levels["it cannot fall below this"] = floor
        return Chart(
            "Loss",
            "epochs",
            self.across,
            loss_axis(values),
            {name: points for name, points in series.items() if points},
            levels,
            (best, f"best: epoch {best[0]:.3g}")
            if best and len(series["validation"]) > 1
            else None,
        )

    def accuracy(self) -> Chart:
        """Draw the validation accuracy over a range that has guessing in it."""
        points, guess = self.checks("accuracy"), 1 / max(self.story.classes, 1)
        top = min(1.0, max([3 * guess, *(1.15 * value for _, value in points)]))
        percent = linear_axis(0, top, 5, label=lambda value: f"{100 * value:g}%")
        series = {"validation": points} if points else {}
        return Chart("Accuracy", "epochs", self.across, percent, series, {"guessing": guess})


def _updates(told: _Told, finding: Finding) -> Shown | None:
    """Draw update / weight by layer, and the usual 1e-3."""
    found = told.layers("weights", lambda each: _ratio(each["update"], each["size"]))
    shown = _few(found, lambda points: -abs(math.log10(max(points[-1][1], _LEAST) / _USUAL)))
    return _logarithmic(
        told, "Update / weight, by layer", shown, {"usual, 1e-3": _USUAL}, (1e-4, 1e-2)
    )


def _depth(told: _Told, finding: Finding) -> Shown | None:
    """Draw gradient / weight from the first layer to the last."""
    if not told.probes:
        return None
    places = {layer.name: k for k, layer in enumerate(told.story.recipe.network.layers)}
    slopes: dict[str, list[float]] = {}
    weights = told.probes[min(1, len(told.probes) - 1)]["weights"]
    for name in sorted(weights, key=lambda each: places.get(each.rpartition(".")[0], len(places))):
        slope = _ratio(weights[name]["gradient"], weights[name]["size"])
        if slope is not None and _finite(slope):
            slopes[name] = [float(len(slopes) + 1), slope]
    points = [(x, max(y, _LEAST)) for x, y in slopes.values()]
    if not points:
        return None
    names = list(slopes)
    levels = {"no gradient at all": _LEAST} if any(y <= _LEAST for _, y in points) else {}
    across = linear_axis(1, max(len(points), 2), min(len(points), 8))
    low, high = min(y for _, y in points), max(y for _, y in points)
    below = f"weights by depth, from {names[0]} to {names[-1]}"
    up = logarithmic_axis(low, max(high, 10 * low))
    return Chart("Gradient / weight, by depth", below, across, up, {"at the start": points}, levels)


def _gradient(told: _Told, finding: Finding) -> Shown | None:
    """Draw the length of the gradient, and where it is clipped."""
    points = _medians(told.steps("gradient_norm"))
    clip = told.story.recipe.clip
    levels = {} if clip is None else {"clipped to": clip}
    return _logarithmic(told, "Length of the gradient", {"gradient": points}, levels, ())


def _rate(told: _Told, finding: Finding) -> Shown | None:
    """Draw the learning rate."""
    points = _medians(told.steps("rate"))
    return _linear(told, "Learning rate", {"rate": points})


def _dead(told: _Told, finding: Finding) -> Shown | None:
    found = told.layers("values", lambda each: each.get("dead"))
    return _shares(told, "Features that no image wakes, by layer", found)


def _saturated(told: _Told, finding: Finding) -> Shown | None:
    found = told.layers("values", lambda each: each.get("saturated"))
    return _shares(told, "Values at the ends of their range, by layer", found)


def _sizes(told: _Told, finding: Finding) -> Shown | None:
    """Draw the weights' size against that of the start."""
    found = {
        name: [(x, y / points[0][1]) for x, y in points]
        for name, points in told.layers("weights", lambda each: each["size"]).items()
        if points[0][1]
    }
    return _linear(told, "Size of the weights / first size", _few(found, lambda p: p[-1][1]))


def _apart(told: _Told, finding: Finding) -> Shown | None:
    """Draw how far a layer's features are apart."""
    found = told.layers("weights", lambda each: _ratio(each.get("apart"), each["size"]) or 0.0)
    return _linear(told, "Features apart / weight, by layer", _few(found, lambda p: p[-1][1]))


def _drift(told: _Told, finding: Finding) -> Shown | None:
    """Draw how far batch-norm's statistics move."""
    found = told.layers("norms", lambda each: None)
    return _linear(told, "Drift of batch-norm's statistics", _few(found, lambda p: -p[-1][1]))


def _restarts(told: _Told, finding: Finding) -> Shown | None:
    """Draw the loss at both ends of each epoch."""
    length, losses = told.pace, told.story.losses
    by_epoch = losses[: len(losses) // length * length].reshape(-1, length)
    ends = {
        "first step of an epoch": [(float(k), float(row[0])) for k, row in enumerate(by_epoch)],
        "its last ones": [(k + 1.0, float(np.median(row[-3:]))) for k, row in enumerate(by_epoch)],
    }
    return _linear(told, "Training loss at both ends of an epoch", ends)


def _classes(told: _Told, finding: Finding) -> Shown | None:
    """Draw the classes of first batches against what chance would give."""
    seen = [
        (k + 1.0, each["classes"] / each["expected"]) for k, each in enumerate(told.story.orders)
    ]
    return _shares(told, "Classes of a batch / expected", {"first batch of an epoch": seen})


def _waiting(told: _Told, finding: Finding) -> Shown | None:
    points = [
        (probe["step"] / told.pace, float(probe["waiting"]))
        for probe in told.probes
        if _finite(probe.get("waiting"))
    ]
    return _shares(told, "Share of the time that is waiting", {"waiting": points})


def _answers(told: _Told, finding: Finding) -> Shown | None:
    """Draw the confusion of the test."""
    table = ((told.story.results or {}).get("test") or {}).get("confusion")
    if not table:
        return None
    return Table("Answers on the test images", np.asarray(table, np.float64), "answered")


def _leaked(told: _Told, finding: Finding) -> Shown | None:
    return _shared(finding, f"{finding.evidence['part']} images that were trained on")


def _chosen(told: _Told, finding: Finding) -> Shown | None:
    return _shared(finding, "validation images that are the test's")


def _shared(finding: Finding, what: str) -> Bars:
    share = float(finding.evidence["shared"]) / max(float(finding.evidence["of"]), 1)
    return Bars("Images in two parts", {what: share})


def _parts(told: _Told, finding: Finding) -> Shown | None:
    numbers = finding.evidence
    return Bars(
        "Accuracy of the parts",
        {
            "validation": float(numbers["validation_accuracy"]),
            "test": float(numbers["test_accuracy"]),
        },
    )


_EVIDENCE: Final[dict[str, tuple[Drawer, ...]]] = {
    "chosen_on_test": (_chosen,),
    "class_order": (_answers,),
    "clipped_short": (_gradient, _updates),
    "data_starved": (_waiting,),
    "dead_rectifiers": (_dead,),
    "exploding": (_gradient, _updates),
    "exploding_gradients": (_depth, _gradient),
    "features_alike": (_apart,),
    "frozen_norm_moves": (_drift,),
    "gradients_accumulate": (_gradient,),
    "layers_not_trained": (_updates,),
    "momentum_too_long": (_updates,),
    "no_gradient": (_depth,),
    "norms_stand_still": (_drift,),
    "not_finite": (_gradient, _updates),
    "not_shuffled": (_classes,),
    "one_answer": (_answers,),
    "plateau": (_rate,),
    "rate_falls_too_soon": (_rate, _updates),
    "rate_too_high": (_updates,),
    "rate_too_low": (_updates,),
    "saturation": (_saturated,),
    "starts_again": (_restarts,),
    "test_differs": (_parts,),
    "too_much_decay": (_sizes,),
    "underfitting": (_updates,),
    "validation_leak": (_leaked,),
    "vanishing_gradients": (_depth,),
    "weights_stand_still": (_updates,),
}  # what is not here is seen in loss and accuracy, or in no curve


def _shares(told: _Told, title: str, found: dict[str, list[Point]]) -> Shown | None:
    percent = linear_axis(0, 1, 5, label=lambda value: f"{100 * value:g}%")
    shown = _few(found, lambda points: -points[-1][1])
    return Chart(title, "epochs", told.across, percent, shown) if any(shown.values()) else None


def _linear(told: _Told, title: str, series: dict[str, list[Point]]) -> Shown | None:
    values = [value for points in series.values() for _, value in points]
    if not values:
        return None
    up = linear_axis(0, max(*values, _LEAST), 5)
    return Chart(title, "epochs", told.across, up, series)


def _logarithmic(
    told: _Told,
    title: str,
    series: dict[str, list[Point]],
    levels: dict[str, float],
    least: Sequence[float],
) -> Shown | None:
    """Draw positive values on a logarithmic axis; what is 0 lies on its bottom."""
    values = [value for points in series.values() for _, value in points if value > _LEAST]
    if not any(series.values()):
        return None
    every = [*values, *levels.values(), *least] or [_LEAST, 1.0]
    up = logarithmic_axis(min(every), max(max(every), 10 * min(every)))
    low = up.low
    drawn = {name: [(x, max(y, low)) for x, y in points] for name, points in series.items()}
    return Chart(title, "epochs", told.across, up, drawn, levels)


def _few(
    found: dict[str, list[Point]], order: Callable[[list[Point]], float]
) -> dict[str, list[Point]]:
    """Name the few layers that come first in some order, and leave the others grey."""
    names = sorted((n for n in found if found[n]), key=lambda name: order(found[name]))
    return {name if k < _NAMED else f"_{name}": found[name] for k, name in enumerate(names)}


def _medians(points: list[Point]) -> list[Point]:
    """Return the medians of stretches of like length, where there are more points than that."""
    if len(points) <= _STRETCHES:
        return points
    pieces = np.array_split(np.asarray(points), _STRETCHES)
    return [(float(piece[:, 0].mean()), float(np.median(piece[:, 1]))) for piece in pieces]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
