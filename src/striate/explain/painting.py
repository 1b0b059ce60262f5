"""Pictures that can be optimised, and what keeps them pictures.

A picture of free pixels becomes noise that only the network can read. A `Fourier` painting has
every frequency at the strength it has in photographs and colours apart as they are there;
Simonyan's is held to the mean colour; Yosinski's is blurred and thinned out on the way.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate.randomness import stream

# How the red, green and blue of photographs go together: the root of their covariance, divided by
# its longest row (Olah, Mordvintsev, Schubert, "Feature visualization", Distill 2017).
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))


class Painting(ABC):
    """A batch of pictures being optimised.

    Attributes:
        parameters: what the optimiser moves.
        rate: Adam's learning rate that suits them.
    """

    parameters: Tensor
    rate: float

    @abstractmethod
    def pixels(self) -> Tensor:
        """Return the pictures: (batch, channels, height, width), 0 to 1."""

    @abstractmethod
    def settle(self, step: int) -> None:
        """Put the parameters right after a step; their gradient is still there."""

    def repeat(self, count: int) -> None:
        """Make so many pictures of the one there is, all with the same start."""
        start = self.parameters.detach()
        self.parameters = start.repeat(count, *[1] * (start.dim() - 1)).requires_grad_()

    def penalty(self) -> Tensor:
        """Return what is taken off the goal."""
        return self.parameters.new_zeros(())


class Fourier(Painting):
    """Pictures as spectra, each frequency scaled by its inverse, colours decorrelated.

    pixels = sigmoid(colours . inverse FFT(spectrum / frequency) / 4)

    Args:
        shape: (batch, channels, height, width).
        seed: of the start, which is faint noise.
        flipped: whether the channels are blue, green, red.
        device: where it is wanted.

    Source: Olah, Mordvintsev, Schubert, "Feature visualization", Distill 2017, the section on
    preconditioning.
    """

    rate = 0.05

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        seed: int,
        flipped: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        batch, channels, height, width = shape
        self.size, self.flipped = (height, width), flipped
        down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        frequency = np.maximum(np.hypot(down, across), 1 / max(height, width))
        self.scale = torch.from_numpy(math.sqrt(height * width) / frequency).float().to(device)
        start = stream(seed, "painting").normal(
            "spectrum", 0.0, 0.01, (batch, channels, *frequency.shape, 2)
        )
        self.parameters = torch.from_numpy(start).float().to(device).requires_grad_()
        rows = torch.tensor(_COLOURS, device=device)
        self.colours = rows / rows.norm(dim=0).max()

    def pixels(self) -> Tensor:
        """Return the pictures."""
        spectrum = torch.view_as_complex(self.parameters) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.size, norm="backward") / 4
        if waves.shape[1] == 3:
            waves = torch.einsum("bchw,dc->bdhw", waves, self.colours)
            waves = waves.flip(1) if self.flipped else waves
        made: Tensor = waves.sigmoid()
        return made

    def settle(self, step: int) -> None:
        """Leave the spectrum as it is."""


class Simonyan(Painting):
    """Free pixels, from the mean colour, held to it by the square of their distance.

    Args:
        start: (batch, channels, height, width), 0 to 1.
        weight: of the squared distance.

    Source: Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", 2013, section 2.
    """

    rate = 0.02

    def __init__(self, start: Tensor, weight: float = 0.01) -> None:
        self.start, self.weight = start, weight
        self.parameters = start.clone().requires_grad_()

    def pixels(self) -> Tensor:
        """Return the pictures."""
        return self.parameters

    def penalty(self) -> Tensor:
        """Return the weighted squared distance from the start."""
        return self.weight * ((self.parameters - self.start) ** 2).sum()

    def settle(self, step: int) -> None:
        """Keep pixels within 0 to 1."""
        with torch.no_grad():
            self.parameters.clamp_(0, 1)


class Yosinski(Simonyan):
    """Free pixels that decay, are blurred every few steps, and lose what hardly counts.

    Args:
        start: (batch, channels, height, width), 0 to 1.
        decay: share of the distance to the start lost each step.
        blur: standard deviation in pixels.
        every: steps between blurs.
        lost: share of pixels of least norm, and of least contribution, put back to the start.

    Source: Yosinski et al., "Understanding neural networks through deep visualization", 2015,
    section 3.
    """

    rate = 0.04

    def __init__(
        self,
        start: Tensor,
        decay: float = 0.01,
        blur: float = 0.5,
        every: int = 4,
        lost: float = 0.05,
    ) -> None:
        super().__init__(start, weight=0.0)
        self.decay, self.blur, self.every, self.lost = decay, blur, every, lost

    def settle(self, step: int) -> None:
        """Let pixels decay, blur them, and put back those that hardly count."""
        slope = self.parameters.grad
        with torch.no_grad():
            apart = (self.parameters - self.start) * (1 - self.decay)
            if step % self.every == 0:
                apart = gaussian_blur(apart, self.blur)
                if slope is not None:
                    for weight in (apart.norm(dim=1), (apart * slope).sum(1).abs()):
                        least = weight.flatten(1).quantile(self.lost, dim=1)[:, None, None]
                        apart = apart * (weight > least)[:, None]
            self.parameters.copy_((self.start + apart).clamp(0, 1))


def gaussian_blur(images: Tensor, spread: float) -> Tensor:
    """Blur (batch, channels, height, width) by a Gaussian of `spread` pixels, edges repeated."""
    reach = max(1, math.ceil(3 * spread))
    places = torch.arange(-reach, reach + 1).to(images)
    weights = (-(places**2) / (2 * spread**2)).exp()
    weights = (weights / weights.sum()).expand(images.shape[1], 1, -1)
    channels = images.shape[1]
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, weights[:, :, None], groups=channels)
    return functional.conv2d(rows, weights[..., None], groups=channels)


def shaken(images: Tensor, seed: int, step: int, amount: float = 1.0) -> Tensor:
    """Shift, scale and turn pictures a little, another way at each step.

    A shift of up to a sixteenth of the side, a scale of 0.9 to 1.1 and a turn of up to 10 degrees,
    in one sampling; grey comes in at the edges.

    Args:
        images: (batch, channels, height, width).
        seed, step: the address of what is drawn.
        amount: of everything; 0 leaves the pictures as they are.
    """
    if not amount:
        return images
    chance = stream(seed, "shaken", step)
    turn = math.radians(float(chance.uniform("turn", -10, 10)) * amount)
    scale = 1 + float(chance.uniform("scale", -0.1, 0.1)) * amount
    shift = [float(chance.uniform(axis, -1 / 8, 1 / 8)) * amount for axis in ("x", "y")]
    height, width = images.shape[2:]
    cosine, sine = math.cos(turn) / scale, math.sin(turn) / scale
    matrix = torch.tensor(
        [[cosine, -sine * height / width, shift[0]], [sine * width / height, cosine, shift[1]]]
    ).to(images)
    grid = functional.affine_grid(
        matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images - 0.5, grid, align_corners=False) + 0.5
