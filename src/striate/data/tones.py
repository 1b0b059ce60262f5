"""Random changes of colour beyond jitter: lighting, noise, and the policies that draw a change.

What is not one matrix a sample is a tone: a kind and an amount, applied in order to the sampled
image, whose levels are clipped to 0 to 255 after each. Amounts of `RandAugment` and
`TrivialAugment` are those of their papers' code; where Pillow's enhancers round to whole levels
between changes, levels here stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.augmentation import Augmentation, Fill, Floats, Geometric, Size
from striate.data.tone_kernels import (
    AUTOCONTRAST,
    BRIGHTNESS,
    CONTRAST,
    EQUALIZE,
    NOISE,
    POSTERIZE,
    SATURATION,
    SHARPNESS,
    SOLARIZE,
)
from striate.randomness import Stream

_LEVELS = 30  # magnitudes of a policy are 0 to 30


class Lighting(Augmentation, frozen=True, kw_only=True):
    """Add to all pixels a random sum of the directions in which colours vary most.

    Args:
        std: of each direction's weight, which is normal.
        components: the directions, each scaled by the square root of its eigenvalue, in units of
            0..1 and in the network's channels; () has them measured on the training part.

    Source: Krizhevsky et al. 2012, section 4.1: alpha_i of standard deviation 0.1, times the
    eigenvalue; the square root of it is the usual reading, since colours vary by that much.
    """

    std: float = 0.1
    components: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.std < 0:
            raise ValueError(f"expected std of at least 0, received {self.std}")

    def shifts(self, stream: Stream, channels: int) -> Floats:
        """Draw what is added to each channel, in levels: (samples, channels)."""
        if not self.components:
            return np.zeros((len(stream.keys), channels))
        weights = stream.normal("weights", 0.0, self.std, (len(self.components),))
        return np.asarray(255.0 * weights @ np.array(self.components))


class Tones(NamedTuple):
    """Changes of colour, in order.

    Args:
        what: kind and amount: (samples, steps, 2).
        seeds: of noise: (samples,) uint64.
    """

    what: Floats
    seeds: npt.NDArray[np.uint64]


class Noise(Augmentation, frozen=True, kw_only=True):
    """Add noise to every pixel and channel.

    Args:
        std: the most of its standard deviation, in levels of 0 to 255; each image draws its own.
    """

    std: float = 8.0

    def __post_init__(self) -> None:
        if not 0 <= self.std <= 255:
            raise ValueError(f"expected std of 0 to 255 levels, received {self.std}")

    def tones(self, stream: Stream) -> Floats:
        """Draw a tone: (samples, 1, 2)."""
        amount = stream.uniform("std", 0.0, self.std)
        return np.stack([np.full_like(amount, NOISE), amount], axis=1)[:, None]


class Policy(Geometric, frozen=True, kw_only=True):
    """Some changes out of the fourteen that AutoAugment's successors draw from.

    Those of place become part of the one map, those of colour follow in the order drawn.
    """

    def drawn(self, stream: Stream) -> tuple[npt.NDArray[np.int64], Floats]:
        """Draw which changes and how strong: each (samples, count), strength 0 to 1, signed."""
        raise NotImplementedError("left to each policy")

    def wide(self) -> bool:
        """Whether places move as far as TrivialAugment has it."""
        raise NotImplementedError("left to each policy")

    def maps(self, stream: Stream, size: Size) -> Floats:
        """Return the maps of what is drawn: (samples, 2, 3)."""
        from striate.data.bending import through

        which, strength = self.drawn(stream)
        maps = np.tile(np.eye(2, 3), (len(which), 1, 1))
        for step in range(which.shape[1]):
            maps = through(maps, _place(which[:, step], strength[:, step], size, self.wide()))
        return maps

    def tones(self, stream: Stream) -> Floats:
        """Return the tones of what is drawn: (samples, count, 2)."""
        which, strength = self.drawn(stream)
        tones = np.zeros((*which.shape, 2))
        most = 0.99 if self.wide() else 0.9
        for place, kind in enumerate((BRIGHTNESS, SATURATION, CONTRAST, SHARPNESS)):
            tones[which == place + 6] = kind, 0.0
            tones[..., 1] = np.where(which == place + 6, 1 + most * strength, tones[..., 1])
        bits = 8 - np.rint(np.abs(strength) * (6 if self.wide() else 4))
        threshold = 255 * (1 - np.abs(strength))
        kinds = ((10, POSTERIZE, bits), (11, SOLARIZE, threshold), (12, AUTOCONTRAST, 0.0))
        for number, kind, amount in (*kinds, (13, EQUALIZE, 0.0)):
            tones[..., 0] = np.where(which == number, kind, tones[..., 0])
            tones[..., 1] = np.where(which == number, amount, tones[..., 1])
        return tones


class RandAugment(Policy, frozen=True, kw_only=True):
    """Apply so many changes of one strength, each drawn at random.

    Args:
        count: changes an image.
        magnitude: of all of them, 0 to 30.
        fill: as in `PadAndCrop`.

    Source: Cubuk et al. 2019, RandAugment.
    """

    count: int = 2
    magnitude: int = 9
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.magnitude <= _LEVELS:
            raise ValueError(
                f"expected count >= 1 and magnitude of 0 to {_LEVELS}, received {self.count}, "
                f"{self.magnitude}"
            )

    def wide(self) -> bool:
        """Whether places move as far as TrivialAugment has it."""
        return False

    def drawn(self, stream: Stream) -> tuple[npt.NDArray[np.int64], Floats]:
        """Draw which changes and how strong: each (samples, count)."""
        which = stream.integers("which", 0, 13, (self.count,))
        sign = np.where(stream.uniform("sign", size=(self.count,)) < 0.5, -1.0, 1.0)
        return which, sign * (self.magnitude / _LEVELS)


class TrivialAugment(Policy, frozen=True, kw_only=True):
    """Apply one change, drawn at random, as strong as is drawn too: nothing to tune.

    Source: Müller and Hutter 2021, TrivialAugment (its wide space).
    """

    fill: Fill = "mean"

    def wide(self) -> bool:
        """Whether places move as far as TrivialAugment has it."""
        return True

    def drawn(self, stream: Stream) -> tuple[npt.NDArray[np.int64], Floats]:
        """Draw which changes and how strong: each (samples, 1)."""
        which = stream.integers("which", 0, 13, (1,))
        sign = np.where(stream.uniform("sign", size=(1,)) < 0.5, -1.0, 1.0)
        return which, sign * stream.integers("strength", 0, _LEVELS, (1,)) / _LEVELS


def _place(which: npt.NDArray[np.int64], strength: Floats, size: Size, wide: bool) -> Floats:
    """Return maps: 1 and 2 shear, 3 and 4 move, 5 turns; anything else leaves places alone."""
    height, width = size
    maps = np.tile(np.eye(2, 3), (len(which), 1, 1))
    shear = strength * (0.99 if wide else 0.3)
    maps[:, 0, 1] = np.where(which == 1, shear, 0.0)
    maps[:, 1, 0] = np.where(which == 2, shear, 0.0)
    far = (32.0, 32.0) if wide else (150 / 331 * width, 150 / 331 * height)
    turn = np.where(which == 5, np.deg2rad(strength * (135.0 if wide else 30.0)), 0.0)
    cos, sin = np.cos(turn), np.sin(turn)
    maps[:, 0, 0], maps[:, 1, 1] = cos, cos
    maps[:, 0, 1], maps[:, 1, 0] = maps[:, 0, 1] + sin, maps[:, 1, 0] - sin
    middle = np.array([width / 2, height / 2])
    maps[:, :, 2] = middle - maps[:, :, :2] @ middle
    maps[:, 0, 2] += np.where(which == 3, strength * far[0], 0.0)
    maps[:, 1, 2] += np.where(which == 4, strength * far[1], 0.0)
    return maps
