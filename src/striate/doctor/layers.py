"""Rules that read probes and what the run was made of: single layers, the feed, the split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.design import BatchNorm
from striate.design.pointwise import ReLU
from striate.doctor.story import Finding, Story
from striate.train.objective import Softmax

DEAD, _SATURATED = 0.6, 0.5
_STEEP = 1e-4  # gradient / weight of the first layer against the steepest one
_NEARLY = 0.99  # of a layer: nothing passes it
_CALM = 0.03  # of the weights' size a step, beyond which they are thrown about
_YOUNG = 0.2  # of all steps
_ALL = 0.95  # of a layer: no network learns by what is left
_FELL = 0.85  # of the loss of guessing, or of the first, that is left where something was learnt
_FEW = 8  # images that batch-norm can take a variance over


def dead_rectifiers(story: Story) -> Finding | None:
    """Rectifiers that no image wakes.

    A probe has some rows of a batch, in which the features of a network that learns may be silent
    without being dead, and some wake late: where it does, or is young, it takes nearly all. What
    was dead before the first step was begun so, at whatever rate.
    """
    layer, share = dead_share(story)
    if share <= DEAD or (share < _ALL and (_learns(story) or _young(story))):
        return None
    gave_up, begun = given_up(story), dead_from_the_start(story)
    calm = all(_moved(probe) < _CALM for probe in story.probes) and dead_at_first(story) <= DEAD
    worn = gave_up or (calm and share < _ALL)  # what is left still passes, and nothing broke it
    return Finding(
        finding="dead_rectifiers",
        confidence=0.5 if worn else 0.85,
        evidence={"layer": layer, "dead": share},
        meaning=f"{share:.0%} of the features of {layer} are zero for all images of a probe"
        + ("; calm steps have brought the loss to that of guessing, which needs none" * gave_up)
        + (", as they were before the first step" * begun),
        remedy="start its biases at 0 and its weights by He's rule, and centre the images"
        if begun
        else "start again at a third of the rate, with biases at 0 and He's initialisation",
        settings=() if begun else (f"optimiser.rate={story.recipe.optimiser.rate / 3:g}",),
    )


def rectified_outputs(story: Story) -> Finding | None:
    """Scores that go through a rectifier before the loss, so that none can be below 0."""
    last = story.recipe.network.layers[-1]
    wrong = 1 - float(story.validations[-1, 1]) if len(story.validations) else 1.0
    if not isinstance(last, ReLU) or not isinstance(story.recipe.objective, Softmax):
        return None
    if len(story.losses) < 10 or wrong < 0.05:
        return None
    return Finding(
        finding="rectified_outputs",
        confidence=0.8,
        evidence={"layer": last.name, "wrong": wrong},
        meaning=f"the network ends in {last.name}, a rectifier: scores that would be below 0 are "
        "0, and no gradient raises them again",
        remedy="end the network with its last linear layer: the loss takes scores of either sign",
    )


def _learns(story: Story) -> bool:
    """Tell whether the training loss has fallen well below guessing, and validation is above it."""
    curve, checks = story.smoothed(), story.validations
    if not len(curve) or not len(checks) or story.failure is not None:
        return False
    fell = float(curve[-1]) < _FELL * min(story.chance, float(curve[0]))
    return fell and float(checks[-1, 1]) > story.guessing


def _young(story: Story) -> bool:
    """Tell whether the training has hardly begun, so that it may still learn."""
    return len(story.losses) < _YOUNG * story.planned


def given_up(story: Story) -> bool:
    """Tell whether features fell silent on the way to guessing, with no step that was too large.

    A network that finds nothing in its images answers all of them alike. Its last layer does that,
    and the features before it are worn away: they did not keep it from learning.
    """
    curve, checks = story.smoothed(), story.validations
    if not len(curve) or not len(checks) or story.failure is not None or not story.probes:
        return False
    guesses = 0.95 < float(np.median(curve[-5:])) / story.chance < 1.05
    some = dead_share(story)[1] < _NEARLY and dead_at_first(story) <= DEAD
    calm = all(_moved(probe) < _CALM for probe in story.probes)
    leapt = float(story.losses.max()) > 2 * float(story.losses[0])
    return guesses and some and calm and not leapt


def _moved(probe: Mapping[str, Any]) -> float:
    """Return the median of update / size over the layers of a probe."""
    moves = [
        float(each["update"] / each["size"]) if each["update"] is not None else math.inf
        for each in probe["weights"].values()
        if each["size"]
    ]
    return float(np.median(moves)) if moves else 0.0


def saturation(story: Story) -> Finding | None:
    """Sigmoids or tanhs at their ends, where the gradient is nearly 0."""
    layer, share = _worst(story, "saturated")
    if share <= _SATURATED or (share < _ALL and _young(story)):
        return None
    first = story.probes[0]["values"].get(layer, {}).get("saturated") or 0.0
    driven = first <= _SATURATED  # by updates; what was saturated from the start began too large
    return Finding(
        finding="saturation",
        confidence=0.85,
        evidence={"layer": layer, "saturated": share},
        meaning=f"{share:.0%} of the values of {layer} are at the ends of its range"
        + ("" if driven else ", as they were from the start"),
        remedy="start with Xavier's initialisation, normalise by batch, or take ReLU",
        settings=(f"optimiser.rate={story.recipe.optimiser.rate / 3:g}",) if driven else (),
    )


def gradients_by_depth(story: Story) -> Finding | None:
    """Gradients that vanish, or explode, on the way to the first layers."""
    if not story.probes or len(story.probes[0]["weights"]) < 3:
        return None
    slopes = _slopes(story, min(1, len(story.probes) - 1))
    if len(slopes) < 3:
        return None
    first, values = next(iter(slopes)), np.array(list(slopes.values()))
    if not values.any():
        return None  # none at all is another rule's
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


def vanished_at_first(story: Story) -> bool:
    """Tell whether the very first step already had a first layer without a gradient."""
    values = list(_slopes(story, 0).values()) if story.probes else []
    return len(values) < 3 or values[0] < _STEEP * max(values)


def _slopes(story: Story, number: int) -> dict[str, float]:
    """Return gradient / weight of a probe, by weights, from the first layer to the last."""
    depth = {layer.name: place for place, layer in enumerate(story.recipe.network.layers)}
    return {
        name: each["gradient"] / each["size"]
        for name, each in sorted(
            story.probes[number]["weights"].items(),  # in the order of their names
            key=lambda pair: depth.get(pair[0].rpartition(".")[0], len(depth)),
        )
        if each["size"] and each["gradient"] is not None
    }


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
        settings=(f"batch={_FEW * story.recipe.accumulate}",),
    )


def dead_share(story: Story) -> tuple[str, float]:
    """Return the rectifier with the most silent features, and their share."""
    return _worst(story, "dead")


def dead_at_first(story: Story) -> float:
    """Return the share of silent features at the first probe, of the rectifier worst at the end."""
    layer = dead_share(story)[0]
    first = story.probes[0]["values"].get(layer, {}) if story.probes else {}
    return float(first.get("dead") or 0.0)


def dead_from_the_start(story: Story) -> bool:
    """Tell whether a rectifier through which nothing passes was so before the first step."""
    return dead_share(story)[1] > _NEARLY and dead_at_first(story) > _NEARLY


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
