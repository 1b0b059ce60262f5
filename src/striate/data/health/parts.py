"""What the parts of a data set say of one another, in sentences for the data doctor and preflight.

Each function gives what was found whichever of the two asks: verdict, count, meaning and cure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate import wording
from striate.contract import Class
from striate.data.health.alike import Looks, differences, looks
from striate.data.health.report import Verdict
from striate.data.samples import Samples

_FEW = 25  # images: the standard error of an accuracy is then up to 10 points
_NO_LUCK = 3  # times as many images as classes: luck leaves out 1 class in 20
_LEVELS = 16  # of 256: fewer show an image in posterised steps
_LOOKED_AT = 512

CURE = (
    "read and prepare all parts alike (order of channels, scale, size, compression), or see that "
    "the difference is meant"
)


class Said(NamedTuple):
    """What was found: how bad it is, how much is apart or lacking, what it means and what to do."""

    verdict: Verdict
    number: int
    meaning: str
    fix: str


def parts_alike(parts: Mapping[str, Samples]) -> Said:
    """Compare the images of held-out parts, as stored, with those of the training part.

    Args:
        parts: by name; without one called train there is nothing to compare with.

    Raises:
        DataError: an image cannot be read any more.
    """
    there = {part: samples for part, samples in parts.items() if len(samples)}
    if "train" not in there or len(there) < 2:
        return Said("pass", 0, "there are no parts to compare", "")
    first = {"train": there.pop("train")}
    found = looks({**first, **there})
    training = found.pop("train")
    return looks_alike(training, found)


def looks_alike(training: Looks, held_out: Mapping[str, Looks]) -> Said:
    """Compare held-out images with training images, both measured already.

    Args:
        training: images.
        held_out: by the name of their part.
    """
    worst: Verdict = "pass"
    sentences, count = [], 0
    for part, seen in held_out.items():
        found = differences(training, seen)
        if found:
            sentences.append(found[0].told(part))
            grave = any(each.grave for each in found)
            worst = "fail" if grave or worst == "fail" else "warn"
            count += len(found)
    if not sentences:
        return Said("pass", 0, "held-out images look like training images of their class", "")
    return Said(worst, count, "; ".join(sentences), CURE)


def validation_tells(
    training: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    classes: Sequence[Class],
    part: str = "validation",
) -> Said:
    """See that a part has images enough for an accuracy, and of every class that is trained.

    Args:
        training: labels of the training part.
        held_out: labels of the part.
        classes: all, in their order.
        part: its name.
    """
    trained = np.unique(training)
    missing = np.setdiff1d(trained, held_out)
    images = wording.count(len(held_out), "image")
    if len(missing) and len(held_out) >= _FEW:
        named = ", ".join(classes[label].label for label in missing[:5])
        named += f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        grave = 2 * len(missing) > len(trained) and len(held_out) >= _NO_LUCK * len(trained)
        return Said(
            "fail" if grave else "warn",
            len(missing),
            f"the {part} part's {images} are of {len(trained) - len(missing)} of "
            f"{wording.count(len(trained), 'trained class')}: nothing is known of {named}",
            f"draw the {part} part from all classes (shuffle before splitting)",
        )
    if len(held_out) < _FEW:
        error = math.sqrt(0.25 / max(len(held_out), 1))
        return Said(
            "warn",
            _FEW - len(held_out),
            f"the {part} part has {images}: its accuracy has a standard error of up to "
            f"{error:.0%} (100 images: 5%)",
            f"give the {part} part 100 images or more, or judge by several folds "
            "(striate check --folds)",
        )
    return Said("pass", 0, f"the {part} part's {images} are of every trained class", "")


def levels_used(samples: Samples) -> Said:
    """See that stored pixels use more than a few of their 256 levels.

    Raises:
        DataError: an image cannot be read any more.
    """
    low, high = 255, 0
    step = max(len(samples) // _LOOKED_AT, 1)
    for index in range(0, len(samples), step):
        pixels = samples.stored(index)
        low, high = min(low, int(pixels.min())), max(high, int(pixels.max()))
        if high - low >= _LEVELS:
            break
    levels = high - low + 1
    if levels > _LEVELS or low >= high:  # of one level: blank images, which are said elsewhere
        return Said("pass", 0, "pixels use their range", "")
    return Said(
        "warn",
        _LEVELS + 1 - levels,
        f"all pixels looked at lie between {low} and {high} of 0 to 255, {levels} levels"
        + (": pixels of 0 to 1 may have been cast to whole numbers" if high <= 1 else ""),
        "multiply pixels of 0 to 1 by 255 and round before they are stored as 8 bits"
        if high <= 1
        else "see that the images were scaled to 0 to 255 when they were stored",
    )
