"""Augmentation put together: the records' draws become one map, one matrix and some rectangles.

What an image shows under the contract (resize and crop), or the random box in its place, is the
innermost map; the changes in their order come after it; the image is sampled once through all of
them. Where images only move by whole pixels or flip, they are brought to size exactly as in
validation and then copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.contract import Contract
from striate.data import warp
from striate.data.augmentation import (
    Augmentation,
    ColourJitter,
    Crop,
    Erasing,
    Flip,
    Geometric,
    PadAndCrop,
    luma,
)
from striate.data.bending import Bending, chain
from striate.data.decode import Window, to_channels
from striate.data.prepare import fit, fits, misfit, normalisation, resized_size
from striate.data.tones import Lighting, Noise, Policy
from striate.errors import UsageError
from striate.randomness import Stream

Floats = npt.NDArray[np.float64]

_FIRST = np.zeros(1, np.int64)
_BORDERS = {"zero": warp.ZERO, "mean": warp.ZERO, "edge": warp.EDGE, "reflect": warp.REFLECT}


class Draws(NamedTuple):
    """What happens to each of some samples.

    Args:
        steps: from the result on, the last one first at work: (samples, count, STEP).
        maps: from there to the image under the contract: (samples, 2, 3).
        boxes: candidates of a `Crop`: (samples, count, numbers).
        colours: (samples, channels, channels + 2) float32, or (samples, 0, 0).
        tones: kinds and amounts: (samples, count, 2).
        seeds: of noise: (samples,) uint64.
        holes: rectangles to erase: (samples, count, 4).
    """

    steps: Floats

    maps: Floats
    boxes: Floats
    colours: npt.NDArray[np.float32]
    tones: Floats
    seeds: npt.NDArray[np.uint64]
    holes: npt.NDArray[np.int64]


class Augmenter:
    """Changes images as some augmentations say.

    Args:
        augmentation: what may happen, in order.
        contract: what the images come to.

    Raises:
        UsageError: two of what there can be one of.
    """

    def __init__(self, augmentation: Sequence[Augmentation], contract: Contract) -> None:
        self.contract = contract
        self.geometry = _of_type(augmentation, Geometric | Bending)
        self.crop: Crop | None = _single(augmentation, Crop)
        self.lighting = _of_type(augmentation, Lighting)
        self.toning = _of_type(augmentation, Noise | Policy)
        self.jitter: ColourJitter | None = _single(augmentation, ColourJitter)
        self.erasing = _of_type(augmentation, Erasing)
        self.slope, self.offset = normalisation(contract)
        self.border, self.fill = _outside(augmentation, contract)
        self.luma = np.array(luma(contract.channels), np.float32)

    @property
    def copies(self) -> bool:
        """Whether images keep their pixels, at most moved by whole ones and flipped."""
        upright = all(isinstance(each, Flip | PadAndCrop) for _, each in self.geometry)
        return upright and self.crop is None

    @property
    def upright(self) -> bool:
        """Whether all maps are affine, so that corners say what of an image is shown."""
        return not any(isinstance(each, Bending) for _, each in self.geometry)

    def draw(self, stream: Stream) -> Draws:
        """Draw what happens to some samples.

        Args:
            stream: one key a sample; a sample's draws depend on nothing else.
        """
        count, size = len(stream.keys), self.contract.size
        steps, maps = chain(
            [_change(each, stream.fold(k), size) for k, each in self.geometry], count
        )
        boxes = np.zeros((count, 0, 4))
        if self.crop is not None:
            boxes = self.crop.boxes(stream.fold("crop"))
        tones = [each.tones(stream.fold(place)) for place, each in self.toning]
        holes = [each.rectangles(stream.fold(place), size) for place, each in self.erasing]
        return Draws(
            steps,
            maps,
            boxes,
            self._colours(stream).astype(np.float32),
            np.concatenate(tones, axis=1) if tones else np.zeros((count, 0, 2)),
            stream.fold("noise").keys,
            np.stack(holes, axis=1) if holes else np.zeros((count, 0, 4), np.int64),
        )

    def _colours(self, stream: Stream) -> Floats:
        """Draw matrices, and what is added: of the mean luminance, and always."""
        channels = self.contract.channel_count
        if self.jitter is None and not self.lighting:
            return np.zeros((len(stream.keys), 0, 0))
        colours = np.zeros((len(stream.keys), channels, channels + 2))
        if self.jitter is None:
            colours[:, :, :channels] = np.eye(channels)
        else:
            colours[:, :, :-1] = self.jitter.colours(stream.fold("jitter"), self.contract.channels)
        for place, each in self.lighting:
            colours[:, :, -1] += each.shifts(stream.fold(place), channels)
        return colours

    def maps(self, draws: Draws, sizes: npt.NDArray[np.int64]) -> Floats:
        """Return where in its image each place of the result is: (samples, 2, 3).

        Args:
            draws: of some samples.
            sizes: height and width of their images, (samples, 2).

        Raises:
            ContractError: an image does not come to the network's size.
        """
        if self.crop is not None:
            boxes = self.crop.box(draws.boxes, sizes, self.contract.size)
            scale = boxes[:, 2:] / np.array(self.contract.size[::-1])
            return _upright(draws.maps, scale, boxes[:, :2])
        if self.copies or not len(sizes):
            return draws.maps
        placed = [_placement((height, width), self.contract) for height, width in sizes.tolist()]
        scale, first = (np.stack(each) for each in zip(*placed, strict=True))
        return _upright(draws.maps, scale, first)

    def boxes(self, maps: Floats, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what of its image each map needs: (samples, 4): top, left, bottom, right.

        Args:
            maps: as `maps` returns them.
            sizes: height and width of the images, (samples, 2).
        """
        if self.copies or not self.upright:
            return np.concatenate([np.zeros_like(sizes), sizes], axis=1)
        tall, wide = self.contract.size
        places = np.array([[x, y, 1.0] for x in (0.5, wide - 0.5) for y in (0.5, tall - 0.5)])
        corners = maps @ places.T  # (samples, 2, 4), x before y
        reach = np.maximum(np.hypot(maps[:, :, 0], maps[:, :, 1]), 1.0) + 1.0
        first, last = corners.min(axis=2), corners.max(axis=2)
        sides = sizes[:, ::-1].astype(np.float64)
        first = np.floor(np.clip(first, 0.0, sides - 1.0) - reach).clip(0.0, None)
        last = np.minimum(np.ceil(np.clip(last, 1.0, sides) + reach), sides)
        if self.border == warp.REFLECT:
            beyond = (corners.min(axis=2) < 0.5) | (corners.max(axis=2) > sides - 0.5)
            first, last = np.where(beyond, 0.0, first), np.where(beyond, sides, last)
        return np.concatenate([first[:, ::-1], last[:, ::-1]], axis=1).astype(np.int64)

    def apply(
        self, draws: Draws, row: int, pixels: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]
    ) -> None:
        """Change one image.

        Args:
            draws: of some samples.
            row: which of them this is.
            pixels: (height, width, channels), in the contract's channels but its own size.
            out: (channels, input_height, input_width), written to.

        Raises:
            ContractError: the image does not come to the network's size.
        """
        one = Draws._make(column[row : row + 1] for column in draws)
        maps = self.maps(one, np.array([pixels.shape[:2]], np.int64))
        self.change(one, maps, 0, Window.whole(pixels), out)

    def change(
        self,
        draws: Draws,
        maps: Floats,
        row: int,
        seen: Window,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Change one image, of which `boxes` is there, by a map that `maps` has returned."""
        if self.copies:
            shown: npt.NDArray[Any] = fit(seen.pixels, self.contract)
            where = np.array([[0, 0, *shown.shape[:2]]], np.int64)
        else:
            shown, where = seen.pixels, np.array([[*seen.corner, *seen.size]], np.int64)
        chosen = slice(row, row + 1)
        self._write(draws, maps, chosen, shown[None], _FIRST, where, out[None])

    def apply_all(
        self,
        draws: Draws,
        images: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.float32],
    ) -> None:
        """Change images that lie in one array.

        Args:
            draws: of the samples, one for each of `rows`.
            images: (n, height, width, channels); where the augmenter `copies`, of the network's
                size.
            rows: places in `images`: (samples,).
            out: (samples, channels, input_height, input_width), written to.

        Raises:
            ContractError: the images do not come to the network's size.
        """
        sizes = np.tile(np.array(images.shape[1:3], np.int64), (len(rows), 1))
        where = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
        self._write(draws, self.maps(draws, sizes), slice(None), images, rows, where, out)

    def _write(
        self,
        draws: Draws,
        maps: Floats,
        chosen: slice,
        images: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        windows: npt.NDArray[np.int64],
        out: npt.NDArray[np.float32],
    ) -> None:
        seen = np.ascontiguousarray(images).view()
        seen.flags.writeable = False  # always, or the kernel is compiled for either
        warp.augment(
            seen,
            rows,
            windows,
            draws.steps[chosen],
            maps[chosen],
            self.border,
            self.fill,
            draws.colours[chosen],
            self.luma,
            draws.tones[chosen],
            draws.seeds[chosen],
            self.slope,
            self.offset,
            draws.holes[chosen],
            out,
        )


def _change(each: Any, stream: Stream, size: tuple[int, int]) -> Floats:
    drawn: Floats = (each.steps if isinstance(each, Bending) else each.maps)(stream, size)
    return drawn


def _upright(maps: Floats, scale: Any, first: Any) -> Floats:
    """Continue maps to a box of an image: place * scale + first, each as (x, y)."""
    maps = maps * np.asarray(scale)[..., None]
    maps[:, :, 2] += first
    return np.ascontiguousarray(maps)


def _placement(size: tuple[int, int], contract: Contract) -> tuple[Floats, Floats]:
    """Return what of an image a contract shows, unsampled: place * scale + first, as (x, y).

    Raises:
        ContractError: the image does not come to the network's size.
    """
    if fits(size, contract):
        return np.ones(2), np.zeros(2)
    target = resized_size(size, contract.resize)
    canvas = contract.resize.size if contract.resize.pads else target
    scale, first = np.empty(2), np.empty(2)
    for axis in (0, 1):
        beyond = canvas[axis] - contract.size[axis]
        if beyond < 0 or (beyond > 0 and contract.crop == "none"):
            raise misfit(size, contract)
        margin = round(beyond / 2) - (canvas[axis] - target[axis]) // 2
        scale[1 - axis] = size[axis] / target[axis]
        first[1 - axis] = margin * size[axis] / target[axis]
    return scale, first


def _of_type(augmentation: Sequence[Augmentation], type_: Any) -> list[tuple[int, Any]]:
    """Return the augmentations of one type, with their places as their streams' addresses."""
    return [(place, each) for place, each in enumerate(augmentation) if isinstance(each, type_)]


def _single(augmentation: Sequence[Augmentation], type_: type) -> Any:
    found = [each for each in augmentation if isinstance(each, type_)]
    if len(found) > 1:
        raise UsageError(f"Expected at most one {type_.__name__}, received {len(found)}.")
    return found[0] if found else None


def _outside(
    augmentation: Sequence[Augmentation], contract: Contract
) -> tuple[int, npt.NDArray[np.float32]]:
    """Return what is outside of an image, and its colour."""
    fills = {each.fill for each in augmentation if hasattr(each, "fill")}
    if len(fills) > 1:
        raise UsageError(
            "An image is sampled once, so expected one fill for all augmentations, received "
            f"{' and '.join(sorted(fills))}."
        )
    if contract.resize.pads:
        background = np.array([[contract.background]], np.uint8)
        return warp.ZERO, to_channels(background, contract.channels)[0, 0].astype(np.float32)
    fill = fills.pop() if fills else "zero"
    slope, offset = normalisation(contract)
    colour = -offset / slope if fill == "mean" else np.zeros_like(slope)
    return _BORDERS[fill], colour
