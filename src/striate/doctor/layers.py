"""Rules that read probes and what the run was made of: single layers, the feed, the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.design import BatchNorm
from striate.doctor.story import Finding, Story

_DEAD, _SATURATED = 0.6, 0.5
_STEEP = 1e-4  # gradient / weight of the first layer against the steepest one
_WAITING = 0.5
_FEW = 8  # images that batch-norm can take a variance over


def dead_rectifiers(story: Story) -> Finding | None:
    """Rectifiers that no image wakes."""
    layer, share = _worst(story, "dead")
    if share <= _DEAD:
        return None
    return Finding(
        finding="dead_rectifiers",
        confidence=0.85,
        evidence={"layer": layer, "dead": share},
        meaning=f"{share:.0%} of the features of {layer} are zero for every image",
        remedy="start again at a third of the rate, with biases at 0 and He's initialisation",
        settings=(f"optimiser.rate={story.recipe.optimiser.rate / 3:g}",),
    )


def saturation(story: Story) -> Finding | None:
    """Sigmoids or tanhs at their ends, where the gradient is nearly 0."""
    layer, share = _worst(story, "saturated")
    if share <= _SATURATED:
        return None
    return Finding(
        finding="saturation",
        confidence=0.85,
        evidence={"layer": layer, "saturated": share},
        meaning=f"{share:.0%} of the values of {layer} are at the ends of its range",
        remedy="start with Xavier's initialisation, normalise by batch, or take ReLU",
        settings=(f"optimiser.rate={story.recipe.optimiser.rate / 3:g}",),
    )


def gradients_by_depth(story: Story) -> Finding | None:
    """Gradients that vanish, or explode, on the way to the first layers."""
    if not story.probes or len(story.probes[0]["weights"]) < 3:
        return None
    probe = story.probes[min(1, len(story.probes) - 1)]
    slopes = {
        name: each["gradient"] / each["size"]
        for name, each in probe["weights"].items()
        if each["size"] and each["gradient"] is not None
    }
    if len(slopes) < 3:
        return None
    first, values = next(iter(slopes)), np.array(list(slopes.values()))
    ratio = float(values[0] / max(float(values.max()), 1e-300))
    if ratio < _STEEP:
        return Finding(
            finding="vanishing_gradients",
            confidence=0.85,
            evidence={"layer": first, "ratio": ratio},
            meaning=f"the gradient of {first} is {ratio:.1e} of the steepest layer's",
            remedy="start with He's or Xavier's initialisation, normalise by batch, take shortcuts",
        )
    growth = float(values[0] / max(float(values[-1]), 1e-300))
    if growth > 1e3:
        return Finding(
            finding="exploding_gradients",
            confidence=0.7,
            evidence={"layer": first, "ratio": growth},
            meaning=f"the gradient of {first} is {growth:.1e} times that of the last layer",
            remedy="clip gradients, or start with smaller weights",
            settings=("clip=1.0",),
        )
    return None


def frozen_norm_moves(story: Story) -> Finding | None:
    """Batch-norm that is not trained, but whose statistics move."""
    frozen = {
        layer.name
        for layer in story.recipe.network.layers
        if isinstance(layer, BatchNorm) and not layer.trainable
    }
    drifts = {
        name: drift
        for probe in story.last_probes()
        for name, drift in probe["norms"].items()
        if name in frozen and drift is not None and drift > 1e-4
    }
    if not drifts:
        return None
    name = max(drifts, key=lambda each: drifts[each])
    return Finding(
        finding="frozen_norm_moves",
        confidence=0.95,
        evidence={"layer": name, "drift": drifts[name], "layers": len(drifts)},
        meaning=f"{len(drifts)} frozen batch-norm layers still take in the statistics of batches",
        remedy="keep frozen batch-norm in evaluation mode",
    )


def small_batches(story: Story) -> Finding | None:
    """Batch-norm over very few images."""
    norms = [each for each in story.recipe.network.layers if isinstance(each, BatchNorm)]
    size = story.recipe.batch // story.recipe.accumulate
    if not norms or size >= _FEW:
        return None
    return Finding(
        finding="small_batches_for_norm",
        confidence=0.7 if size < 4 else 0.5,
        evidence={"batch": size, "layers": len(norms)},
        meaning=f"{len(norms)} batch-norm layers take mean and variance over {size} images",
        remedy=f"take batches of at least {_FEW}, or group norm",
        settings=("batch=32",),
    )


def starved(story: Story) -> Finding | None:
    """A device that waits for its data."""
    shares = [probe["waiting"] for probe in story.probes[2:] if probe.get("waiting") is not None]
    if len(shares) < 2 or float(np.median(shares)) < _WAITING:
        return None
    share = float(np.median(shares))
    return Finding(
        finding="data_starved",
        confidence=0.9,
        evidence={"waiting": share, "workers": story.recipe.workers},
        meaning=f"{share:.0%} of the time goes by waiting for images",
        remedy="use more workers, smaller files, or pack the data",
        settings=(f"workers={max(2, 2 * story.recipe.workers)}",),
    )


def validation_leak(story: Story) -> Finding | None:
    """Images of the validation or test part that were trained on."""
    train = set(story.data.get("train", {}).get("hashes", ()))
    for part in ("validation", "test"):
        hashes = story.data.get(part, {}).get("hashes", ())
        shared = sum(each in train for each in hashes)
        if hashes and shared / len(hashes) > 0.02:
            return Finding(
                finding="validation_leak",
                confidence=1.0,
                evidence={"part": part, "shared": shared, "of": len(hashes)},
                meaning=f"{shared} of {len(hashes)} images of the {part} part are, by content, "
                "among those trained on",
                remedy="split by content, or by whatever the copies have in common",
            )
    return None


def labels_look_shuffled(story: Story) -> Finding | None:
    """Images that are learnt by heart, and nothing that carries over."""
    if len(story.validations) < 2 or len(story.losses) < 20:
        return None
    best, curve = float(story.validations[:, 1].max()), story.smoothed()
    if best > story.guessing or story.failure is not None:
        return None
    ratio = story.update_ratio() or 0.0
    by_heart = float(curve[-1]) < 0.8 * story.chance
    moved = 2e-4 < ratio < 0.03 and float(curve[-1]) < 1.2 * story.chance
    if not (by_heart or moved) or _worst(story, "dead")[1] > _DEAD:
        return None
    return Finding(
        finding="labels_look_shuffled",
        confidence=0.9 if by_heart else 0.6,
        evidence={"validation_accuracy": best, "guessing": story.guessing, "loss": curve[-1]},
        meaning=f"the best validation accuracy, {best:.1%}, is that of guessing, though weights "
        "move as they should",
        remedy="look at images with their labels: the two may have been ordered apart",
    )


def class_order(story: Story) -> Finding | None:
    """A network that is right, but in another order of classes."""
    figures = (story.results or {}).get("test") or {}
    table = np.array(figures.get("confusion") or [[0]], np.float64)
    rows = table.sum(1)
    if len(table) < 3 or table.shape[0] != table.shape[1] or not rows.all():
        return None
    answers = table.argmax(1)
    sure = float((table.max(1) / rows).mean())
    shifted = int((answers != np.arange(len(answers))).sum())
    if len(set(answers.tolist())) < len(answers) or shifted < 2 or sure < 0.6:
        return None
    return Finding(
        finding="class_order",
        confidence=0.95,
        evidence={"shifted": shifted, "classes": len(answers), "agreement": sure},
        meaning=f"{shifted} classes are answered, {sure:.0%} of the time, as one other class each",
        remedy="match classes by name: the order of the labels is not that of the training",
    )


def _worst(story: Story, what: str) -> tuple[str, float]:
    """Return the layer with the greatest share in each of the last probes, and the share."""
    recent: tuple[Mapping[str, Any], ...] = story.last_probes()
    shares = {
        name: min(float(probe["values"].get(name, {}).get(what) or 0.0) for probe in recent)
        for name in (recent[-1]["values"] if recent else ())
    }
    if not shares:
        return "", 0.0
    name = max(shares, key=lambda each: shares[each])
    return name, shares[name]
