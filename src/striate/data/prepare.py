"""From decoded pixels to the network's input, exactly as the contract says.

The one path of validation, evaluation and prediction; training differs from it only by the
augmentation. Resizing in 8 bits with antialiasing is Pillow's own, by the rule of Pillow 13,
whatever version is installed; the other combinations are done by two matrix products, which are
exact up to float32 rounding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.contract import Contract, Resize
from striate.data.decode import MOST_PIXELS, to_channels
from striate.errors import ContractError

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_REACH = {"nearest": 0.5, "box": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def prepare(pixels: Pixels, contract: Contract) -> Floats:
    """Resize, crop and normalise an image.

    Args:
        pixels: (height, width, channels) uint8, in the contract's channels.
        contract: what to do.

    Returns:
        (channels, input_height, input_width) float32.

    Raises:
        ContractError: the image does not come to the network's size.
    """
    slope, offset = normalisation(contract)
    fitted = fit(pixels, contract).astype(np.float32)
    return np.ascontiguousarray((fitted * slope + offset).transpose(2, 0, 1))


def normalisation(contract: Contract) -> tuple[Floats, Floats]:
    """Return slope and offset per channel, float32: input = pixel * slope + offset."""
    slope, offset = contract.forward
    return np.array(slope, np.float32), np.array(offset, np.float32)


def fit(pixels: Pixels, contract: Contract) -> npt.NDArray[Any]:
    """Resize and crop an image to the network's input.

    Args:
        pixels: (height, width, channels) uint8.
        contract: its resize and crop; a centre crop with half a pixel too much on one side rounds
            to even, as torchvision's does.

    Returns:
        (input_height, input_width, channels): uint8, or float32 where the contract computes so.

    Raises:
        ContractError: the image does not come to the network's size, or is a sliver that would
            grow beyond all memory until its short side fits; gives both sizes.
    """
    resized = _resize(pixels, contract)
    height, width = resized.shape[:2]
    if contract.crop == "centre" and height >= contract.size[0] and width >= contract.size[1]:
        top = round((height - contract.size[0]) / 2)
        left = round((width - contract.size[1]) / 2)
        resized = resized[top : top + contract.size[0], left : left + contract.size[1]]
    if resized.shape[:2] != contract.size:
        raise misfit(pixels.shape[:2], contract)
    return resized


def misfit(size: tuple[int, ...], contract: Contract) -> ContractError:
    """Return the error that images of a size do not come to the network's."""
    return ContractError(
        f"Expected an image of {contract.size[0]}x{contract.size[1]} pixels, received "
        f"{size[0]}x{size[1]}; the contract does not resize it "
        f"(rule={contract.resize.rule!r}, crop={contract.crop!r})."
    )


def fits(size: tuple[int, int], contract: Contract) -> bool:
    """Tell whether an image of this (height, width) goes through `fit` as it is."""
    rule = contract.resize.rule
    return size == contract.size and (rule == "none" or contract.resize.size == size)


def _resize(pixels: Pixels, contract: Contract) -> npt.NDArray[Any]:
    resize, (height, width) = contract.resize, pixels.shape[:2]
    target = resized_size((height, width), resize)
    if target[0] * target[1] > MOST_PIXELS >= height * width:
        sliver = resize.size[0] * resize.size[1] <= MOST_PIXELS
        fix = "Leave it out or crop it, it is a sliver." if sliver else "Choose a smaller size."
        raise ContractError(
            f"Expected an image that is scaled to at most {MOST_PIXELS:,} pixels, received "
            f"{height}x{width}, of which rule={resize.rule!r} makes {target[0]}x{target[1]}. {fix}"
        )
    scaled = pixels if target == (height, width) else resample(pixels, target, resize)
    if not resize.pads or target == resize.size:
        return scaled
    background = np.array([[contract.background]], np.uint8)
    canvas = np.empty((*resize.size, pixels.shape[2]), scaled.dtype)
    canvas[:] = to_channels(background, contract.channels)
    top, left = (resize.size[0] - target[0]) // 2, (resize.size[1] - target[1]) // 2
    canvas[top : top + target[0], left : left + target[1]] = scaled
    return canvas


def resized_size(size: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """Return the (height, width) that an image of `size` is scaled to, before padding and crop.

    The longer side is rounded down, as torchvision does it.

    Example:
        >>> resized_size((213, 160), Resize(rule="short_side", size=(64, 64)))
        (85, 64)
    """
    height, width = resize.size
    if resize.rule == "none" or (resize.rule == "frame" and _inside(size, resize.size)):
        return size
    if resize.rule == "exact":
        return resize.size
    by_height = (height, height * size[1] // size[0])
    by_width = (width * size[0] // size[1], width)
    taller = height * size[1] >= width * size[0]  # scaling to the height gives at least the width
    if resize.rule == "short_side":
        return by_height if taller else by_width
    chosen = by_width if taller else by_height
    return max(chosen[0], 1), max(chosen[1], 1)


def _inside(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    return size[0] <= frame[0] and size[1] <= frame[1]


def resample(pixels: Pixels, size: tuple[int, int], resize: Resize) -> npt.NDArray[Any]:
    """Scale an image to (height, width) with a resize's filter, antialiasing and arithmetic.

    Returns:
        (height, width, channels), uint8 or float32.
    """
    if resize.arithmetic == "uint8" and (resize.antialias or resize.filter == "nearest"):
        return resample_8bit(pixels, size, resize.filter)
    rows = _weights(pixels.shape[0], size[0], resize.filter, resize.antialias)
    columns = _weights(pixels.shape[1], size[1], resize.filter, resize.antialias)
    wide = np.tensordot(rows, pixels.astype(np.float32), (1, 0))
    scaled = np.ascontiguousarray(np.tensordot(columns, wide, (1, 1)).swapaxes(0, 1))
    if resize.arithmetic == "float32":
        return scaled
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def resample_8bit(pixels: Pixels, size: tuple[int, int], filter: str) -> Pixels:
    """Scale an image to (height, width), antialiased, as Pillow 13 does in one call.

    Levels are rounded between its two passes, so their order shows, by up to 24 levels where a
    filter overshoots. We ask for one pass at a time: before 13 Pillow took widths first, always.
    """
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(flat))
    first = (image.width, size[0]) if heights_first(pixels.shape, size) else (size[1], image.height)
    if filter == "nearest":
        first = (size[1], size[0])
    for each in (first, (size[1], size[0])):
        if each != image.size:
            image = image.resize(each, _FILTERS[filter])
    scaled = np.asarray(image)
    return scaled[..., None] if scaled.ndim == 2 else scaled


def heights_first(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Tell whether heights are scaled before widths: where they lose more than twice as much.

    Args:
        before: height and width (and whatever else).
        after: height and width.

    Source: found by experiment on Pillow 13.0 (6,000 sizes), whose pull request 9549 brought it.
    """
    return before[0] - after[0] > 2 * max(before[1] - after[1], 0)


@lru_cache(maxsize=64)
def _weights(before: int, after: int, filter: str, antialias: bool) -> Floats:
    """Return the matrix (after, before) that resamples one dimension; its rows sum to 1."""
    scale = before / after
    stretch = max(scale, 1.0) if antialias and filter != "nearest" else 1.0
    centres = (np.arange(after, dtype=np.float64) + 0.5) * scale
    places = np.arange(before, dtype=np.float64) + 0.5
    if filter == "nearest":
        chosen = np.minimum(centres.astype(np.int64), before - 1)
        return np.eye(before, dtype=np.float32)[chosen]
    distance = (places[None, :] - centres[:, None]) / stretch
    weights = _kernel(distance, filter)
    if not antialias:  # what lies outside repeats the edge; with antialias it is left out
        weights = _with_edges(centres, before, filter)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _with_edges(centres: npt.NDArray[np.float64], before: int, filter: str) -> Any:
    reach = int(np.ceil(_REACH[filter]))
    first = np.floor(centres - 0.5).astype(np.int64)[:, None]
    taps = first + np.arange(1 - reach, reach + 1)[None, :]
    values = _kernel(taps + 0.5 - centres[:, None], filter)
    weights = np.zeros((len(centres), before))
    rows = np.broadcast_to(np.arange(len(centres))[:, None], taps.shape)
    np.add.at(weights, (rows, taps.clip(0, before - 1)), values)
    return weights


def _kernel(x: Any, filter: str) -> Any:
    """Evaluate an interpolation kernel at distances in pixels, Pillow's (bicubic with a = -0.5)."""
    size = np.abs(x)
    if filter == "box":
        return ((x > -0.5) & (x <= 0.5)).astype(np.float64)
    if filter == "bilinear":
        return np.maximum(1 - size, 0)
    if filter == "bicubic":
        near = (1.5 * size - 2.5) * size * size + 1
        far = ((-0.5 * size + 2.5) * size - 4) * size + 2
        return np.where(size < 1, near, np.where(size < 2, far, 0))
    return np.where(size < 3, np.sinc(x) * np.sinc(x / 3), 0)
