"""Random changes of place beyond turning: stretching, perspective, lens distortion, and crops.

A map that is not affine is a chain of steps, each a projective matrix (place, x and y, times a
matrix, by its third number) and a lens behind it. All of them are still one map: the image is
sampled once, at what the last step says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.augmentation import Augmentation, Crop, Fill, Floats, Geometric, Size
from striate.randomness import Stream

STEP = 13  # numbers of a step: the matrix by rows, the lens's two powers, its middle (x, y)


class Stretch(Geometric, frozen=True, kw_only=True):
    """Make images wider or narrower about the middle, at the same area.

    Args:
        ratio: least and most width over height (uniform in the logarithm).
        fill: as in `PadAndCrop`.
    """

    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"expected ratio as (least, most), positive, received {self.ratio}")

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Draw upright maps: (samples, 2, 3)."""
        wider = np.exp(0.5 * stream.uniform("ratio", *np.log(self.ratio)))
        maps = np.zeros((len(wider), 2, 3))
        maps[:, 0, 0], maps[:, 1, 1] = 1 / wider, wider
        maps[:, 0, 2], maps[:, 1, 2] = size[1] / 2 * (1 - 1 / wider), size[0] / 2 * (1 - wider)
        return maps


class Bending(Augmentation, frozen=True, kw_only=True):
    """A change of place that bends lines or their parallels."""

    def steps(self, stream: Stream, size: Size) -> Floats:
        """Draw projective matrices (samples, 3, 3) or lenses (samples, STEP)."""
        raise NotImplementedError("left to each kind of bending")


class Perspective(Bending, frozen=True, kw_only=True):
    """Look at the image from aside: each corner moves inwards.

    Args:
        distortion: the most that a corner moves, as a fraction of half the sides.
        p: probability.
        fill: as in `PadAndCrop`.
    """

    distortion: float = 0.3
    p: float = 0.5
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        if not 0 <= self.distortion < 1:
            raise ValueError(f"expected distortion of 0 to 1, received {self.distortion}")
        if not 0 <= self.p <= 1:
            raise ValueError(f"expected p of 0 to 1, received {self.p}")

    def steps(self, stream: Stream, size: Size) -> Floats:
        """Draw projective matrices: (samples, 3, 3)."""
        height, width = size
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
        inwards = np.sign(np.array([width, height]) / 2 - corners)
        moved = stream.uniform("corners", 0, self.distortion, (4, 2)) * np.array([width, height])
        chosen = (stream.uniform("chosen") < self.p)[:, None, None]
        seen = corners + np.where(chosen, moved / 2, 0.0) * inwards
        return homographies(seen, np.broadcast_to(corners, seen.shape))


class LensDistortion(Bending, frozen=True, kw_only=True):
    """Bend straight lines, as lenses do: barrel one way, cushion the other.

    A place at distance r from the middle, the corners being at 1, shows what was at
    r (1 + a r^2 + b r^4).

    Args:
        strength: the most that a is, either way.
        second: the most that b is, either way.
        fill: as in `PadAndCrop`.

    Source: Brown 1971, Close-range camera calibration: the radial terms.
    """

    strength: float = 0.2
    second: float = 0.0
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        if not (0 <= self.strength <= 1 and 0 <= self.second <= 1):
            raise ValueError(
                f"expected strength and second of 0 to 1, received {self.strength}, {self.second}"
            )

    def steps(self, stream: Stream, size: Size) -> Floats:
        """Draw lenses: (samples, STEP)."""
        first = stream.uniform("first", -self.strength, self.strength)
        steps = with_lens(np.tile(np.eye(3), (len(first), 1, 1)))
        steps[:, 9], steps[:, 10] = first, stream.uniform("second", -self.second, self.second)
        steps[:, 11], steps[:, 12] = size[1] / 2, size[0] / 2
        return steps


class ShortSideCrop(Crop, frozen=True, kw_only=True):
    """Scale the short side to a random length and show a random box of the network's size.

    Args:
        short_side: least and most length, in pixels; (256, 256) is AlexNet's 224 of 256.

    Source: Simonyan and Zisserman 2015, section 3.1 (256 to 512); He et al. 2016, section 3.4 (256
    to 480).
    """

    short_side: tuple[int, int] = (256, 480)

    def __post_init__(self) -> None:
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError(
                f"expected short_side as (least, most), positive, received {self.short_side}"
            )

    def boxes(self, stream: Stream) -> Floats:
        """Draw the length and a place: (samples, 1, 3)."""
        drawn = np.empty((len(stream.keys), 1, 3))
        drawn[:, 0, 0] = stream.integers("length", *self.short_side)
        drawn[:, 0, 1:] = stream.uniform("place", size=(2,))
        return drawn

    def box(self, candidates: Floats, sizes: npt.NDArray[np.int64], size: Size) -> Floats:
        """Return the box; one that does not fit is as large as the image: (samples, 4)."""
        length, x, y = np.moveaxis(candidates[:, 0], 1, 0)
        scale = sizes.min(axis=1) / length
        tall, wide = size[0] * scale, size[1] * scale
        fits = np.minimum(1.0, np.minimum(sizes[:, 0] / tall, sizes[:, 1] / wide))
        tall, wide = tall * fits, wide * fits
        left, top = x * (sizes[:, 1] - wide), y * (sizes[:, 0] - tall)
        return np.stack([left, top, wide, tall], axis=1)


def homographies(places: Floats, shown: Floats) -> Floats:
    """Return the projective matrices that take four places to four others: (samples, 3, 3).

    Args:
        places: (samples, 4, 2), x and y.
        shown: (samples, 4, 2).
    """
    x, y = places[..., 0], places[..., 1]
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = []
    for axis, line in ((0, (x, y, one, none, none, none)), (1, (none, none, none, x, y, one))):
        goal = shown[..., axis]
        rows.append(np.stack([*line, -goal * x, -goal * y], axis=2))
    system = np.concatenate(rows, axis=1)
    goals = np.concatenate([shown[..., 0], shown[..., 1]], axis=1)
    solved = np.linalg.solve(system, goals[..., None])[..., 0]
    return np.concatenate([solved, np.ones((len(solved), 1))], axis=1).reshape(-1, 3, 3)


def with_lens(matrices: Floats) -> Floats:
    """Return steps of matrices (samples, 3, 3) with a lens that does nothing: (samples, STEP)."""
    steps = np.zeros((len(matrices), STEP))
    steps[:, :9] = matrices.reshape(-1, 9)
    steps[:, 11:] = 1.0
    return steps


class Chain(NamedTuple):
    """A map as a chain: the steps from the result on, in reverse, and an affine map at the end.

    Args:
        steps: (samples, count, STEP), the last one first at work.
        maps: (samples, 2, 3).
    """

    steps: Floats
    maps: Floats


def chain(changes: list[Floats], count: int) -> Chain:
    """Compose changes, the first one nearest to the image.

    Args:
        changes: affine maps (samples, 2, 3), matrices (samples, 3, 3), lenses (samples, STEP).
        count: samples.
    """
    maps = np.tile(np.eye(2, 3), (count, 1, 1))
    steps: list[Floats] = []
    for change in changes:
        if change.ndim == 2:
            steps.append(change.copy())
            continue
        affine = change.shape[1] == 2
        if affine and not steps:
            maps = through(maps, change)
            continue
        if not steps:
            steps.append(with_lens(np.tile(np.eye(3), (count, 1, 1))))
        matrix = lifted(change) if affine else change
        steps[-1][:, :9] = (steps[-1][:, :9].reshape(-1, 3, 3) @ matrix).reshape(-1, 9)
    joined = np.stack(steps, axis=1) if steps else np.zeros((count, 0, STEP))
    return Chain(joined, maps)


def through(first: Floats, second: Floats) -> Floats:
    """Return the map of two changes, one after the other: what the second shows of the first."""
    maps = first[:, :, :1] * second[:, :1] + first[:, :, 1:2] * second[:, 1:]
    maps[:, :, 2] += first[:, :, 2]
    return np.asarray(maps)


def lifted(maps: npt.NDArray[np.float64]) -> Floats:
    """Return affine maps (samples, 2, 3) as projective matrices (samples, 3, 3)."""
    last = np.broadcast_to([[0.0, 0.0, 1.0]], (len(maps), 1, 3))
    return np.concatenate([maps, last], axis=1)
