"""Rules on what a run was fed with: its split, order and labels, and the weights it began with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from striate.doctor.begun import PREPARED_ALIKE, preparation_gap
from striate.doctor.curves import rate_too_low
from striate.doctor.layers import DEAD, dead_share, given_up
from striate.doctor.story import Finding, Story

_WAITING = 0.5
_SECONDS = 1.0  # of waiting, below which nobody would notice
_CROWDED = 1.5  # processes to each core that want to run: it may be they that are waited for
_SLICE = 0.02  # seconds of a wait: a crowd takes the processor for some milliseconds at a time
_NEARLY_ALL = 0.8  # of the time: no crowd takes as much
CARRIES = 0.6  # of the loss of guessing, below which the first epoch has taught something
_LONG = 100  # steps, before a loss that has not fallen says anything of the labels
_NEW = 0.95  # likewise: what is learnt carries over to images that are new
_ENOUGH = 14.0  # images of a class that would be right if it were as well known as others
_NOTHING = 0.02  # of the greatest weight of a class
_SHARED = 0.02  # of a part's images, beyond which they are no accident


def starved(story: Story) -> Finding | None:
    """A device that waits for its data."""
    shares = [probe["waiting"] for probe in story.probes[2:] if probe.get("waiting") is not None]
    share = float(np.median(shares)) if len(shares) > 1 else 0.0
    work = story.augmenting / max(story.recipe.workers, 1)
    share = min(share, story.waiting)  # that of whole epochs, where there is one
    share *= max(1 - work / max(story.waited, 1e-9), 0.0) if work else 1.0
    if share < _WAITING or story.waited < _SECONDS:
        return None
    each = story.waited / max(len(story.losses), 1)
    crowded = story.load > _CROWDED and share < _NEARLY_ALL and each < _SLICE
    more = f"--workers {max(2, 2 * story.recipe.workers)}, where there are as many cores"
    return Finding(
        finding="data_starved",
        confidence=0.5 if crowded else 0.9,
        evidence={"waiting": share, "workers": story.recipe.workers, "load_per_core": story.load},
        meaning=f"{share:.0%} of the time goes by waiting for images"
        + f"; the machine had {story.load:.1f} processes to each core" * crowded,
        remedy="see what else runs on the machine" if crowded
        else f"use more workers ({more}), or pack the data",
    )  # fmt: skip


def validation_leak(story: Story) -> Finding | None:
    """Images of the validation or test part that were trained on."""
    train = set(story.data.get("train", {}).get("hashes", ()))
    for part in ("validation", "test"):
        hashes = set(story.data.get(part, {}).get("hashes", ()))  # blank images are one picture
        shared = len(hashes & train)
        if hashes and shared / len(hashes) > _SHARED:
            return Finding(
                finding="validation_leak",
                confidence=1.0,
                evidence={"part": part, "shared": shared, "of": len(hashes)},
                meaning=f"{shared} of {len(hashes)} images of the {part} part are, by content, "
                "among those trained on",
                remedy="split by content, or by whatever the copies have in common",
            )
    return None


def chosen_on_test(story: Story) -> Finding | None:
    """Weights chosen, or training stopped, by the very images of the test."""
    test = set(story.data.get("test", {}).get("hashes", ()))
    hashes = set(story.data.get("validation", {}).get("hashes", ()))
    shared = len(hashes & test)
    if not hashes or shared / len(hashes) <= _SHARED:
        return None
    stops = " and training ends" if story.recipe.early_stop else ""
    return Finding(
        finding="chosen_on_test",
        confidence=1.0,
        evidence={"shared": shared, "of": len(hashes)},
        meaning=f"weights are chosen{stops} by {len(hashes)} images, {shared} of which are the "
        "test's, so its figure is no longer that of unseen images",
        remedy="hold a validation part out of the training images",
    )


def labels_look_shuffled(story: Story) -> Finding | None:
    """Images that are learnt by heart, and nothing that carries over."""
    if len(story.validations) < 2 or len(story.losses) < 20:
        return None
    best, curve = float(story.validations[:, 1].max()), story.smoothed()
    luckily = max(float(story.validations[-1, 1]), float(np.median(story.validations[:, 1])))
    late = story.validations[len(story.validations) // 2 :, 1]
    error = (story.guessing - 1 / max(story.classes, 1)) / 3
    back = best < story.guessing + error and float(late[-1]) < story.guessing - error  # luck, once
    back = back and float(curve[-1]) > 0.95 * story.chance
    if (
        (best > story.guessing and luckily > story.guessing and not back)
        or story.failure is not None
        or late.mean() < story.luckless
    ):
        return None  # wrong more often than by guessing is no chance: another rule's
    ratio = story.update_ratio() or 0.0
    by_heart = float(curve[-1]) < 0.8 * story.chance and ratio > 1e-6
    moved = 2e-4 < ratio < 0.03 and float(curve[-1]) < 1.2 * story.chance
    fresh = first_seen(story)
    if (fresh is not None and fresh < _NEW * story.chance) or story.floor > 0.9 * story.chance:
        return None  # images never seen before were right, or there was nothing to be learnt
    moved = moved and len(story.losses) >= _LONG and rate_too_low(story) is None
    if not (by_heart or moved) or (dead_share(story)[1] > DEAD and not given_up(story)):
        return None
    return Finding(
        finding="labels_look_shuffled",
        confidence=0.9 if by_heart else 0.6,
        evidence={"validation_accuracy": best, "guessing": story.guessing, "loss": curve[-1]},
        meaning=f"the best validation accuracy, {best:.1%}, is that of guessing, though weights "
        "move as they should",
        remedy="look at images with their labels, as the network gets them: the two may have been "
        "ordered apart, or images changed past recognition",
    )


def first_seen(story: Story) -> float | None:
    """Return the loss of the last third of the first epoch: of images never seen before.

    None where an epoch is of few steps, or steps are missing.
    """
    length = story.steps_per_epoch
    if length < 10 or len(story.losses) <= length or not story.whole:
        return None
    return float(np.mean(story.losses[length - length // 3 : length]))


def not_shuffled(story: Story) -> Finding | None:
    """Batches in the same order in every epoch, or each of few classes."""
    orders = story.orders
    if len(orders) < 2:
        return None
    same = (
        len({each["digest"] for each in orders}) == 1
        and orders[0]["images"] > 1
        and story.steps_per_epoch > 1  # a batch of all images has but one order
    )
    seen = float(np.median([each["classes"] / each["expected"] for each in orders]))
    few = seen < 0.5 and float(np.median([each["expected"] for each in orders])) > 2
    if not (same or few):
        return None
    return Finding(
        finding="not_shuffled",
        confidence=0.95,
        evidence={"epochs": len(orders), "classes_of_expected": seen},
        meaning=("every epoch begins with the same images in the same order" if same else "")
        + (" and " * (same and few))
        + (f"a batch has {seen:.0%} of the classes it would have by chance" if few else ""),
        remedy="shuffle the training images anew in every epoch",
    )


def class_order(story: Story) -> Finding | None:
    """A network that is right, but in another order of classes."""
    table = confusion(story)
    if table is None or len(table) < 3 or not learnt(story):
        return None
    rows, answers = table.sum(1), table.argmax(1)
    sure = float((table.max(1) / rows).mean())
    shifted = int((answers != np.arange(len(answers))).sum())
    luck = float((table.sum(0) / table.sum()).max())  # of whoever gives every row the same answers
    error = math.sqrt(luck * (1 - luck) / float(table.sum()))
    clear = sure > max(0.25, 2.0 / len(table), luck + 3 * error)
    wrong = float(np.trace(table) / table.sum())
    if len(set(answers.tolist())) < 0.8 * len(answers) or shifted < max(2, 0.3 * len(answers)):
        return None
    if not clear or wrong > 0.5 * sure:
        return None
    return Finding(
        finding="class_order",
        confidence=0.95,
        evidence={"shifted": shifted, "classes": len(answers), "agreement": sure},
        meaning=f"{shifted} classes are answered, {sure:.0%} of the time, as one other class each",
        remedy="match classes by name: the order of the labels is not that of the training",
    )


def one_answer(story: Story) -> Finding | None:
    """A network that gives one answer to nearly everything."""
    table = confusion(story)
    if table is None or len(table) < 3:
        return None
    answers, there = table.sum(0) / table.sum(), table.sum(1) / table.sum()
    best = int(answers.argmax())
    usual = there[best] > 0.5  # most images are of that class
    if answers[best] < (0.995 if usual else 0.9) or there[best] > 0.95:
        return None
    return Finding(
        finding="one_answer",
        confidence=0.8,
        evidence={"class": best, "answers": float(answers[best]), "images": float(there[best])},
        meaning=f"{answers[best]:.0%} of the answers are class {best}, which has "
        f"{there[best]:.0%} of the images",
        remedy="see the findings beside this one: it has learnt nothing, or one class only",
    )


def never_answered(story: Story) -> Finding | None:
    """Classes that no test image is ever answered as, by a network that knows the others."""
    table = confusion(story)
    if table is None or len(table) < 3 or not learnt(story):
        return None
    there, answers = table.sum(1), table.sum(0)
    known = answers > 0
    right = float(np.trace(table) / max(there[known].sum(), 1))
    silent = np.flatnonzero(~known & (there * right > _ENOUGH)).tolist()
    if not silent or right < 0.5 or known.sum() < len(table) / 2:
        return None
    named = ", ".join(story.contract.classes[k].label if story.contract else f"{k}" for k in silent)
    drawn = story.recipe.sampling.classes
    weighed = getattr(story.recipe.objective, "weights", None)
    left_out = next(
        (
            setting
            for setting, weights in (("sampling.classes", drawn), ("objective.weights", weighed))
            if weights
            and not isinstance(weights, str)
            and max(weights[k] for k in silent) < _NOTHING * max(weights)
        ),
        "",
    )
    return Finding(
        finding="never_answered",
        confidence=0.95 if left_out else 0.8,
        evidence={
            "classes": named,
            "silent": len(silent),
            "images": float(there[silent].sum()),
            "others_right": right,
        },
        meaning=f"none of the {table.sum():.0f} answers on the test part is {named}, of which it "
        f"has {there[silent].sum():.0f} images; of the other classes {right:.0%} are right"
        + (f"; {left_out} weighs them by next to nothing" if left_out else ""),
        remedy=f"give every class a weight in {left_out} that counts"
        if left_out
        else "see that the training part has images of it, under its own label; if they are few, "
        "show them as often as others (sampling.classes=balanced)",
        settings=("sampling.classes=as_found",) if left_out == "sampling.classes" else (),
    )


def test_differs(story: Story) -> Finding | None:
    """A test accuracy far from that of validation: two kinds of image, or two sets of weights."""
    figures = (story.results or {}).get("test") or {}
    held = story.held_out
    if not len(story.validations) or not figures.get("n") or not held or not story.whole:
        return None  # the validation that chose the weights may be lost
    chosen, test = float(story.validations[:, 1].max()), float(figures["accuracy"])
    pooled = (chosen * held + test * figures["n"]) / (held + figures["n"])
    error = math.sqrt(max(pooled * (1 - pooled), 1e-4) * (1 / held + 1 / figures["n"]))
    apart, least = chosen - test, max(0.08, 4.5 * error)
    if abs(apart) < (least if apart > 0 else 2 * least):  # the best epoch's figure is a little high
        return None
    return Finding(
        finding="test_differs",
        confidence=0.8,
        evidence={"validation_accuracy": chosen, "test_accuracy": test, "error": error},
        meaning=f"{test:.1%} of the test images are right, {chosen:.1%} of the validation images: "
        f"{abs(apart) / error:.0f} standard errors apart",
        remedy="see that both parts are prepared alike and drawn alike, and that the weights "
        "evaluated are those that were chosen",
    )


def wrong_normalisation(story: Story) -> Finding | None:
    """Weights that were trained on images prepared otherwise."""
    mine, theirs = story.contract, story.start
    if mine is None or theirs is None or story.recipe.start is None:
        return None
    if preparation_gap(mine, theirs) < PREPARED_ALIKE:
        return None
    return Finding(
        finding="wrong_normalisation",
        confidence=0.9,
        evidence={
            "mean": _spell(mine.mean),
            "std": _spell(mine.std),
            "weights_mean": _spell(theirs.mean),
            "weights_std": _spell(theirs.std),
        },
        meaning="the weights it began with were trained on images prepared otherwise: "
        f"{mine.channels} mean {_spell(mine.mean)}, std {_spell(mine.std)} here; "
        f"{theirs.channels} {_spell(theirs.mean)}, {_spell(theirs.std)} there",
        remedy="prepare images as the weights' contract says (preprocessing.mean, std, scale)",
    )


def learnt(story: Story) -> bool:
    """Tell whether the training loss fell at all, or what was begun with may have known already."""
    curve = story.smoothed()
    return story.recipe.start is not None or (len(curve) > 1 and curve[-1] < 0.9 * curve[0])


def _spell(values: tuple[float, ...]) -> str:
    return ", ".join(f"{each:.3g}" for each in values)


def confusion(story: Story) -> npt.NDArray[np.float64] | None:
    """Return the counts of true class by answer on the test part, where every class is there."""
    figures = (story.results or {}).get("test") or {}
    table = np.array(figures.get("confusion") or [[0]], np.float64)
    square = table.ndim == 2 and table.shape[0] == table.shape[1]
    return table if square and table.sum(1).all() and table.sum() else None
