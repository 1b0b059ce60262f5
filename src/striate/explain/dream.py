"""Deep dream: an image changed so that whatever a layer sees in it is seen more strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from striate.contract import Contract
from striate.errors import UsageError
from striate.explain.attribution import Floats, to_array
from striate.explain.walk import looking, walk
from striate.inference import PixelNet
from striate.layers import Net
from striate.randomness import stream


@dataclass(frozen=True)
class Dream:
    """An image after dreaming.

    Args:
        layer: what was made stronger.
        pixels: (channels, height, width), 0 to 1.
        strength: the layer's mean square, after and before.
    """

    layer: str
    pixels: Floats
    strength: tuple[float, float]


def dream(
    net: Net,
    contract: Contract,
    image: Tensor,
    layer: str,
    *,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 10,
    rate: float = 0.01,
    seed: int = 0,
) -> Dream:
    """Climb a layer's mean square from a small image to the full one, keeping its detail.

    At each octave the detail found so far is enlarged, the image's own detail of that scale is put
    back, and the sum climbs by normalised gradients, shifted a little each time.

    Args:
        net: the net; what lies behind the layer is not used, so that the image may have any size.
        contract: what its inputs are.
        image: (channels, height, width), pixels of 0 to 1.
        layer: what is made stronger.
        octaves: sizes, each `ratio` larger than the one before.
        ratio: between sizes.
        steps: at each size.
        rate: mean change of a pixel each step, of its full range.
        seed: of the shifts.

    Raises:
        UsageError: octaves so many that nothing is left of the image.
        DesignError: no such layer.

    Source: Mordvintsev, Olah, Tyka, "Inceptionism", Google Research blog, 2015.
    """
    height, width = image.shape[1:]
    sizes = [
        (round(height / ratio**octave), round(width / ratio**octave))
        for octave in reversed(range(octaves))
    ]
    if min(sizes[0]) < 4:
        raise UsageError(f"Expected octaves that leave 4 pixels, received {octaves=}, {ratio=}.")
    with looking(net):
        seen = PixelNet(net, contract)
        found = torch.zeros_like(image[None])
        for octave, size in enumerate(sizes):
            base = _resize(image[None], size)
            pixels = (base + _resize(found, size)).clamp(0, 1)
            for step in range(steps):
                pixels = _climb(net, seen, pixels, layer, rate, (seed, octave, step))
            found = pixels - base
        with torch.no_grad():
            before, after = (_strength(net, seen, each, layer) for each in (image[None], pixels))
    return Dream(layer, to_array(pixels[0]), (float(after), float(before)))


def _climb(
    net: Net, seen: PixelNet, pixels: Tensor, layer: str, rate: float, address: tuple[int, ...]
) -> Tensor:
    chance = stream(address[0], "dream", *address[1:])
    reach = max(1, min(pixels.shape[2:]) // 16)
    shift = [int(chance.integers(axis, -reach, reach)) for axis in ("rows", "columns")]
    moved = pixels.detach().roll(shift, (2, 3)).requires_grad_()
    (slope,) = torch.autograd.grad(_strength(net, seen, moved, layer), moved)
    with torch.no_grad():
        moved = moved + rate * slope / slope.abs().mean().clamp_min(1e-12)
    return moved.clamp(0, 1).roll([-each for each in shift], (2, 3))


def _strength(net: Net, seen: PixelNet, pixels: Tensor, layer: str) -> Tensor:
    return walk(net, seen.normalise(pixels), (layer,))[layer].square().mean()


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)
