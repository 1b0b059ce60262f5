"""What the page shows of a network's inside: filters, activations, units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate import draw, explain
from striate.design import Conv
from striate.errors import DesignError
from striate.inference import to_picture
from striate.records import to_builtins
from striate.web.opened import Opened
from striate.web.pictures import atlas, tiled, uri

_MOST_MAPS = 256  # that one answer shows
_SEARCHED = 1000  # training images that top patches are found in
_PATCHES = 9
_STEPS = 128  # of a picture made for a unit


def filters(opened: Opened, layer: str) -> dict[str, Any]:
    """Return a convolution's filters as pictures."""
    net = opened.net("quick")
    known = [each for each in net.network.layers if each.name == layer]
    if not known or not (isinstance(known[0], Conv) and len(known[0].kernel) == 2):
        raise DesignError(
            f"Expected a convolution of images of {net.network.name}, whose filters can be shown, "
            f"received {layer[:100]!r}."
        )
    weights = explain_array(net.get_submodule(layer).weight)  # type: ignore[arg-type]
    found = explain.Filters(layer, weights[:_MOST_MAPS], (), ())
    shown = np.stack(found.pictures)
    if opened.contract.channels == "bgr" and shown.shape[-1] == 3:
        shown = shown[..., ::-1]
    return {
        "layer": layer,
        "shape": weights.shape,
        "whole": weights.shape[1] in (1, 3),
        "atlas": tiled((255 * shown).round().astype(np.uint8)),
    }


def gabor(opened: Opened) -> dict[str, Any]:
    """Return how near the first layer's filters are to Gabor and classical ones."""
    found = explain.filters(opened.net("slow"))
    high, wide = found.weights.shape[2:]
    gabors = explain.gabor_chance(high, wide) if found.gabor[0].determined else None
    return {
        "layer": found.layer,
        "chance": {
            "cosine": explain.classical_chance(high, wide).mean,
            "gabor": None if gabors is None else gabors.mean,
        },
        "gabor": to_builtins(found.gabor),
        "nearest": [{"name": name, "cosine": near} for name, near in found.nearest],
    }


def activations(opened: Opened, image: Tensor, layer: str) -> dict[str, Any]:
    """Return what a layer answers to an image, as one atlas of maps."""
    found = explain.activations(opened.net("quick"), opened.contract, image, layer)
    values = found.values
    document: dict[str, Any] = {"layer": layer, "shape": values.shape, "idle": found.idle}
    if values.ndim == 3:
        shown = values[:_MOST_MAPS]
        flat = values.reshape(len(values), -1)
        return {**document, "atlas": atlas(shown), "peaks": flat.max(1)[:_MOST_MAPS].tolist()}
    if values.ndim == 1:
        return {**document, "values": values[:1000].tolist()}
    return {**document, "values": values.reshape(-1)[:1000].tolist()}


def patches(opened: Opened, layer: str, channel: int) -> dict[str, Any]:
    """Return the patches of the training images that a unit answers most, and why."""
    samples = opened.some("train", _SEARCHED)
    contract = opened.contract
    found = explain.top_patches(
        opened.net("slow"), contract, samples, layer, (channel,), count=_PATCHES
    )[0]
    flip = contract.channels == "bgr"
    shown = []
    for each in found:
        back = draw.signed_picture(each.reconstruction)
        shown.append(
            {
                "sample": str(each.sample),
                "value": each.value,
                "box": each.box,
                "drift": each.drift,
                "pixels": uri(to_picture(torch.from_numpy(each.pixels), contract)),
                "reconstruction": uri(back[..., ::-1] if flip else back),
            }
        )
    return {"layer": layer, "channel": channel, "searched": len(samples), "patches": shown}


def wish(opened: Opened, layer: str, channel: int) -> dict[str, Any]:
    """Return a picture made to excite a unit, or a class where the layer is the output."""
    net = opened.net("slow")
    unit = explain.Unit(layer=layer, channel=channel)
    unit.check(net)
    made = explain.visualise(net, opened.contract, unit, steps=_STEPS)
    return {
        "layer": layer,
        "channel": channel,
        "picture": uri(to_picture(torch.from_numpy(made.pixels[0]), opened.contract)),
        "answer": made.answers[0],
        "start": made.start,
        "probability": made.probabilities[0] if made.probabilities else None,
    }


def explain_array(values: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a tensor as float32 numpy."""
    return values.detach().float().cpu().numpy()
