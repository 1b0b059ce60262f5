"""Whether the images of two parts were prepared alike: read, scaled, sharpened and turned the same.

A network answers for images like those it was trained on. Where the held-out ones were read in
another channel order, darker, blurred or turned, their accuracy is that of another task. So a few
figures of each image are compared between the parts, within classes: the chance that a held-out
image's figure is above that of a training image of the same class (Mann and Whitney 1947, joined
over classes as van Elteren 1960 does). It is 1/2 where parts are alike, whatever the figures'
distribution and the classes' proportions, and its standard error is known, so that the luck of few
images accuses nobody. What many images make certain but small is not told either.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.decode import Channels, to_channels
from striate.data.prepare import resample_8bit
from striate.data.samples import Samples
from striate.ops import usable_cores

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

LOOKED_AT = 512  # images of a part: a chance of 0.7 is then 11 standard errors from 1/2
_SIDE = 64  # pixels: larger images are looked at in this size
_CERTAIN = 4.5  # standard errors: luck's share is 7e-6, of up to 40 figures
_TELLING, _GRAVE = 0.2, 0.3  # distance from 1/2: 3/4 of a deviation between images, 1.2 of one
_SWAPPED, _UNDONE = 0.1, 0.4  # that of a colour balance, and the most left of it once reversed
_FRAMING = ("height", "side", "edges")  # which depend on what is taken, and how it is held
_FLAT = 1e-5  # added to energies, in units of a variance of 1: sets flat images equal
_WORDS = {
    "mean": ("brighter", "darker"),
    "spread": ("richer in contrast", "poorer in contrast"),
    "sharpness": ("sharper or noisier", "smoother"),
    "balance": ("richer in the first channel", "richer in the last channel"),
    "height": ("bright further down", "bright further up"),
    "side": ("bright further right", "bright further left"),
    "edges": ("richer in edges across than along", "richer in edges along than across"),
}


class Figure(NamedTuple):
    """What is measured of an image: its kind, and the channel or channels it is of."""

    kind: str
    of: str = ""

    @property
    def spelled(self) -> str:
        """Return it in words."""
        return f"{self.kind} of {self.of}" if self.of else self.kind


class Difference(NamedTuple):
    """How the images of a part differ from training images in one figure.

    Args:
        figure: what was measured.
        chance: that a held-out image's is above that of a training image of its class.
        errors: standard errors of that from 1/2.
        medians: of the training images, and of those held out.
        swapped: whether reversing the channels undoes it.
    """

    figure: Figure
    chance: float
    errors: float
    medians: tuple[float, float]
    swapped: bool = False

    @property
    def grave(self) -> bool:
        """Tell whether no other light or camera explains it."""
        return self.swapped or (self.apart >= _GRAVE and self.figure.kind not in _FRAMING)

    @property
    def apart(self) -> float:
        """Return the distance of the chance from 1/2, 0 to 1/2."""
        return abs(self.chance - 0.5)

    @property
    def certain(self) -> bool:
        """Tell whether it is more than luck."""
        return self.errors > _CERTAIN

    def told(self, part: str) -> str:
        """Say it as a sentence's main clause."""
        above, below = _WORDS[self.figure.kind]
        how = above if self.chance > 0.5 else below
        share = max(self.chance, 1 - self.chance)
        first, second = self.medians
        said = (
            f"{part} images are {how} than training images of their class in {share:.0%} of pairs "
            f"({self.figure.spelled}: {second:.3g} against {first:.3g})"
        )
        return said + (", as if their channels were in reverse order" if self.swapped else "")


class Looks(NamedTuple):
    """Images as figures.

    Args:
        values: (n, figures), as `measured`.
        labels: (n,).
        channels: that were measured.
        sides: dimensions of an image.
    """

    values: Floats
    labels: Labels
    channels: int
    sides: int = 2

    @classmethod
    def at(cls, images: npt.NDArray[np.float32], labels: Labels) -> Looks:
        """Measure images as a network takes them: (n, channels, ...)."""
        return cls(measured(images), labels, images.shape[1], images.ndim - 2)

    def of(self, classes: Labels) -> Looks:
        """Return those of some classes."""
        chosen = np.isin(self.labels, classes)
        return self._replace(values=self.values[chosen], labels=self.labels[chosen])


def figures(channels: int, sides: int) -> tuple[Figure, ...]:
    """Return what `measured` gives of images of so many channels and dimensions, in order."""
    names = ("red", "green", "blue") if channels == 3 else range(1, channels + 1)
    each = [f"channel {name}" if channels > 1 else "" for name in names]
    found = [Figure(kind, of) for kind in ("mean", "spread", "sharpness") for of in each]
    if channels > 1:
        found.append(Figure("balance", f"{each[0]} less {each[-1].removeprefix('channel ')}"))
    return (*found, *(map(Figure, _FRAMING) if sides == 2 else ()))


def measured(images: npt.NDArray[np.float32]) -> Floats:
    """Measure images: (n, channels, ...) of a variance near 1 -> (n, figures).

    Mean, spread and sharpness of each channel, the last as the logarithm of the energy of
    differences between neighbours over the variance; the first channel's mean less the last's; and
    of pictures the centre of what stands out of their border, -1 to 1, and the logarithm of the
    energy of edges across over that along.
    """
    rest = tuple(range(2, images.ndim))
    mean = images.mean(axis=rest, dtype=np.float64)
    variance = images.var(axis=rest, dtype=np.float64)
    steps = [_energy(images, axis, rest) for axis in rest]
    total = np.sum(steps, axis=0)
    columns = [mean, np.sqrt(variance), np.log((total + _FLAT) / (variance + _FLAT))]
    if mean.shape[1] > 1:
        columns.append(mean[:, :1] - mean[:, -1:])
    if len(rest) == 2:
        columns += [_centres(images.mean(axis=1))]
        down, across = (each.mean(axis=1) + _FLAT for each in steps)
        columns.append(np.log(down / across)[:, None])
    return np.concatenate(columns, axis=1)


def _energy(images: npt.NDArray[np.float32], axis: int, rest: tuple[int, ...]) -> Floats:
    """Return the mean square of differences between neighbours along an axis: (n, channels)."""
    if images.shape[axis] < 2:
        return np.zeros(images.shape[:2])
    return np.asarray(np.square(np.diff(images, axis=axis)).mean(axis=rest, dtype=np.float64))


def _centres(pictures: npt.NDArray[np.float32]) -> Floats:
    """Return how far down and to the right of (n, height, width) the light lies, -1 to 1."""
    found = []
    for axis in (1, 2):
        profile = pictures.mean(axis=3 - axis)
        places = np.linspace(-1, 1, profile.shape[1], dtype=np.float32)
        lit = profile - profile.min(axis=1, keepdims=True)
        found.append((lit @ places) / (lit.sum(axis=1) + _FLAT))
    return np.stack(found, axis=1).astype(np.float64)


def differences(training: Looks, held_out: Looks) -> list[Difference]:
    """Return figures that differ certainly and materially, the furthest first.

    Channels in reverse order are told by the balance of the first and the last, less of which will
    do: it has to be turned round, and reversing the held-out channels to undo it.
    """
    kinds = figures(training.channels, training.sides)
    shared = np.intersect1d(training.labels, held_out.labels)
    first, second = training.of(shared), held_out.of(shared)
    found = []
    for k, kind in enumerate(kinds):
        each = _compared(kind, first, second, k)
        turned = kind.kind == "balance" and _turned(each, first, second, k)
        if each.certain and (each.apart >= _TELLING or turned):
            found.append(each._replace(swapped=turned))
    return sorted(found, key=lambda each: (-each.swapped, -each.apart))


def _turned(each: Difference, first: Looks, second: Looks, column: int) -> bool:
    """Tell whether a balance of channels is that of the same channels in reverse order."""
    back = second._replace(values=-second.values)
    undone = _compared(each.figure, first, back, column).apart < _UNDONE * each.apart
    return each.apart >= _SWAPPED and undone and math.prod(each.medians) < 0


def _compared(kind: Figure, first: Looks, second: Looks, column: int) -> Difference:
    one, other = first.values[:, column], second.values[:, column]
    within, errors = _chance(one, first.labels, other, second.labels)
    # labels that are wrong differ within classes alone, and other proportions without them
    flat = np.zeros_like(first.labels), np.zeros_like(second.labels)
    whole, sure = _chance(one, flat[0], other, flat[1])
    alike = abs(whole - 0.5) < abs(within - 0.5) / 2 or errors * sure <= 0
    medians = (float(np.median(one)), float(np.median(other))) if len(one) else (0.0, 0.0)
    return Difference(kind, within, 0.0 if alike else abs(errors), medians)


def _chance(one: Floats, labels: Labels, other: Floats, held: Labels) -> tuple[float, float]:
    """Return the chance that a value of the other is above one of its class; its errors off 1/2."""
    chances, variances, weights = [], [], []
    for label in np.unique(held):
        first, second = one[labels == label], other[held == label]
        n, m = len(first), len(second)
        if not n or not m:
            continue
        _, where, counts = np.unique(
            np.concatenate([first, second]), return_inverse=True, return_counts=True
        )
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
        above = ranks[n:].sum() - m * (m + 1) / 2
        ties = float((counts.astype(np.float64) ** 3 - counts).sum())
        chances.append(above / (n * m))
        total = n + m
        variances.append((total + 1 - ties / (total * (total - 1))) / (12 * n * m))
        weights.append(n * m / (total + 1))
    if not weights or not any(variances):
        return 0.5, 0.0
    share = np.array(weights) / sum(weights)
    chance = float(share @ chances)
    return chance, float((chance - 0.5) / np.sqrt(share**2 @ variances))


def looks(parts: Mapping[str, Samples]) -> dict[str, Looks]:
    """Measure some images of each part as stored, in pixels of 0 to 1; the training part is first.

    Of that, as many of each class are looked at as of another part, where it has them.

    Raises:
        DataError: one cannot be read any more.
    """
    chance = np.random.default_rng(0)
    (name, training), *others = parts.items()
    channels: Channels = "grey" if all(each.grey.all() for each in parts.values()) else "rgb"
    chosen = {part: chance.permutation(len(each))[:LOOKED_AT] for part, each in others}
    asked = Counter[int]()
    for part, each in others:
        asked |= Counter(each.labels[chosen[part]].tolist())
    drawn = [
        chance.permutation(np.flatnonzero(training.labels == label))[:count]
        for label, count in sorted(asked.items())
    ]
    chosen[name] = np.concatenate([*drawn, np.zeros(0, np.int64)])
    return {part: _looks(each, chosen[part], channels) for part, each in parts.items()}


def _looks(samples: Samples, chosen: Labels, channels: Channels) -> Looks:
    with ThreadPoolExecutor(usable_cores()) as pool:
        pictures = list(pool.map(lambda index: _picture(samples, int(index), channels), chosen))
    count = 3 if channels == "rgb" else 1
    values = np.zeros((len(chosen), len(figures(count, 2))))
    places: dict[tuple[int, ...], list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture.shape, []).append(place)
    for same in places.values():
        stack = np.stack([pictures[place] for place in same]).transpose(0, 3, 1, 2)
        values[same] = measured(stack.astype(np.float32) / np.float32(255))
    return Looks(values, samples.labels[chosen], count)


def _picture(samples: Samples, index: int, channels: Channels) -> npt.NDArray[np.uint8]:
    pixels = to_channels(np.ascontiguousarray(samples.stored(index)), channels)
    large = max(pixels.shape[:2]) > _SIDE
    return resample_8bit(pixels, (_SIDE, _SIDE), "bilinear") if large else pixels
