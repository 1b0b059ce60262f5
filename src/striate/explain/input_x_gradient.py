"""Input times gradient: each pixel's share of the score, to first order."""

from __future__ import annotations

from torch import Tensor, nn

from striate.contract import Contract
from striate.explain.attribution import Attribution, gradient, to_array
from striate.inference import PixelNet


def input_x_gradient(net: nn.Module, contract: Contract, image: Tensor, target: int) -> Attribution:
    """Return (pixel - mean) times the gradient: the network's input times its gradient.

    Args:
        net, contract, image, target: as of `Method`.

    Returns:
        values (channels, height, width) in logits, the same whatever units the input is in.

    Source: Shrikumar et al., "Not just a black box", 2016.
    """
    slope, score = gradient(net, contract, image, target)
    seen = PixelNet(net, contract)
    values = seen.normalise(image) * slope / seen.scale
    return Attribution("input_x_gradient", target, score, to_array(values))
