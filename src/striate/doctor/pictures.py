"""The pictures of findings: the curves, then a chart of the evidence of each finding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from striate.doctor import exhibits
from striate.doctor.story import Finding, Story
from striate.doctor.told import (
    LEAST,
    Drawer,
    Line,
    Shown,
    Told,
    few,
    finite,
    linear,
    logarithmic,
    medians,
    numbered,
    ratio,
    shares,
)
from striate.draw import Chart, Figure, charts
from striate.draw.axes import linear_axis, logarithmic_axis, loss_axis

_USUAL = 1e-3  # update / weight


def picture(
    title: str, story: Story, history: Sequence[Line], findings: Sequence[Finding]
) -> Figure:
    """Draw a run's loss and accuracy, then the evidence of each finding, one chart a kind.

    Args:
        title: what the run is called.
        story: of the run.
        history: its lines.
        findings: about it, the first ones first.
    """
    told = Told(story, history)
    shown: list[Shown] = [_loss(told, findings), _accuracy(told)]
    kinds: dict[Drawer, list[Finding]] = {}
    for each in findings:
        for drawer in _EVIDENCE.get(each.finding, (exhibits.checks,)):
            kinds.setdefault(drawer, []).append(each)
    shown += [chart for drawer, own in kinds.items() if (chart := drawer(told, own[0])) is not None]
    names = [each.finding.replace("_", " ") for each in findings]
    return charts(shown, title=f"{title}: {names[0] if names else 'nothing found'}",
                  note=f"also: {', '.join(names[1:])}" if names[1:] else "")  # fmt: skip


def _loss(told: Told, findings: Sequence[Finding]) -> Chart:
    """Draw the loss of training and validation, the best epoch of the latter marked."""
    series = {"training": medians(told.steps("loss")), "validation": told.checks("loss")}
    values = [value for points in series.values() for _, value in points]
    best = min(series["validation"], key=lambda point: point[1], default=None)
    evidence = next((f.evidence for f in findings if "chance" in f.evidence), {})
    levels = {"guessing": told.story.chance} if told.alike else {}
    if "chance" in evidence:
        values.append(told.story.chance)
    floor = next((f.evidence["floor"] for f in findings if "floor" in f.evidence), None)
    if isinstance(floor, float):
        levels["it cannot fall below this"] = floor
    return Chart(
        "Loss",
        "epochs",
        told.across,
        loss_axis(values),
        {name: points for name, points in series.items() if points},
        levels,
        (best, f"best: epoch {best[0]:.3g}") if best and len(series["validation"]) > 1 else None,
    )


def _accuracy(told: Told) -> Chart:
    """Draw the validation accuracy over a range that has guessing in it."""
    points, guess = told.checks("accuracy"), 1 / max(told.story.classes, 1)
    top = min(1.0, max([3 * guess, *(1.15 * value for _, value in points)]))
    percent = linear_axis(0, top, 5, label=lambda value: f"{100 * value:g}%")
    series = {"validation": points} if points else {}
    return Chart("Accuracy", "epochs", told.across, percent, series, {"guessing": guess})


def _updates(told: Told, finding: Finding) -> Shown | None:
    """Draw update / weight by layer, and the usual 1e-3."""
    found = told.layers("weights", lambda each: ratio(each["update"], each["size"]))
    shown = few(found, lambda points: -abs(math.log10(max(points[-1][1], LEAST) / _USUAL)))
    return logarithmic(
        told, "Update / weight, by layer", shown, {"usual, 1e-3": _USUAL}, (1e-4, 1e-2)
    )


def _depth(told: Told, finding: Finding) -> Shown | None:
    """Draw gradient / weight from the first layer to the last."""
    if not told.probes:
        return None
    places = {layer.name: k for k, layer in enumerate(told.story.recipe.network.layers)}
    slopes: dict[str, list[float]] = {}
    weights = told.probes[min(1, len(told.probes) - 1)]["weights"]
    for name in sorted(weights, key=lambda each: places.get(each.rpartition(".")[0], len(places))):
        slope = ratio(weights[name]["gradient"], weights[name]["size"])
        if slope is not None and finite(slope):
            slopes[name] = [float(len(slopes) + 1), slope]
    points = [(x, max(y, LEAST)) for x, y in slopes.values()]
    if not points:
        return None
    names = list(slopes)
    levels = {"no gradient at all": LEAST} if any(y <= LEAST for _, y in points) else {}
    across = numbered(len(points))
    low, high = min(y for _, y in points), max(y for _, y in points)
    below = f"weights by depth, from {names[0]} to {names[-1]}"
    up = logarithmic_axis(low, max(high, 10 * low))
    return Chart("Gradient / weight, by depth", below, across, up, {"at the start": points}, levels)


def _gradient(told: Told, finding: Finding) -> Shown | None:
    """Draw the length of the gradient, and where it is clipped."""
    points = medians(told.steps("gradient_norm"))
    clip = told.story.recipe.clip
    levels = {} if clip is None else {"clipped to": clip}
    return logarithmic(told, "Length of the gradient", {"gradient": points}, levels, ())


def _rate(told: Told, finding: Finding) -> Shown | None:
    """Draw the learning rate."""
    points = medians(told.steps("rate"))
    return linear(told, "Learning rate", {"rate": points})


def _dead(told: Told, finding: Finding) -> Shown | None:
    found = told.layers("values", lambda each: each.get("dead"))
    return shares(told, "Features that no image wakes, by layer", found)


def _saturated(told: Told, finding: Finding) -> Shown | None:
    found = told.layers("values", lambda each: each.get("saturated"))
    return shares(told, "Values at the ends of their range, by layer", found)


def _sizes(told: Told, finding: Finding) -> Shown | None:
    """Draw the weights' size against that of the start."""
    found = {
        name: [(x, y / points[0][1]) for x, y in points]
        for name, points in told.layers("weights", lambda each: each["size"]).items()
        if points[0][1]
    }
    return linear(told, "Size of the weights / first size", few(found, lambda p: p[-1][1]))


def _apart(told: Told, finding: Finding) -> Shown | None:
    """Draw how far a layer's features are apart."""
    found = told.layers("weights", lambda each: ratio(each.get("apart"), each["size"]) or 0.0)
    return linear(told, "Features apart / weight, by layer", few(found, lambda p: p[-1][1]))


def _drift(told: Told, finding: Finding) -> Shown | None:
    """Draw how far batch-norm's statistics move."""
    found = told.layers("norms", lambda each: None)
    return linear(told, "Drift of batch-norm's statistics", few(found, lambda p: -p[-1][1]))


def _restarts(told: Told, finding: Finding) -> Shown | None:
    """Draw the loss at both ends of each epoch."""
    length, losses = told.pace, told.story.losses
    by_epoch = losses[: len(losses) // length * length].reshape(-1, length)
    ends = {
        "first step of an epoch": [(float(k), float(row[0])) for k, row in enumerate(by_epoch)],
        "its last ones": [(k + 1.0, float(np.median(row[-3:]))) for k, row in enumerate(by_epoch)],
    }
    return linear(told, "Training loss at both ends of an epoch", ends)


def _classes(told: Told, finding: Finding) -> Shown | None:
    """Draw the classes of first batches against what chance would give."""
    seen = [
        (k + 1.0, each["classes"] / each["expected"]) for k, each in enumerate(told.story.orders)
    ]
    return shares(told, "Classes of a batch / expected", {"first batch of an epoch": seen})


def _waiting(told: Told, finding: Finding) -> Shown | None:
    points = [
        (probe["step"] / told.pace, float(probe["waiting"]))
        for probe in told.probes
        if finite(probe.get("waiting"))
    ]
    return shares(told, "Share of the time that is waiting", {"waiting": points})


_EVIDENCE: Final[dict[str, tuple[Drawer, ...]]] = {
    "chosen_on_test": (exhibits.chosen,),
    "class_order": (exhibits.answers,),
    "classes_swapped": (exhibits.answers,),
    "clipped_short": (_gradient, _updates),
    "data_starved": (_waiting,),
    "dead_rectifiers": (_dead,),
    "exploding": (_gradient, _updates),
    "exploding_gradients": (_depth, _gradient),
    "features_alike": (_apart,),
    "few_steps": (_updates,),
    "frozen_norm_moves": (_drift,),
    "gradients_accumulate": (_gradient,),
    "impossible_loss": (exhibits.first_losses,),
    "labels_disagree": (exhibits.bad_luck, exhibits.gap),
    "labels_look_shuffled": (exhibits.luck, _updates),
    "classes_mixed_up": (exhibits.answers,),
    "labels_partly_wrong": (exhibits.answers,),
    "layers_stop_moving": (_updates,),
    "layers_not_trained": (exhibits.idle, _updates),
    "loss_rises": (_updates, _gradient),
    "loaded_in_part": (exhibits.norms,),
    "momentum_too_long": (exhibits.memory, _updates),
    "never_answered": (exhibits.answers,),
    "no_gradient": (_depth,),
    "norms_lag": (exhibits.gap, _drift),
    "norms_stand_still": (_drift,),
    "not_finite": (_gradient, _updates),
    "not_shuffled": (_classes, exhibits.beginnings),
    "nothing_learnt": (exhibits.luck,),
    "one_answer": (exhibits.answers,),
    "optimiser_made_anew": (_updates,),
    "overfitting": (exhibits.gap,),
    "plateau": (_rate,),
    "rate_falls_too_soon": (_rate, _updates),
    "rate_too_high": (_updates,),
    "rate_too_low": (_updates,),
    "rectified_outputs": (_dead,),
    "saturation": (_saturated,),
    "small_batches_for_norm": (exhibits.small, _drift),
    "smoothed_away": (exhibits.left_to_learn,),
    "softmax_twice": (exhibits.law,),
    "starts_again": (_restarts,),
    "still_improving": (exhibits.gap, _rate),
    "test_differs": (exhibits.parts,),
    "too_much_decay": (_sizes,),
    "too_much_dropout": (exhibits.dropped,),
    "trained_in_evaluation_mode": (exhibits.modes, _drift),
    "training_harder": (exhibits.gap,),
    "underfitting": (exhibits.gap, _updates),
    "validated_in_training_mode": (exhibits.modes, exhibits.gap),
    "validation_differs": (exhibits.promise, exhibits.gap),
    "validation_leak": (exhibits.leaked,),
    "vanishing_gradients": (_depth,),
    "warm_up_too_long": (_rate, _updates),
    "watched_too_soon": (_sizes,),
    "weights_stand_still": (_updates,),
    "wrong_normalisation": (exhibits.levels,),
}  # a check before the training that failed is none of these
