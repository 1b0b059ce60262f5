"""Integrated gradients: the gradient averaged over the way from nothing to the image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.explain.attribution import Attribution, gradient, to_array
from striate.explain.walk import looking
from striate.inference import PixelNet

_AT_ONCE = 16  # images in a pass


def integrated_gradients(
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    target: int,
    *,
    baseline: Tensor | None = None,
    steps: int = 50,
) -> Attribution:
    """Return (pixel - baseline) times the mean gradient on the straight way between them.

    values = (x - b) integral from 0 to 1 of d logit / dx at b + t (x - b) dt

    The integral is Gauss and Legendre's rule. The values sum to logit(x) - logit(b); `gap` is by
    how much they miss it.

    Args:
        net, contract, image, target: as of `Method`.
        baseline: the image that stands for nothing, broadcast to the image's shape; the network's
            mean colour unless given.
        steps: points on the way.

    Returns:
        values (channels, height, width) in logits.

    Source: Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        start = (seen.nothing if baseline is None else baseline).expand_as(image)
        ends = seen(torch.stack([image, start]))[:, target]
    places, weights = np.polynomial.legendre.leggauss(steps)
    mean = torch.zeros_like(image)
    for first in range(0, steps, _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        at = torch.from_numpy((places[some] + 1) / 2).to(image)[:, None, None, None]
        weight = torch.from_numpy(weights[some] / 2).to(image)[:, None, None, None]
        slopes, _ = gradient(net, contract, start + at * (image - start), target)
        mean += (weight * slopes).sum(0)
    values = (image - start) * mean
    expected = float(ends[0] - ends[1])
    gap = abs(float(values.double().sum()) - expected) / max(abs(expected), 1e-6)
    score = float(ends[0])
    return Attribution("integrated_gradients", target, score, to_array(values), gap=gap)
