"""Occlusion: what happens to the class when a part of the image is covered."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.errors import UsageError
from striate.explain.attribution import Attribution, check_target, to_array
from striate.explain.walk import looking
from striate.inference import PixelNet

_AT_ONCE = 32  # images in a pass


def occlusion(
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    target: int,
    *,
    window: int | None = None,
    stride: int | None = None,
    colour: Tensor | None = None,
) -> Attribution:
    """Return by how much the logit falls, on average, over all windows that cover a pixel.

    Args:
        net, contract, image, target: as of `Method`.
        window: side of the square that covers, in pixels; a fifth of the image unless given.
        stride: pixels between neighbouring squares; half a window unless given.
        colour: of the square, broadcast to the image; the network's mean colour unless given.

    Returns:
        values (1, height, width) in logits. `extra` has, for each
        place of the square, `probability` of the class and `answer`, the likeliest class then.

    Raises:
        UsageError: a window larger than the image, or a stride below 1.

    Source: Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
    section 4.2.
    """
    height, width = image.shape[1:]
    side = max(1, min(height, width) // 5) if window is None else window
    step = max(1, side // 2) if stride is None else stride
    if not 1 <= side <= min(height, width) or step < 1:
        raise UsageError(
            f"Expected a window within {height}x{width} and a stride of at least 1, received "
            f"window={side}, stride={step}."
        )
    rows, columns = _starts(height, side, step), _starts(width, side, step)
    places = [(top, left) for top in rows for left in columns]
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        cover = (seen.nothing if colour is None else colour).expand_as(image)
        logits = [seen(image[None])]
        check_target(logits[0], target)
        for first in range(0, len(places), _AT_ONCE):
            covered = [_cover(image, cover, at, side) for at in places[first : first + _AT_ONCE]]
            logits.append(seen(torch.stack(covered)))
    scores = torch.cat(logits)
    falls, times = torch.zeros(height, width), torch.zeros(height, width)
    for (top, left), fall in zip(places, (scores[0] - scores[1:])[:, target].cpu(), strict=True):
        falls[top : top + side, left : left + side] += fall
        times[top : top + side, left : left + side] += 1
    values = to_array(falls / times.clamp_min(1))
    grid = (len(rows), len(columns))
    probability = scores[1:].softmax(1)[:, target].reshape(grid)
    answer = scores[1:].argmax(1).reshape(grid)
    return Attribution(
        "occlusion",
        target,
        float(scores[0, target]),
        values[None],
        extra=(("probability", to_array(probability)), ("answer", to_array(answer))),
    )


def _starts(size: int, side: int, step: int) -> list[int]:
    """Return where squares start, so that every pixel is covered; the last may be cut off."""
    return [index * step for index in range(-(-(size - side) // step) + 1)]


def _cover(image: Tensor, cover: Tensor, at: tuple[int, int], side: int) -> Tensor:
    covered, (top, left) = image.clone(), at
    covered[:, top : top + side, left : left + side] = cover[
        :, top : top + side, left : left + side
    ]
    return covered
