"""Rules on labels that training and the held-out parts give otherwise, and weights half loaded.

A network that has learnt is right most often where labels agree. One that is wrong in an orderly
way, more often than whoever guesses, has been taught other labels than it is asked for.
"""

from __future__ import annotations

import math

import numpy as np

from striate.design import BatchNorm
from striate.design.pointwise import Dropout, Noise
from striate.doctor.begun import start_sizes
from striate.doctor.fed import class_order, confusion, learnt
from striate.doctor.story import Finding, Floats, Story
from striate.inference.redrawn import redrawn
from striate.train.objective import Softmax

_FELL = 0.85  # of the loss of guessing, or of the first, that is left where something was learnt
_CLEAR = 4.0  # standard errors
_TWICE = 2.0  # answers in the other class's name, against those in its own
_IN_PLACE = 0.6  # of the classes, that a network which has learnt has right most often
_FEWEST = 20  # mistakes
_MIXED = 0.15  # of a class
_HARDER = 1.3  # times validation's loss
_STEPS = 50  # fewer show no level
_OF_BATCH = 8  # images: batch-norm over fewer makes training harder by itself
_OTHER = 0.01  # of a norm, beyond which it is of other weights


def labels_disagree(story: Story) -> Finding | None:
    """Training images that are learnt, and held-out ones of which fewer are right than by luck."""
    if len(story.validations) < 2 or len(story.losses) < 20 or not story.held_out:
        return None
    late = story.validations[len(story.validations) // 2 :]
    share, curve = 1 / max(story.classes, 2), story.smoothed()
    right, loss = float(late[:, 1].mean()), float(late[-1, 0])
    fell = float(curve[-1]) < _FELL * min(story.chance, float(curve[0]))
    if not fell or right >= story.luckless or loss < story.chance:
        return None
    return Finding(
        finding="labels_disagree",
        confidence=0.9,
        evidence={
            "validation_accuracy": right,
            "guessing": share,
            "least_by_luck": story.luckless,
            "validation_loss": loss,
            "training_loss": float(curve[-1]),
        },
        meaning=f"{right:.1%} of the validation images are right, where guessing gives {share:.1%} "
        f"and three standard errors of bad luck {story.luckless:.1%}; training images are learnt",
        remedy="see that labels are counted, ordered and named alike in training and validation "
        "(from 0 or from 1, by folder or by file), and images prepared alike (turned, inverted)",
    )


def classes_swapped(story: Story) -> Finding | None:
    """Some classes are answered in one another's name, as if labels had been changed about."""
    table = confusion(story)
    if table is None or class_order(story) is not None or not learnt(story):
        return None
    in_place = float((table.argmax(1) == np.arange(len(table))).mean())
    if in_place < _IN_PLACE:
        return None
    moved = [cycle for cycle in _cycles(table.argmax(1).tolist()) if _changed(table, cycle)]
    if not moved:
        return None
    named = [story.contract.classes[k].label if story.contract else f"{k}" for k in moved[0]]
    rows = [k for cycle in moved for k in cycle]
    answers = table.argmax(1)
    total = float(table[rows].sum())
    otherwise = float(table[rows, answers[rows]].sum())
    right = float(np.trace(table))
    gained = right + otherwise - float(table[rows, rows].sum())
    return Finding(
        finding="classes_swapped",
        confidence=0.9,
        evidence={
            "classes": ", ".join(named),
            "moved": len(rows),
            "as_the_other": otherwise / total,
            "as_itself": float(table[rows, rows].sum()) / total,
            "accuracy": right / float(table.sum()),
            "accuracy_if_renamed": gained / float(table.sum()),
        },
        meaning=f"images of {' and '.join(named)} are answered in each other's name "
        f"{otherwise / total:.0%} of the time, in their own {table[rows, rows].sum() / total:.0%}",
        remedy="look at training and test images of these classes with their labels: in one of "
        "the parts they have been changed about",
    )


def _cycles(answers: list[int]) -> list[tuple[int, ...]]:
    """Return the rounds of two classes or more in what each class is answered as most often."""
    found = set()
    for start in range(len(answers)):
        path, at = [start], answers[start]
        while at not in path:
            path.append(at)
            at = answers[at]
        if at == start and len(path) > 1:
            found.add(tuple(sorted(path)))
    return sorted(found)


def _changed(table: Floats, cycle: tuple[int, ...]) -> bool:
    """Tell whether classes are beyond doubt taken for the next one in a round.

    Of classes that cannot be told apart one is the likelier answer, whatever the image; a round
    needs each to be unlikelier than the next.
    """
    rows = list(cycle)
    other, own = table[rows, table[rows].argmax(1)], table[rows, rows]
    wrong, right = float(other.sum()), float(own.sum())
    clear = wrong - right > _CLEAR * math.sqrt(wrong + right)
    return bool((other > own).all()) and wrong > _TWICE * right and clear


def labels_partly_wrong(story: Story) -> Finding | None:
    """Mistakes spread evenly over classes, by a network that is as unsure of every image.

    So labels that were drawn anew for a share of the images are learnt (`inference.redrawn`).
    """
    table, given = confusion(story), (story.results or {}).get("test") or {}
    found = None if table is None else redrawn(table, float(given.get("loss") or 0.0))
    if found is None:
        return None
    return Finding(
        finding="labels_partly_wrong",
        confidence=0.8,
        evidence={
            "accuracy": found.accuracy,
            "loss": found.loss,
            "loss_if_as_unsure_of_all": found.unsure,
            "uneven": found.uneven,
            "mistakes": float(found.mistakes),
        },
        meaning=f"its {found.mistakes} mistakes on the test part fall on all other classes alike "
        f"({found.uneven:.1f} standard errors from chance), and its loss of {found.loss:.2f} is "
        f"that of whoever is as unsure of every image ({found.unsure:.2f}): some "
        f"{1 - found.accuracy:.0%} of the labels may be wrong",
        remedy="look at labels that it doubts (striate check --run RUN) and at "
        "figures/mistakes.png before the network is changed",
    )


def training_harder(story: Story) -> Finding | None:
    """A training loss that stays far above validation's, though nothing makes training harder.

    Dropout, augmentation, mixing, smoothed or weighted labels, and weights averaged for validation
    all do; where there is none, images or labels of the training part are worse than the others'.
    """
    recipe, checks = story.recipe, story.validations
    if story.own_loop or len(checks) < 3 or not story.held_out or len(story.losses) < _STEPS:
        return None
    noisy = any(isinstance(each, Dropout | Noise) for each in recipe.network.layers)
    normed = any(isinstance(each, BatchNorm) for each in recipe.network.layers)
    plain = isinstance(recipe.objective, Softmax) and recipe.objective.label_smoothing == 0
    held_back = noisy or recipe.augmentation or recipe.ema or recipe.sampling.classes != "as_found"
    if not plain or held_back or (normed and recipe.batch < _OF_BATCH):
        return None
    late = len(checks) // 3
    validated = float(np.median(checks[-late:, 0]))
    trained = float(np.median(story.losses[-len(story.losses) * late // len(checks) :]))
    if float(checks[-1, 1]) <= story.guessing or validated > 0.9 * story.chance:
        return None
    if trained < _HARDER * validated + 0.1 * story.chance:
        return None
    return Finding(
        finding="training_harder",
        confidence=0.75,
        evidence={"training_loss": trained, "validation_loss": validated},
        meaning=f"the training loss stays at {trained:.2f} and validation's is {validated:.2f}, "
        "though no dropout, augmentation or mixing makes training harder: labels or images of the "
        "training part are wrong in part",
        remedy="look at training labels that it doubts (striate check --run RUN), and at training "
        "images beside validation images (striate augment)",
    )


def classes_mixed_up(story: Story) -> Finding | None:
    """Two classes that are taken for one another, and hardly anything else wrong."""
    table = confusion(story)
    if table is None or len(table) < 4 or classes_swapped(story) is not None:
        return None
    wrong = table.sum() - np.trace(table)
    pairs = np.triu(table + table.T, 1)
    one, other = (int(each) for each in np.unravel_index(int(pairs.argmax()), pairs.shape))
    both = float(pairs[one, other])
    shares = [table[a, b] / table[a].sum() for a, b in ((one, other), (other, one))]
    if wrong < _FEWEST or both < 0.5 * wrong or min(shares) < _MIXED:
        return None
    named = [story.contract.classes[k].label if story.contract else f"{k}" for k in (one, other)]
    return Finding(
        finding="classes_mixed_up",
        confidence=0.5,
        evidence={
            "classes": ", ".join(named), "of_all_mistakes": both / float(wrong),
            "as_the_other": shares[0], "as_the_first": shares[1],
        },
        meaning=f"{both:.0f} of {wrong:.0f} mistakes are {named[0]} taken for {named[1]} or the "
        "other way round, and the rest is told apart: they are alike, or their labels are mixed",
        remedy="look at labels of the two that it doubts (striate check --run RUN)",
    )  # fmt: skip


def loaded_in_part(story: Story) -> Finding | None:
    """Weights that some layers did not get, of those that training should have begun with."""
    start = story.recipe.start
    first = story.probes[0] if story.probes else {}
    if start is None or first.get("step") != 1:
        return None
    given = start_sizes(start)
    sizes = {
        name: (float(each["size"]), given[name])
        for name, each in first["weights"].items()
        if name in given and each["size"] is not None
    }
    other = [name for name, each in sizes.items() if abs(each[0] - each[1]) > _OTHER * max(each)]
    if not other:
        return None
    here, there = sizes[other[0]]
    return Finding(
        finding="loaded_in_part",
        confidence=0.95,
        evidence={
            "layer": other[0], "layers": len(other), "of": len(sizes), "norm": here,
            "norm_in_the_file": there,
        },
        meaning=f"{len(other)} of {len(sizes)} layers did not begin with the weights of "
        f"{start.path}: {other[0]} had a norm of {here:.3g}, in the file it is {there:.3g}",
        remedy="load them strictly, and see which names differ (load_state_dict(strict=False) "
        "passes over them in silence)",
    )  # fmt: skip
