"""Random changes of training images, as records: what may happen, and what does to which sample.

A change is drawn for many samples at once from their own streams, and is a number only: geometry
gives a map, colour gives a matrix, erasing gives rectangles. `Augmenter` composes them, so that an
image is sampled a single time however many changes there are.

Coordinates are in pixels, x to the right and y down, 0 at the outer edge of the first pixel. A map
is a (2, 3) matrix that says, for a place in the image that comes out, which place of the image that
went in is shown there.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from striate.data.decode import Channels
from striate.randomness import Stream
from striate.records import Family

Floats = npt.NDArray[np.float64]
Rectangles = npt.NDArray[np.int64]
Size = tuple[int, int]

Fill = Literal["zero", "mean", "edge", "reflect"]

_MOST_SCALE = 16.0  # times as large or small: beyond that nothing is left to see
_ATTEMPTS = 10  # boxes drawn before the middle of the image is taken


class Augmentation(Family, frozen=True, kw_only=True):
    """A random change of training images."""

    family: ClassVar[str] = "augmentation"

    @property
    def idle(self) -> bool:
        """Whether it changes nothing, as its numbers are those of no change."""
        return False


class Geometric(Augmentation, frozen=True, kw_only=True):
    """A change of place: every pixel shows another place of the image."""

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Draw a map for each sample.

        Args:
            stream: one key a sample.
            size: (height, width) of the images.

        Returns:
            (samples, 2, 3).
        """
        raise NotImplementedError("left to each geometric change")


class Flip(Geometric, frozen=True, kw_only=True):
    """Exchange left and right with probability p."""

    p: float = 0.5

    def __post_init__(self) -> None:
        _check_probability(self.p)

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Draw the identity or its mirror image: (samples, 2, 3)."""
        flipped = stream.uniform("flip") < self.p
        maps = _identities(stream)
        maps[:, 0, 0] = np.where(flipped, -1.0, 1.0)
        maps[:, 0, 2] = np.where(flipped, float(size[1]), 0.0)
        return maps


class PadAndCrop(Geometric, frozen=True, kw_only=True):
    """Move by whole pixels, as padding on all sides and cropping at random does.

    Args:
        pad: the most an image moves, in pixels, in each direction.
        fill: what comes in from outside: `zero` (black), `mean` (the network's zero), `edge`
            (repeats the border) or `reflect` (mirrors at it).

    Source: He et al. 2016, section 4.2.
    """

    pad: int = 4
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise ValueError(f"expected pad of at least 0 pixels, received {self.pad}")

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Draw shifts: (samples, 2, 3)."""
        maps = _identities(stream)
        maps[:, :, 2] = stream.integers("shift", -self.pad, self.pad, (2,))
        return maps


class Affine(Geometric, frozen=True, kw_only=True):
    """Turn, scale, shear and move about the middle of the image.

    Args:
        rotate_degrees: the most it turns, either way.
        translate: the most it moves, as a fraction of each side, either way.
        scale: least and most factor; as likely to shrink as to grow (uniform in the logarithm).
        shear: the most that rows slide over each other, in pixels a row, either way.
        fill: as in `PadAndCrop`.
    """

    rotate_degrees: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        _check_range("scale", self.scale, least=1 / _MOST_SCALE, most=_MOST_SCALE)
        for name, most, unit in (
            ("rotate_degrees", 360.0, " degrees"),
            ("translate", 1.0, ""),
            ("shear", 4.0, " pixels a row"),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(
                    f"expected {name} of 0 to {most:g}{unit}, received {getattr(self, name)}"
                )

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        moved = self.rotate_degrees or self.translate or self.shear
        return not moved and self.scale == (1.0, 1.0)

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Draw affine maps: (samples, 2, 3)."""
        angle = np.deg2rad(stream.uniform("angle", -self.rotate_degrees, self.rotate_degrees))
        factor = np.exp(stream.uniform("scale", *_logarithms(self.scale)))
        slide = stream.uniform("shear", -self.shear, self.shear)
        sides = np.array([size[1], size[0]], np.float64)
        moved = stream.uniform("move", -self.translate, self.translate, (2,)) * sides
        cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
        maps = _identities(stream)  # the inverse of scaling, shearing, turning and moving
        maps[:, 0, 0], maps[:, 0, 1] = cos + slide * sin, sin - slide * cos
        maps[:, 1, 0], maps[:, 1, 1] = -sin, cos
        middle = sides / 2 + moved
        maps[:, :, 2] = sides / 2 - maps[:, :, 0] * middle[:, :1] - maps[:, :, 1] * middle[:, 1:]
        return maps


class Crop(Augmentation, frozen=True, kw_only=True):
    """Show a random box of the image, in the place of the contract's resize and crop."""

    def boxes(self, stream: Stream) -> Floats:
        """Draw candidate boxes, which do not depend on the image: (samples, count, numbers)."""
        raise NotImplementedError("left to each kind of crop")

    def box(self, candidates: Floats, sizes: npt.NDArray[np.int64], size: Size) -> Floats:
        """Return a box of each image: (samples, 4): left, top, width and height, in pixels.

        Args:
            candidates: as `boxes` draws them.
            sizes: height and width of the images, (samples, 2).
            size: height and width of the network's input.
        """
        raise NotImplementedError("left to each kind of crop")


class RandomResizedCrop(Crop, frozen=True, kw_only=True):
    """Show a random box of the image, in the place of the contract's resize and crop.

    Args:
        scale: least and most area of the box, as fractions of the image's.
        ratio: least and most width of the box over its height (uniform in the logarithm).

    Source: Szegedy et al. 2015 (GoogLeNet), section 6.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        _check_range("scale", self.scale, most=1.0)
        _check_range("ratio", self.ratio)

    def boxes(self, stream: Stream) -> Floats:
        """Draw candidate boxes: (samples, 10, 4): area, width over height, x and y, unitless."""
        drawn = np.empty((len(stream.keys), _ATTEMPTS, 4))
        drawn[..., 0] = stream.uniform("area", *self.scale, size=(_ATTEMPTS,))
        drawn[..., 1] = np.exp(stream.uniform("ratio", *_logarithms(self.ratio), size=(_ATTEMPTS,)))
        drawn[..., 2:] = stream.uniform("place", size=(_ATTEMPTS, 2))
        return drawn

    def box(self, candidates: Floats, sizes: npt.NDArray[np.int64], size: Size = (0, 0)) -> Floats:
        """Return the first candidate that fits, or else the largest box in the middle.

        Args:
            candidates: as `boxes` draws them, (samples, 10, 4).
            sizes: height and width of the images, (samples, 2).
            size: does not matter.

        Returns:
            (samples, 4): left, top, width and height, in pixels.
        """
        height, width = sizes[:, :1], sizes[:, 1:]
        area, ratio, x, y = np.moveaxis(candidates, 2, 0)
        wide, tall = (
            np.sqrt(area * ratio * (height * width)),
            np.sqrt(area / ratio * (height * width)),
        )
        fits = (wide <= width) & (tall <= height)
        rows, first = np.arange(len(fits)), fits.argmax(axis=1)
        boxes = np.stack([x * (width - wide), y * (height - tall), wide, tall], axis=2)[rows, first]
        least, most = self.ratio
        wide, tall = np.minimum(width, height * most), np.minimum(height, width / least)
        middle = np.concatenate([(width - wide) / 2, (height - tall) / 2, wide, tall], axis=1)
        return np.where(fits.any(axis=1)[:, None], boxes, middle)


class ColourJitter(Augmentation, frozen=True, kw_only=True):
    """Change brightness, contrast, saturation and hue, in this order.

    The first three are factors drawn from 1 - x to 1 + x; contrast is about the image's mean
    luminance, saturation about each pixel's. Hue turns colours about the grey axis by up to so many
    whole turns either way: the linear stand-in for a turn in HSV. Levels beyond 0 and 255 are
    clipped at the end. Grey images have neither saturation nor hue.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} of 0 to 1, received {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"expected hue of 0 to 0.5 turns, received {self.hue}")

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        return not (self.brightness or self.contrast or self.saturation or self.hue)

    def colours(self, stream: Stream, channels: Channels) -> Floats:
        """Draw what to multiply pixels by, and by what to multiply the image's mean luminance.

        Returns:
            (samples, channels, channels + 1); the last column is for the mean luminance.
        """
        names = ("brightness", "contrast", "saturation")
        bright, contrast, vivid = (
            stream.uniform(name, 1 - getattr(self, name), 1 + getattr(self, name))[:, None, None]
            for name in names
        )
        if channels == "grey":
            return np.concatenate([bright * contrast, bright * (1 - contrast)], axis=2)
        turn = stream.uniform("hue", -self.hue, self.hue)[:, None, None] * 2 * np.pi
        across = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
        across = across if channels == "rgb" else across.T
        hue = np.cos(turn) * np.eye(3) + (1 - np.cos(turn)) / 3 + np.sin(turn) * across
        matrix = bright * contrast * (vivid * hue + (1 - vivid) * np.array(luma(channels)))
        pivot = np.broadcast_to(bright * (1 - contrast), (len(bright), 3, 1))
        return np.concatenate([matrix, pivot], axis=2)


class Erasing(Augmentation, frozen=True, kw_only=True):
    """A rectangle becomes zero, which is the mean colour, after everything else."""

    def rectangles(self, stream: Stream, size: Size) -> Rectangles:
        """Draw a rectangle for each sample.

        Returns:
            (samples, 4): top, left, bottom and right in pixels, the latter two exclusive.
        """
        raise NotImplementedError("left to each kind of erasing")


class Erase(Erasing, frozen=True, kw_only=True):
    """Erase a rectangle of random area and shape with probability p.

    Args:
        p: probability.
        scale: least and most area, as fractions of the image's.
        ratio: least and most width over height (uniform in the logarithm).

    Source: Zhong et al. 2017, Random Erasing Data Augmentation.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 10 / 3)

    def __post_init__(self) -> None:
        _check_probability(self.p)
        _check_range("scale", self.scale, most=1.0)
        _check_range("ratio", self.ratio)

    def rectangles(self, stream: Stream, size: Size) -> Rectangles:
        """Draw rectangles inside the image, empty ones with probability 1 - p: (samples, 4)."""
        height, width = size
        area = stream.uniform("area", *self.scale) * (height * width)
        ratio = np.exp(stream.uniform("ratio", *_logarithms(self.ratio)))
        tall = np.minimum(np.rint(np.sqrt(area / ratio)), height)
        wide = np.minimum(np.rint(np.sqrt(area * ratio)), width)
        places = stream.uniform("place", size=(2,))
        top, left = (
            np.floor(places[:, 0] * (height - tall + 1)),
            np.floor(places[:, 1] * (width - wide + 1)),
        )
        chosen = stream.uniform("erase") < self.p
        edges = np.stack([top, left, top + tall, left + wide], axis=1)
        return np.where(chosen[:, None], edges, 0).astype(np.int64)


class Cutout(Erasing, frozen=True, kw_only=True):
    """Erase a square whose middle is anywhere in the image, cut off at its border.

    Args:
        size: side of the square, in pixels.

    Source: DeVries and Taylor 2017, Improved Regularization of Convolutional Neural Networks.
    """

    size: int = 16

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"expected size of at least 1 pixel, received {self.size}")

    def rectangles(self, stream: Stream, size: Size) -> Rectangles:
        """Draw squares: (samples, 4)."""
        sides = np.array(size, np.int64)
        middle = np.floor(stream.uniform("place", size=(2,)) * sides).astype(np.int64)
        first = middle - self.size // 2
        return np.concatenate([first, first + self.size], axis=1).clip(0, np.tile(sides, 2))


def luma(channels: Channels) -> tuple[float, ...]:
    """Return the weights of the channels in the luminance, which sum to 1 (ITU-R 601-2)."""
    weights = (0.299, 0.587, 0.114)
    return {"rgb": weights, "bgr": weights[::-1], "grey": (1.0,)}[channels]


def _identities(stream: Stream) -> Floats:
    return np.tile(np.eye(2, 3), (len(stream.keys), 1, 1))


def _logarithms(bounds: tuple[float, float]) -> tuple[float, float]:
    return math.log(bounds[0]), math.log(bounds[1])


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"expected p of 0 to 1, received {p}")


def _check_range(
    name: str, bounds: tuple[float, float], least: float = 0.0, most: float = float("inf")
) -> None:
    if not max(least, 1e-300) <= bounds[0] <= bounds[1] <= most:
        limit = "" if most == float("inf") else f" up to {most:g}"
        limit = f" from {least:g}{limit}" if least else f" positive{limit}"
        raise ValueError(f"expected {name} as (least, most),{limit}, received {tuple(bounds)}")
