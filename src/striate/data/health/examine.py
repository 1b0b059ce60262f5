"""The examination: every image once, and what follows from all of them together."""

from __future__ import annotations

import os
import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate import wording
from striate.data.dataset import Dataset
from striate.data.health.pairs import exact, grouped, near
from striate.data.health.parts import Said, levels_used, parts_alike, validation_tells
from striate.data.health.report import Fact, Finding, Health, Verdict, Weight
from striate.data.health.series import Frame, across_parts
from striate.data.health.signature import Signature, signatures
from striate.data.split import refusal

Floats = npt.NDArray[np.float64]

_BLANK = 4.0  # standard deviation of grey levels below which there is nothing to see
_LEAK = 0.02  # share of a part: beyond it, as for the doctor's `validation_leak`
_UNEVEN = 3.0  # times as many images of one class as of another
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet: pretrained networks
_PARTS = {"all": 0, "train": 0, "validation": 1, "test": 2}


class _Image(NamedTuple):
    """An image of the data set: where it is, what it is called, and what it was found to be."""

    part: str
    id: str
    label: int
    size: tuple[int, int]
    seen: Signature

    @property
    def name(self) -> str:
        """The part and the id, which may begin with the part's folder."""
        return f"{self.part}/{self.id.removeprefix(f'{self.part}/')}"


def examine(dataset: Dataset) -> Health:
    """Look for what spoils a training or its figures.

    Args:
        dataset: as opened; files it had to leave out are found here.

    Raises:
        DataError: an image is gone since the data set was opened.
    """
    began = time.monotonic()
    images = [
        _Image(part, samples.ids[i], int(samples.labels[i]), tuple(samples.sizes[i].tolist()), seen)
        for part, samples in dataset.parts.items()
        for i, seen in enumerate(signatures(samples))
    ]
    same = exact([one.seen.hash for one in images])
    alike = _groups(images)
    training = [one for one in images if one.part in ("train", "all")] or images
    mean = np.mean([one.seen.total for one in training], axis=0)
    std = np.sqrt(np.mean([one.seen.square for one in training], axis=0) - mean**2)
    findings = (
        _refused(dataset),
        _bad(dataset),
        _beside(dataset),
        _blank(images),
        _same(images, same, "exact_duplicates", "the same pixels", dataset),
        _same(images, alike, "near_duplicates", "the same picture, changed a little", dataset),
        _across(images, [*same, *alike]),
        _conflicts(dataset, images, [*same, *alike]),
        _series(images),
        _uneven(dataset, training),
        *_of_parts(dataset),
        _colours(mean, std, dataset.channels == "grey"),
    )
    order: tuple[Verdict, ...] = ("pass", "warn", "fail")
    return Health(
        name=dataset.name,
        spec=dataset.spec,
        verdict=max((each.verdict for each in findings), key=order.index),
        images={part: len(samples) for part, samples in dataset.parts.items()},
        findings=findings,
        classes=_weights(dataset, training),
        modes=_facts(Counter(one.seen.mode for one in images)),
        sizes=_facts(Counter(f"{one.size[1]}x{one.size[0]}" for one in images), 20),
        aspects=_facts(Counter(f"{one.size[1] / one.size[0]:.1f}" for one in images), 20),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        leaked=_leaked(images, [*same, *alike]),
        seconds=time.monotonic() - began,
    )


def _groups(images: Sequence[_Image]) -> list[list[int]]:
    """Return groups of images that are nearly the same, of different pixels."""
    firsts = list(
        {one.seen.hash: index for index, one in reversed(list(enumerate(images)))}.values()
    )
    firsts = [index for index in sorted(firsts) if images[index].seen.spread >= _BLANK]
    if len(firsts) < 2:
        return []
    found = near(
        np.stack([images[index].seen.thumbnail for index in firsts]),
        np.array([min(images[index].size) for index in firsts]),
    )
    pairs = [[firsts[one], firsts[other]] for one, other in found.tolist()]
    return grouped(pairs)


def _refused(dataset: Dataset) -> Finding:
    """Say what training would refuse, in its own words."""
    reason = refusal(dataset)
    return Finding(
        check="training_refused",
        verdict="fail" if reason else "pass",
        count=len(dataset.lacking) or int(bool(reason)),
        meaning=reason.rstrip(".") or "a training takes these images",
        fix="put that right; nothing can be trained before",
        items=tuple((id,) for id in dataset.lacking),
    )


def _bad(dataset: Dataset) -> Finding:
    paths = tuple((one.path,) for one in dataset.skipped)
    return Finding(
        check="bad_files",
        verdict="fail" if paths else "pass",
        count=len(paths),
        meaning="files that cannot be decoded are left out of everything",
        fix="replace or remove them",
        items=paths,
        notes=tuple(one.reason.removeprefix(f"{one.path} ") for one in dataset.skipped),
    )


def _beside(dataset: Dataset) -> Finding:
    """Find hidden files and folders, and empty ones, which are not part of the data.

    An empty folder of a class is left to `training_refused`, which refuses it.
    """
    found: list[tuple[str, str]] = []
    top = Path(dataset.spec)
    for where, folders, names in os.walk(top) if top.is_dir() else ():
        found += [(str(Path(where, each)), "hidden folder") for each in folders if each[0] == "."]
        found += [(str(Path(where, each)), "hidden file") for each in names if each[0] == "."]
        if not folders and not names and _id(where) not in dataset.lacking:
            found.append((where, "empty folder"))
        folders[:] = sorted(each for each in folders if each[0] != ".")
    return Finding(
        check="hidden_or_empty",
        verdict="warn" if found else "pass",
        count=len(found),
        meaning="they are ignored here, but other programs take such a folder for a class",
        fix="remove them",
        items=tuple((wording.spelled(path),) for path, _ in sorted(found)),
        notes=tuple(what for _, what in sorted(found)),
    )


def _id(folder: str) -> str:
    """Return the id of the class whose folder it would be."""
    return unicodedata.normalize("NFC", wording.spelled(Path(folder).name))


def _blank(images: Sequence[_Image]) -> Finding:
    blank = [one for one in images if one.seen.spread < _BLANK]
    return Finding(
        check="blank_images",
        verdict="warn" if blank else "pass",
        count=len(blank),
        meaning="there is nothing to see in images of a single colour, but each has a label",
        fix="look at them, and remove those that were not meant",
        items=tuple((one.name,) for one in blank),
    )


def _same(
    images: Sequence[_Image], groups: list[list[int]], check: str, what: str, dataset: Dataset
) -> Finding:
    drawn = len(dataset.parts) == 1
    return Finding(
        check=check,
        verdict="warn" if groups else "pass",
        count=sum(map(len, groups)),
        meaning=f"images that are {what} weigh more than others",
        fix="keep one of each group"
        + (": parts that are drawn at random would share the others" if drawn else ""),
        items=tuple(tuple(images[index].name for index in group) for group in groups),
    )


def _across(images: Sequence[_Image], groups: list[list[int]]) -> Finding:
    """Find images in two parts: more than a few make figures wrong, a few are named."""
    across = [group for group in groups if len({images[index].part for index in group}) > 1]
    sizes = Counter(one.part for one in images)
    leaked = Counter(name.partition("/")[0] for name in _leaked(images, across))
    many = any(count > _LEAK * sizes[part] for part, count in leaked.items())
    shares = ", ".join(f"{count / sizes[part]:.1%} of {part}" for part, count in leaked.items())
    return Finding(
        check="leaks_across_parts",
        verdict="fail" if many else "warn" if across else "pass",
        count=sum(map(len, across)),
        meaning="images that are in two parts make the figures on the held-out one too good"
        + (f" ({shares})" if shares else ""),
        fix="remove them from the training part (the field `leaked` has those held out)",
        items=tuple(tuple(images[index].name for index in group) for group in across),
    )


def _conflicts(dataset: Dataset, images: Sequence[_Image], groups: list[list[int]]) -> Finding:
    torn = [group for group in groups if len({images[index].label for index in group}) > 1]
    return Finding(
        check="label_conflicts",
        verdict="fail" if torn else "pass",
        count=sum(map(len, torn)),
        meaning="one picture with two labels cannot be learnt; one of them is wrong",
        fix="decide which label is right",
        items=tuple(tuple(images[index].name for index in group) for group in torn),
        notes=tuple(
            " or ".join(sorted({dataset.classes[images[index].label].label for index in group}))
            for group in torn
        ),
    )


def _series(images: Sequence[_Image]) -> Finding:
    """Find series (a film's frames, a burst) in more than one part."""
    frames = [Frame(one.id, one.label, one.part, min(one.size)) for one in images]
    torn = across_parts(frames, np.stack([one.seen.thumbnail for one in images]))
    return Finding(
        check="series_across_parts",
        verdict="warn" if torn else "pass",
        count=sum(map(len, torn)),
        meaning="frames of one scene on both sides make the figures too good",
        fix="split by the scene, not by the image",
        items=tuple(tuple(images[place].name for place in group) for group in torn),
    )


def _uneven(dataset: Dataset, training: Sequence[_Image]) -> Finding:
    counts = Counter(one.label for one in training)
    least, most = min(counts.values()), max(counts.values())
    fair = len(training) / len(counts)
    rare = [label for label, count in sorted(counts.items()) if count * _UNEVEN < most]
    return Finding(
        check="uneven_classes",
        verdict="warn" if rare else "pass",
        count=len(rare),
        meaning=f"classes have {least:,} to {wording.count(most, 'training image')}: rare ones are "
        "learnt last, and accuracy hides it",
        fix="weigh the loss by the proposed weights, or collect more",
        items=tuple((dataset.classes[label].id,) for label in rare),
        notes=tuple(
            f"{wording.count(counts[label], 'image')}: weight {fair / counts[label]:.4g}"
            for label in rare
        ),
    )


def _of_parts(dataset: Dataset) -> tuple[Finding, ...]:
    """Say what the parts say of one another, and the levels of the training part's pixels."""
    parts = dict(dataset.parts)
    training = parts.get("train") or parts.get("all")
    said = {"parts_alike": parts_alike(parts)}
    if "train" in parts and "validation" in parts:
        labels = parts["train"].labels, parts["validation"].labels
        said["validation_tells"] = validation_tells(*labels, dataset.classes)
    if training is not None:
        said["levels_used"] = levels_used(training)
    return tuple(_said(check, each) for check, each in said.items())


def _said(check: str, said: Said) -> Finding:
    return Finding(
        check=check,
        verdict=said.verdict,
        count=said.number,
        meaning=said.meaning,
        fix=said.fix or "nothing",
    )


def _colours(mean: Floats, std: Floats, grey: bool) -> Finding:
    apart = float(np.abs(mean - _MEAN).max())
    ratio = float(np.exp(np.abs(np.log(np.maximum(std, 1e-6) / _STD)).max()))
    far = apart > 0.2 or ratio > 1.75
    return Finding(
        check="far_from_pretrained",
        verdict="pass",  # for information: whether weights to begin with fit, `start_fits` says
        count=int(far),
        meaning=f"the channels' mean is {apart:.2f} from that of ImageNet, their spread "
        f"{ratio:.2f} times different" + (" (grey images)" if grey else ""),
        fix="with pretrained weights keep the preparation that they were trained with",
    )


def _leaked(images: Sequence[_Image], groups: list[list[int]]) -> tuple[str, ...]:
    """Return held-out images of groups that reach into an earlier part."""
    found = set()
    for group in groups:
        first = min(_PARTS[images[index].part] for index in group)
        found |= {images[index].name for index in group if _PARTS[images[index].part] > first}
    return tuple(sorted(found))


def _weights(dataset: Dataset, training: Sequence[_Image]) -> tuple[Weight, ...]:
    counts = Counter(one.label for one in training)
    there = {
        part: np.bincount(samples.labels, minlength=len(dataset.classes))
        for part, samples in dataset.parts.items()
    }
    fair = len(training) / len(counts)
    return tuple(
        Weight(
            id=one.id,
            images={part: int(each[label]) for part, each in there.items()},
            weight=round(fair / counts[label], 4) if counts[label] else None,
        )
        for label, one in enumerate(dataset.classes)
    )


def _facts(counts: Counter[str], most: int | None = None) -> tuple[Fact, ...]:
    return tuple(Fact(what=what, count=count) for what, count in counts.most_common(most))
