"""What a unit wants: the patches of a data set that excite it most, and what in them does.

Each patch is the unit's exact receptive field, so that nothing outside it had any part in the
answer; beside it stands the unit's answer sent back through the deconvnet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from striate import data, design, progress
from striate.contract import Contract
from striate.data import Loader, Samples
from striate.explain.attribution import Floats, to_array
from striate.explain.rectifiers import rectified
from striate.explain.unit import Unit
from striate.explain.walk import looking, walk
from striate.inference import PixelNet, of_levels
from striate.layers import Net

_PIXELS_A_BATCH = 1 << 18


@dataclass(frozen=True)
class Patch:
    """A part of an image that excites a unit.

    Args:
        unit: the unit, with its place.
        sample: id of the image.
        value: the unit's answer.
        box: ((top, bottom), (left, right)): its receptive field in the image.
        pixels: the part, (channels, height, width), 0 to 1.
        reconstruction: what in it excites the unit, the same shape, signed.
        drift: by how much the answer changes, as a share, when everything outside the box is made
            the mean colour; 0 but for rounding.
    """

    unit: Unit
    sample: str
    value: float
    box: design.Box
    pixels: Floats
    reconstruction: Floats
    drift: float


def top_patches(
    net: Net,
    contract: Contract,
    samples: Samples,
    layer: str,
    channels: Sequence[int],
    *,
    count: int = 9,
) -> tuple[tuple[Patch, ...], ...]:
    """Return the patches that excite units most, one an image at most, the strongest first.

    Args:
        net: the net.
        contract: what its inputs are.
        samples: the images to search.
        layer: whose units; its value has to be positive for a patch to count.
        channels: which maps of it.
        count: patches a unit.

    Raises:
        DesignError: no such layer or channel.

    Source: Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
    figure 2.
    """
    for channel in channels:
        Unit(layer=layer, channel=channel).check(net)
    best = _search(net, contract, samples, layer, channels, count)
    space = net.network.shapes()[layer][1:]
    found = []
    for channel, ranked in zip(channels, best, strict=True):
        units = [
            (index, Unit(layer=layer, channel=channel, place=_place(flat, space)))
            for value, flat, index in ranked
            if value > 0
        ]
        found.append(tuple(_patch(net, contract, samples, index, unit) for index, unit in units))
    return tuple(found)


def reconstruct(net: Net, contract: Contract, image: Tensor, unit: Unit) -> tuple[Floats, float]:
    """Send a unit's answer back to the pixels through the deconvnet.

    Max pooling's switches, rectifiers of what comes back, transposed filters; the pixels are in
    units of the answer.

    Args:
        net: the net.
        contract: what its inputs are.
        image: (channels, height, width), pixels of 0 to 1.
        unit: with its place.

    Returns:
        (channels, height, width), and the unit's answer.

    Source: Zeiler, Fergus, ECCV 2014, section 2.1.
    """
    with looking(net):
        pixels = image[None].detach().clone().requires_grad_()
        inputs = PixelNet(net, contract).normalise(pixels)
        value = unit.read(walk(net, inputs, (unit.layer,), rectified("deconvolution"))[unit.layer])
        (slope,) = torch.autograd.grad(value.sum(), pixels)
    answer = float(value.detach())
    return to_array(slope[0] * answer), answer


def _search(
    net: Net,
    contract: Contract,
    samples: Samples,
    layer: str,
    channels: Sequence[int],
    count: int,
) -> list[list[tuple[float, int, int]]]:
    """Return (answer, place counted row by row, image) for each channel, strongest first."""
    height, width = contract.size
    size = max(1, min(256, _PIXELS_A_BATCH // (height * width)))
    loader = Loader(samples, contract, batch=size, seed=0, shuffle=False)
    like, own = next(net.parameters()), list(channels)
    values, places, images = [], [], []
    with looking(net), torch.no_grad():
        epoch = progress.track(
            loader.epoch(0), "searching", "images", len(samples), lambda one: len(one.labels)
        )
        for batch in epoch:
            maps = walk(net, batch.images.to(like), (layer,))[layer][:, own]
            top, at = maps.reshape(*maps.shape[:2], -1).max(2)
            values.append(top)
            places.append(at)
            images.append(torch.from_numpy(np.asarray(batch.indices))[:, None].expand_as(at.cpu()))
    top, order = torch.cat(values).cpu().topk(min(count, len(samples)), dim=0)
    at, index = (torch.cat(each).cpu().gather(0, order) for each in (places, images))
    return [
        list(zip(*(each[:, k].tolist() for each in (top, at, index)), strict=True))
        for k in range(len(own))
    ]


def _place(flat: int, space: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(each) for each in np.unravel_index(flat, space)) if space else ()


def _patch(net: Net, contract: Contract, samples: Samples, index: int, unit: Unit) -> Patch:
    levels = data.prepare(samples.pixels(index, contract), of_levels(contract))
    image = torch.from_numpy(levels).to(next(net.parameters())) / 255.0
    box = design.crop(net.network, unit.layer, unit.place or ())
    (top, bottom), (left, right) = box
    reconstruction, value = reconstruct(net, contract, image, unit)
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        alone = seen.nothing.expand_as(image).clone()
        alone[:, top:bottom, left:right] = image[:, top:bottom, left:right]
        again = unit.read(walk(net, seen.normalise(alone[None]), (unit.layer,))[unit.layer])
    return Patch(
        unit=unit,
        sample=samples.ids[index],
        value=value,
        box=box,
        pixels=to_array(image[:, top:bottom, left:right]),
        reconstruction=reconstruction[:, top:bottom, left:right],
        drift=abs(float(again) - value) / max(abs(value), 1e-12),
    )
