"""Rules on whether weights move as they should: standing still, cut off, frozen, started again."""

from __future__ import annotations

import math

import numpy as np

from striate.design import BatchNorm, Conv, Linear
from striate.design.centred import WHITENING
from striate.design.pointwise import Dropout
from striate.doctor.curves import CROSS_ENTROPY
from striate.doctor.layers import dead_share
from striate.doctor.loops import clearing_known, clip_seen, kept_gradients, left_out, never_any
from striate.doctor.story import Finding, Story
from striate.train import SGD, AdamW

_SHORT = 20.0  # gradient / clip beyond which clipping is all that a step is
_SHRUNK = 0.3  # of the weights' first size
_FORGETS = 120.0  # steps: no gradient of so few images is a network
_HELD_BACK = 0.15  # of the loss of guessing, that a training which learns freely goes below
_DROPPED = 0.75
_LEFT = 0.2  # of what running statistics began with
_ALIKE = 1e-3  # of the weights' size, that features are apart
_KEPT = 0.8  # of the first validation loss: later epochs go on from earlier ones
_JUMP = 0.03  # of the first loss: a rise from one epoch to the next that is no accident


def weights_stand_still(story: Story) -> Finding | None:
    """Weights that no step changes, though a gradient arrives."""
    moves = _column(story, "update")
    if len(story.probes) < 2 or not moves or any(map(any, moves.values())) or story.moves_unseen:
        return None
    if not any(map(any, _column(story, "gradient").values())):
        return None
    return Finding(
        finding="weights_stand_still",
        confidence=1.0,
        evidence={"layers": len(moves), "steps": len(story.losses), "update": 0.0},
        meaning=f"gradients arrive, but in {len(story.losses)} steps no weight has changed",
        remedy="see that the optimiser steps, that it holds this network's parameters, and that "
        "the rate is not 0",
    )


def no_gradient(story: Story) -> Finding | None:
    """Layers that no gradient ever reaches."""
    slopes = _column(story, "gradient")
    silent = [name for name, values in slopes.items() if not any(values)]
    if len(story.probes) < 2 or not silent or dead_share(story)[1] > 0.99:
        return None
    if story.own_loop and len(silent) == len(slopes):
        return never_any(story)
    return Finding(
        finding="no_gradient",
        confidence=0.95,
        evidence={"layer": silent[0], "layers": len(silent), "of": len(slopes)},
        meaning=f"no gradient ever reached {', '.join(silent[:3])}",
        remedy="look for a detached value (.detach(), .data, .item(), no_grad), a layer that is "
        "not used, gradients cleared between backward and step (zero_grad), or weights that "
        "started at 0",
    )


def features_alike(story: Story) -> Finding | None:
    """Layers whose features are all the same, as they were at their start."""
    alike = [
        name
        for name, each in (story.probes[-1]["weights"].items() if len(story.probes) > 1 else ())
        if each.get("apart") is not None
        and each["apart"] <= _ALIKE * (each["size"] or 0.0)
        and _features(story, name) > 1
    ]
    if not alike:
        return None
    zero = not story.probes[-1]["weights"][alike[0]]["size"]
    return Finding(
        finding="features_alike",
        confidence=0.95,
        evidence={"layer": alike[0], "layers": len(alike)},
        meaning=f"the features of {', '.join(alike[:3])} are all the same"
        + (", namely 0" if zero else ""),
        remedy="start the weights at random values: what starts alike has the same gradient, and "
        "stays alike",
    )


def _features(story: Story, name: str) -> int:
    """Return how many features the layer of some weights has."""
    layers = (layer for layer in story.recipe.network.layers if name == f"{layer.name}.weight")
    return next((int(getattr(layer, "features", 1)) for layer in layers), 1)


def not_trained(story: Story) -> Finding | None:
    """Layers at their random start that training leaves alone: frozen, or unknown to it."""
    recipe = story.recipe
    kinds = [each for each in recipe.network.layers if isinstance(each, Conv | Linear)]
    anew = recipe.start.anew if recipe.start else ()
    watched, moving = _watched(story), _moving(story)
    idle = [
        each.name
        for each in kinds
        if (recipe.start is None or each.name in anew)
        and (not each.trainable or (story.probes and each.name not in watched))
        and each.name not in moving  # thawed since
        and each.shares is None
        and f"{each.name}.weight" != WHITENING
    ]
    hidden, remedy = left_out(story)
    idle += hidden
    if not idle or recipe.network.answer == "distances":
        return None
    of = len(kinds) + len(hidden)
    return Finding(
        finding="layers_not_trained",
        confidence=0.85,
        evidence={"layer": idle[0], "layers": len(idle), "of": of},
        meaning=f"{len(idle)} of {of} layers keep the random weights they began with"
        + f" ({', '.join(idle[:3])})" * story.own_loop,
        remedy=remedy
        or "let them train, give them to the optimiser, or start from trained weights",
    )


def _watched(story: Story) -> set[str]:
    """Return the layers whose weights the optimiser holds, less those frozen for half of it all."""
    held = {name.rpartition(".")[0] for probe in story.probes for name in probe["weights"]}
    if len(story.losses) < 0.5 * story.planned:
        return held
    return held & {
        name.rpartition(".")[0]
        for probe in story.probes
        for name, each in probe["weights"].items()
        if each["gradient"] is not None or name == WHITENING
    }


def _moving(story: Story) -> set[str]:
    """Return the layers whose weights a step has changed."""
    return {
        name.rpartition(".")[0] for name, moves in _column(story, "update").items() if any(moves)
    }


def gradients_accumulate(story: Story) -> Finding | None:
    """Gradients that are added to those of the steps before."""
    if clearing_known(story):
        return kept_gradients(story)
    norms = story.gradients[np.isfinite(story.gradients)]
    norms = norms[norms > 0]
    if len(norms) < 10:
        return None
    early = norms[: max(30, len(norms) // 4)]
    if story.steps_per_epoch < 4:  # nearly the same images each time, and gradients like the last
        return None
    jump = float(np.median(np.abs(np.diff(np.log(early)))))
    growth = float(np.median(early[-5:]) / early[0])
    if jump > 0.09 or growth < 3.0:
        return None
    return Finding(
        finding="gradients_accumulate",
        confidence=0.8,
        evidence={"growth": growth, "change_a_step": jump},
        meaning=f"the gradient grows {growth:.1f} times as long in {len(early)} steps and hardly "
        "changes from one to the next, as a sum over steps does",
        remedy="clear gradients before each backward pass (optimiser.zero_grad())",
    )


def starts_again(story: Story) -> Finding | None:
    """A loss that is back at its start with every epoch."""
    length, losses = story.steps_per_epoch, story.losses
    epochs = len(losses) // length
    if epochs < 3 or length < 6 or not story.whole:
        return None
    by_epoch = losses[: epochs * length].reshape(epochs, length)
    begins, ends = by_epoch[:, 0], np.median(by_epoch[:, -max(3, length // 4) :], axis=1)
    fell = float(np.mean(begins - ends)) > 0
    checks = story.validations[:, 0]
    kept = len(checks) > 2 and float(np.median(checks[-2:])) < _KEPT * float(checks[0])
    begins, ends = begins[1:], ends[:-1]
    jumps = begins - ends
    luck = 3 * float(jumps.std(ddof=1)) / len(jumps) ** 0.5
    least = _JUMP if len(jumps) > 3 else 10 * _JUMP  # as few jumps may be luck
    back = (begins > 0.85 * losses[0]) & (jumps > 0)
    low = float(jumps.mean()) < max(luck, least * losses[0])
    if kept or not fell or low or float(back.mean()) < 0.6:
        return None
    return Finding(
        finding="starts_again",
        confidence=0.9,
        evidence={"epochs": int(back.sum()), "end": float(ends[-1]), "begin": float(begins[-1])},
        meaning=f"{int(back.sum())} of {epochs - 1} epochs begin at the loss of an untrained "
        f"network ({begins[-1]:.2f} after {ends[-1]:.2f})",
        remedy="make the network and its optimiser once, before the loop over epochs",
    )


def clipped_short(story: Story) -> Finding | None:
    """Clipping so short that it is the learning rate."""
    seen = clip_seen(story)
    clip, ratio = seen or story.recipe.clip, story.update_ratio()
    norms = story.gradients[np.isfinite(story.gradients)]
    if clip is None or ratio is None or len(norms) < 10 or ratio > 3e-4:
        return None
    usual = float(np.median(norms))
    if seen is None and float((norms > _SHORT * clip).mean()) < 0.9:
        return None
    if seen is not None:
        return Finding(
            finding="clipped_short",
            confidence=0.9,
            evidence={"clip": clip, "update_ratio": ratio},
            meaning=f"gradients are cut to {clip:.3g} at every step, whatever the batch, and steps "
            f"move weights by {ratio:.1e} of their size",
            remedy="clip at a few times the length that gradients have before, or not at all; of a "
            "scaled loss, after its scale has been taken off",
        )
    return Finding(
        finding="clipped_short",
        confidence=0.9,
        evidence={"clip": clip, "gradient": usual, "update_ratio": ratio},
        meaning=f"nearly every gradient, usually {usual:.2g} long, is cut to {clip:g}, and steps "
        f"move weights by {ratio:.1e} of their size",
        remedy="clip at a few times the usual length, or not at all",
        settings=(f"clip={3 * usual:.2g}",),
    )


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


def norms_stand_still(story: Story) -> Finding | None:
    """Batch-norm whose running statistics never follow those of the batches."""
    trained = {
        layer.name
        for layer in story.recipe.network.layers
        if isinstance(layer, BatchNorm) and layer.trainable
    }
    drifts = [
        drift
        for probe in story.probes
        for name, drift in probe["norms"].items()
        if name in trained and drift is not None
    ]
    if len(story.probes) < 3 or not drifts or any(drifts) or story.recipe.start is not None:
        return None  # trained weights are often fine-tuned with the statistics they came with
    return Finding(
        finding="norms_stand_still",
        confidence=0.95,
        evidence={"layers": len(trained), "drift": 0.0},
        meaning=f"the running mean of {len(trained)} batch-norm layers never moved, so evaluation "
        "normalises by what they began with",
        remedy="give batch-norm a momentum above 0, and see that it is in training mode",
    )


def norms_lag(story: Story) -> Finding | None:
    """Batch-norm whose running statistics are still much of what they began with.

    After t steps (1 - momentum)^t of it is left; batches are normalised by their own statistics, so
    that training does not show it and evaluation does.
    """
    steps = len(story.losses)
    slow = {
        layer.name: layer.momentum
        for layer in story.recipe.network.layers
        if isinstance(layer, BatchNorm)
        and layer.trainable
        and layer.running
        and not layer.corrected
        if layer.momentum > 0 and (1 - layer.momentum) ** steps > _LEFT
    }
    if steps < 20 or not slow or not len(story.validations) or story.recipe.start is not None:
        return None
    training, validated = float(story.smoothed()[-1]), float(story.validations[-1, 0])
    alike = isinstance(story.recipe.objective, CROSS_ENTROPY)  # else in different units
    apart = alike and validated > max(1.5 * training, training + 0.1 * story.chance)
    if not apart and float(story.validations[-1, 1]) > story.guessing:
        return None
    momentum = min(slow.values())
    left = (1 - momentum) ** steps
    return Finding(
        finding="norms_lag",
        confidence=0.95,
        evidence={
            "momentum": momentum,
            "left": left,
            "steps": steps,
            "layers": len(slow),
            "training_loss": training,
            "validation_loss": validated,
        },
        meaning=f"with a momentum of {momentum:g}, {left:.0%} of the running statistics of "
        f"{len(slow)} batch-norm layers are, after {steps} steps, still those they began with: "
        f"the loss is {training:.2f} in training, and {validated:.2f} in evaluation, where they "
        "count",
        remedy="give batch-norm a momentum of 0.1 (the share of the new batch; some libraries "
        "count the share of the old ones, 0.9), or train for longer",
    )


def too_much_decay(story: Story) -> Finding | None:
    """Weights that decay shrinks faster than anything is learnt."""
    sizes = _column(story, "size")
    if len(story.probes) < 3 or len(story.losses) < 30 or story.recipe.optimiser.decay == 0:
        return None
    left = [v[-1] / v[0] for v in sizes.values() if v and v[0]]
    share, curve = float(np.median(left)) if left else 1.0, story.smoothed()
    late, memory, decay = float(curve[-1]), _memory(story), story.recipe.optimiser.decay
    shrunk = share <= _SHRUNK and late >= 0.3 * story.chance
    shrunk = shrunk and (late >= 1.05 * float(curve.min()) or late >= 0.5 * story.chance)
    forgets = memory < _FORGETS and late > _HELD_BACK * story.chance
    if not (shrunk or forgets):
        return None
    evidence: dict[str, float | str] = {
        "weights_left": share,
        "decay": decay,
        "training_loss": late,
    }
    return Finding(
        finding="too_much_decay",
        confidence=0.8,
        evidence=evidence | ({"steps_remembered": memory} if forgets else {}),
        meaning=(
            f"weights have shrunk to {share:.0%} of their size"
            if shrunk
            else f"decay takes weights back within {memory:.0f} steps, whatever they have learnt"
        )
        + f", and the training loss stands at {late:.2f}, where guessing is {story.chance:.2f}",
        remedy="divide the weight decay by 100",
        settings=(f"optimiser.decay={decay / 100:g}",),
    )


def _memory(story: Story) -> float:
    """Return the steps after which decay has taken 1 - 1/e of a weight; infinite without decay.

    Of optimisers that divide a gradient by its own size none is known: decay is divided with it.
    """
    optimiser, rates = story.recipe.optimiser, story.rates[np.isfinite(story.rates)]
    if not isinstance(optimiser, SGD | AdamW) or not len(rates):
        return math.inf
    goes_on = 1 - float(getattr(optimiser, "momentum", 0.0)) if isinstance(optimiser, SGD) else 1.0
    pull = float(np.median(rates)) * optimiser.decay / max(goes_on, 1e-3)
    return 1 / pull if pull > 0 else math.inf


def too_much_dropout(story: Story) -> Finding | None:
    """Dropout that leaves too little to learn with."""
    shares = [e.p for e in story.recipe.network.layers if isinstance(e, Dropout)]
    curve = story.smoothed()
    if not shares or max(shares) < _DROPPED or len(story.losses) < 30:
        return None
    validated = story.validations[-1, 0] if len(story.validations) else curve[-1]
    if float(curve[-1]) < 0.4 * story.chance or float(validated) > 1.1 * float(curve[-1]):
        return None
    return Finding(
        finding="too_much_dropout",
        confidence=0.75,
        evidence={"p": max(shares), "training_loss": float(curve[-1])},
        meaning=f"with {max(shares):.0%} of a layer dropped, the training loss stands at "
        f"{curve[-1]:.2f}, where guessing is {story.chance:.2f}",
        remedy="drop at most a half",
    )


def _column(story: Story, what: str) -> dict[str, list[float]]:
    """Return a figure of each layer's weights over the probes."""
    found: dict[str, list[float]] = {}
    for probe in story.probes:
        for name, each in probe["weights"].items():
            if each[what] is not None:
                found.setdefault(name, []).append(float(each[what]))
    return found
