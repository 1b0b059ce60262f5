"""Saliency: by how much the class's score changes when a pixel does."""

from __future__ import annotations

from torch import Tensor, nn

from striate.contract import Contract
from striate.explain.attribution import Attribution, gradient, to_array


def saliency(net: nn.Module, contract: Contract, image: Tensor, target: int) -> Attribution:
    """Return the magnitude of the gradient of the class's logit.

    values = |d logit / d pixel|

    Args:
        net, contract, image, target: as of `Method`.

    Returns:
        values (channels, height, width), logits a full pixel; the map is the largest over channels.

    Source: Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", 2013, section 3.
    """
    slope, score = gradient(net, contract, image, target)
    return Attribution("saliency", target, score, to_array(slope.abs()), signed=False)
