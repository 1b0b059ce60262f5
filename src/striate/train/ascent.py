"""Climbing a loss within a small ball of images: the step that attack and defence share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from striate.randomness import Stream

Norm = Literal["linf", "l2"]
Loss = Callable[[Tensor], Tensor]


def ascend(
    loss: Loss,
    images: Tensor,
    start: Tensor,
    *,
    eps: float,
    step: float,
    steps: int,
    norm: Norm = "linf",
) -> Tensor:
    """Take steps up a loss, back into the ball and the range of pixels after each.

    linf: x <- clip(x0 + clip(x + step sign(g) - x0, -eps, eps), 0, 1)
    l2:   x <- clip(x0 + shorten(x + step g / |g| - x0, eps), 0, 1)

    Args:
        loss: of images, summed over them, so that each has a gradient of its own.
        images: x0: (batch, channels, height, width), pixels of 0 to 1.
        start: where to start, the same shape.
        eps: radius of the ball, in full pixels (linf) or their Euclidean length (l2).
        step: length of a step, in the same unit.
        steps: how many.
        norm: of the ball.

    Returns:
        The images at the end, without gradient.
    """
    moved = start.detach()
    for _ in range(steps):
        pixels = moved.clone().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(loss(pixels), pixels)
        with torch.no_grad():
            moved = into_ball(images, moved + step * direction(slope, norm), eps, norm)
    return moved


def direction(slope: Tensor, norm: Norm) -> Tensor:
    """Return the step of length 1 along which the loss climbs fastest, for each image."""
    return slope.sign() if norm == "linf" else slope / lengths(slope).clamp_min(1e-12)


def into_ball(images: Tensor, moved: Tensor, eps: float, norm: Norm) -> Tensor:
    """Bring images back to within `eps` of others, and to pixels of 0 to 1."""
    apart = moved - images
    if norm == "linf":
        apart = apart.clamp(-eps, eps)
    else:
        apart = apart * (eps / lengths(apart).clamp_min(1e-12)).clamp_max(1.0)
    return (images + apart).clamp(0, 1)


def random_start(images: Tensor, eps: float, norm: Norm, chance: Stream) -> Tensor:
    """Return a point of the ball about each image, drawn uniformly (l2: direction, then radius).

    Args:
        images: (batch, channels, height, width), pixels of 0 to 1.
        eps: radius of the ball.
        norm: of the ball.
        chance: with one key, or one an image.
    """
    size = tuple(images.shape) if chance.keys.ndim == 0 else tuple(images.shape[1:])
    if norm == "linf":
        drawn = torch.from_numpy(chance.uniform("start", -eps, eps, size)).to(images)
        return (images + drawn).clamp(0, 1)
    apart = torch.from_numpy(chance.normal("start", size=size)).to(images)
    radius = torch.from_numpy(
        chance.uniform("radius", size=(len(images),) if chance.keys.ndim == 0 else ())
    ).to(images)
    share: Tensor = radius.pow(1 / images[0].numel())
    return (images + apart / lengths(apart) * share[:, None, None, None] * eps).clamp(0, 1)


def lengths(apart: Tensor) -> Tensor:
    """Return each image's Euclidean length: (batch, 1, 1, 1)."""
    found: Tensor = apart.flatten(1).norm(dim=1)
    return found[:, None, None, None]
