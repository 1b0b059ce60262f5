"""SmoothGrad: any method, averaged over images with a little noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.explain.attribution import Attribution, Method
from striate.randomness import stream


def smooth_grad(method: Method, *, samples: int = 20, noise: float = 0.1, seed: int = 0) -> Method:
    """Return a method that averages another over noisy images.

    Args:
        method: the other.
        samples: noisy images.
        noise: standard deviation of the noise, as a share of the image's range of pixels.
        seed: of the noise.

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
    """

    def smoothed(net: nn.Module, contract: Contract, image: Tensor, target: int) -> Attribution:
        spread = noise * float(image.max() - image.min())
        found = []
        for sample in range(samples):
            drawn = stream(seed, "smooth_grad", sample).normal("noise", size=tuple(image.shape))
            shaken = image + spread * torch.from_numpy(drawn).to(image)
            found.append(method(net, contract, shaken, target))
        clean = method(net, contract, image, target)
        mean = np.mean([each.values for each in found], axis=0, dtype=np.float64)
        return replace(
            clean,
            method=f"smooth_grad({clean.method})",
            values=np.asarray(mean, np.float32),
            gap=None,
            extra=(),
        )

    return smoothed
