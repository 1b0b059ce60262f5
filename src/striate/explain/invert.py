"""Inversion: an image that a layer cannot tell from another; what the layer has kept of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from striate.contract import Contract
from striate.explain.attribution import Floats, to_array
from striate.explain.painting import Fourier
from striate.explain.walk import looking, walk
from striate.inference import PixelNet
from striate.layers import Net


@dataclass(frozen=True)
class Inversion:
    """An image made from what a layer says of another.

    Args:
        layer: its name.
        pixels: (channels, height, width), 0 to 1.
        error: |values - values wanted| / |values wanted| at the layer; 0 is told apart by nothing.
        start: the same before the first step.
    """

    layer: str
    pixels: Floats
    error: float
    start: float


def invert(
    net: Net,
    contract: Contract,
    image: Tensor,
    layer: str,
    *,
    steps: int = 300,
    variation: float = 0.02,
    norm: float = 1e-3,
    seed: int = 0,
) -> Inversion:
    """Find an image with the same values at a layer, as smooth as may be.

    minimises |F(x) - F(x0)|^2 / |F(x0)|^2 + variation TV(x) + norm mean |x|^6

    TV is the mean squared difference of neighbours, x in the network's own units. x is painted in
    frequencies (`painting.Fourier`): free pixels become noise behind any deep layer.

    Args:
        net: the net.
        contract: what its inputs are.
        image: x0: (channels, height, width), pixels of 0 to 1.
        layer: F.
        steps: of Adam.
        variation, norm: weights.
        seed: of the start, faint noise.

    Raises:
        DesignError: no such layer.

    Source: Mahendran, Vedaldi, "Understanding deep image representations by inverting them", CVPR
    2015 (TV with beta 2, alpha 6).
    """
    with looking(net):
        seen = PixelNet(net, contract)
        shape = (1, image.shape[0], image.shape[1], image.shape[2])
        painting = Fourier(shape, seed, contract.channels == "bgr", image.device)
        optimiser = torch.optim.Adam([painting.parameters], lr=painting.rate)
        with torch.no_grad():
            wanted = walk(net, seen.normalise(image[None]), (layer,))[layer]
        errors = []
        for _ in range(steps):
            inputs = seen.normalise(painting.pixels().to(image))
            apart = walk(net, inputs, (layer,))[layer] - wanted
            error = apart.square().sum() / wanted.square().sum().clamp_min(1e-12)
            loss = error + variation * _variation(inputs) + norm * inputs.pow(6).mean()
            (painting.parameters.grad,) = torch.autograd.grad(loss, painting.parameters)
            optimiser.step()
            errors.append(float(error.detach()))
        with torch.no_grad():
            pixels = painting.pixels().to(image)
            apart = walk(net, seen.normalise(pixels), (layer,))[layer] - wanted
            last = float(apart.norm() / wanted.norm().clamp_min(1e-12))
        return Inversion(layer, to_array(pixels[0]), last, errors[0] ** 0.5)


def _variation(images: Tensor) -> Tensor:
    down, across = images.diff(dim=2), images.diff(dim=3)
    return down.square().mean() + across.square().mean()
