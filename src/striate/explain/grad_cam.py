"""Grad-CAM: which places of a layer's maps speak for the class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.contract import Contract
from striate.design.receptive import last_with_places
from striate.errors import DesignError
from striate.explain.attribution import Attribution, check_target, to_array
from striate.explain.walk import looking, net_of, walk
from striate.inference import PixelNet


def grad_cam(
    net: nn.Module, contract: Contract, image: Tensor, target: int, *, layer: str | None = None
) -> Attribution:
    """Return the sum of a layer's maps, each weighted by its mean gradient, where positive.

    map = ReLU(sum over k of mean(d logit / d A_k) A_k)

    Args:
        net, contract, image, target: as of `Method`; the net has to be a Net.
        layer: whose maps A; the last that has places, unless given. The result names it.

    Returns:
        values (1, height, width): the map brought to the image's size, bilinear; the map itself,
        (rows, columns) of the layer, is `extra`'s `coarse`.

    Raises:
        DesignError: the layer has no places.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2.
    """
    with looking(net):
        seen = PixelNet(net, contract)
        own = net_of(seen)
        chosen, main = layer or last_with_places(own.network), own.network.outputs[0].source
        found = walk(own, seen.normalise(image[None]), keep=(chosen,))
        maps = found[chosen].detach().requires_grad_()
        if maps.dim() != 4:
            raise DesignError(
                f"Grad-CAM needs a layer with places: {chosen} has shape {tuple(maps.shape[1:])}; "
                "expected a convolution or pooling, say."
            )
        rest = {own.network.inputs[0].name: seen.normalise(image[None]), chosen: maps}
        logits = seen.logits(walk(own, rest)[main])
        check_target(logits, target)
        (slopes,) = torch.autograd.grad(logits[0, target], maps)
        coarse = (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).clamp_min(0)
    size = (image.shape[1], image.shape[2])
    fine = functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return Attribution(
        "grad_cam",
        target,
        float(logits[0, target].detach()),
        to_array(fine[0]),
        layer=chosen,
        extra=(("coarse", to_array(coarse[0, 0])),),
    )
