"""Guided backpropagation and the deconvnet: gradients that treat rectifiers otherwise.

Both differ from the gradient only in what a ReLU does on the way back. The gradient passes where
the ReLU's input was positive; the deconvnet passes what is positive on the way back; guided
backpropagation passes where both are. Max pooling sends everything back to where the maximum was
(the deconvnet's switches), a convolution goes back through its transpose.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from striate import design
from striate.contract import Contract
from striate.design import Layer
from striate.explain.attribution import Attribution, View, gradient, to_array
from striate.explain.walk import Rule, net_of, walk
from striate.inference import PixelNet
from striate.layers import Net

Way = Literal["guided", "deconvolution"]


_NONE = "no rectifier here: the same as the gradient"


class _Rectifier(torch.autograd.Function):
    """A ReLU with another way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float | None, guided: bool) -> Tensor:
        ctx.guided = guided
        if guided:
            ctx.save_for_backward((x > 0) if top is None else (x > 0) & (x < top))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        back = slopes[0].clamp_min(0)
        return (back * ctx.saved_tensors[0] if ctx.guided else back), None, None


def rectified(way: Way) -> Rule:
    """Return the rule by which `walk` replaces each ReLU and ReLU6."""

    def rule(layer: Layer, x: Tensor) -> Tensor | None:
        if not isinstance(layer, design.ReLU | design.ReLU6):
            return None
        top = 6.0 if isinstance(layer, design.ReLU6) else None
        made: Tensor = _Rectifier.apply(x, top, way == "guided")  # type: ignore[no-untyped-call]
        return made

    return rule


def guided_backprop(net: nn.Module, contract: Contract, image: Tensor, target: int) -> Attribution:
    """Return the gradient that passes rectifiers only where it and their input are positive.

    Args:
        net, contract, image, target: as of `Method`; the net has to be a Net.

    Returns:
        values (channels, height, width). Without any ReLU or ReLU6 they are the gradient, and the
        note says so.

    Source: Springenberg et al., "Striving for simplicity", ICLR 2015 workshop, section 3.4.
    """
    slope, score = gradient(net, contract, image, target, _view("guided"))
    return Attribution("guided_backprop", target, score, to_array(slope), note=_note(net))


def deconvolution(net: nn.Module, contract: Contract, image: Tensor, target: int) -> Attribution:
    """Return the class's score sent back through the deconvnet.

    Args:
        net, contract, image, target: as of `Method`; the net has to be a Net.

    Returns:
        values (channels, height, width). Without any ReLU or ReLU6 they are the gradient, and the
        note says so.

    Source: Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
    section 2.1.
    """
    slope, score = gradient(net, contract, image, target, _view("deconvolution"))
    return Attribution("deconvolution", target, score, to_array(slope), note=_note(net))


def _note(net: nn.Module) -> str:
    """Return what is to be said of a net in which no layer has another way back."""
    kinds = design.ReLU | design.ReLU6
    rectifies = isinstance(net, Net) and any(isinstance(e, kinds) for e in net.network.layers)
    return "" if rectifies else _NONE


def _view(way: Way) -> View:
    def view(seen: PixelNet, pixels: Tensor) -> Tensor:
        net = net_of(seen)
        found = walk(net, seen.normalise(pixels), rule=rectified(way))
        return seen.logits(found[net.network.outputs[0].source])

    return view
