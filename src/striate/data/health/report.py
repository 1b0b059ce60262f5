"""What the data doctor says, as records."""

from __future__ import annotations

from typing import Literal

from striate.records import Record

Verdict = Literal["pass", "warn", "fail"]


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked for.

    Args:
        check: its name.
        verdict: `pass` where there is none of it.
        count: images (or files) concerned.
        meaning: what it does to a training, in a sentence.
        fix: what to do.
        items: the images, as `part/id`; those that belong together in one entry.
        notes: for each item what is to be said of it; or none at all.
    """

    check: str
    verdict: Verdict
    count: int
    meaning: str
    fix: str
    items: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


class Weight(Record, frozen=True, kw_only=True):
    """A class: how many images each part has of it, and the weight proposed for the loss.

    A weight is the mean number of training images of a class over that of this one.
    """

    id: str
    images: dict[str, int]
    weight: float | None


class Fact(Record, frozen=True, kw_only=True):
    """A kind of image (a mode, a size, a proportion) and how many there are."""

    what: str
    count: int


class Health(Record, frozen=True, kw_only=True):
    """All that was found.

    Args:
        name: of the data set.
        spec: where it is.
        verdict: the worst of the findings.
        images: by part.
        findings: in order.
        classes: with counts and proposed weights.
        modes: how files store pixels.
        sizes: of images, the most frequent first.
        aspects: width over height, in steps.
        mean: of each channel of the training part, in units of 0..1.
        std: standard deviation of each channel.
        leaked: images of the validation and test parts that are (nearly) in the training part too,
            as `part/id`: leave them out, and the accuracy is that on unseen images.
        seconds: that it took.
    """

    name: str
    spec: str
    verdict: Verdict
    images: dict[str, int]
    findings: tuple[Finding, ...]
    classes: tuple[Weight, ...]
    modes: tuple[Fact, ...]
    sizes: tuple[Fact, ...]
    aspects: tuple[Fact, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    leaked: tuple[str, ...]
    seconds: float
