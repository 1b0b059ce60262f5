"""The contract: what an image goes through before the network, and what the outputs mean.

A network is only half of a classifier; the other half is which channel comes first, how the image
was resized and normalised, and which output is which class. The contract writes that half down,
once, at training; its digest travels in every run, export and server answer, and everything that
feeds the network afterwards takes its numbers from here. Classes are matched by id (the folder's
name, or a wnid), never by order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from striate.errors import ContractError, UnknownName
from striate.records import Record, digest, nearest

VERSION = 1

_CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}


class Class(Record, frozen=True, kw_only=True):
    """One class: the id it is matched by, and the label people read."""

    id: str
    label: str


class Resize(Record, frozen=True, kw_only=True):
    """How an image comes to its size, before the crop.

    Args:
        rule: `none` leaves it as it is; `exact` scales to `size`, whatever the proportions;
            `short_side` keeps the proportions and scales to the smallest image that covers `size`;
            `pad` keeps them, scales to the largest that fits into `size`, and centres it on the
            background; `frame` does so too, but never enlarges.
        size: (height, width) in pixels; unused by `none`.
        filter: the interpolation kernel.
        antialias: widen the kernel when scaling down.
        arithmetic: `uint8` rounds to whole grey levels after resizing (as Pillow does), `float32`
            does not.
    """

    rule: Literal["none", "exact", "short_side", "pad", "frame"] = "none"
    size: tuple[int, int] = (0, 0)
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    antialias: bool = True
    arithmetic: Literal["float32", "uint8"] = "uint8"

    def __post_init__(self) -> None:
        if self.rule != "none" and min(self.size) < 1:
            raise ContractError(
                f"Expected a resize to at least 1x1 pixels, received size={self.size}."
            )

    @property
    def pads(self) -> bool:
        """Whether background may be added around the image."""
        return self.rule in ("pad", "frame")


class Affine(NamedTuple):
    """Per channel, x -> x * slope + offset."""

    slope: tuple[float, ...]
    offset: tuple[float, ...]


class Contract(Record, frozen=True, kw_only=True):
    """Everything between an image file and the network's input, and the meaning of its outputs.

    Args:
        version: of this format.
        classes: what output 0, 1, ... stands for.
        output: what the network's numbers are; `distances` are smaller for likelier classes.
        channels: the network's channels, in order.
        size: (height, width) of the network's input, in pixels.
        resize: how an image comes near that size.
        crop: `centre` cuts `size` out of the middle; `none` expects `resize` to have met it.
        exif: turn an image as its EXIF orientation says.
        background: red, green and blue, 0 to 255, that shine through transparent pixels and fill
            what `pad` and `frame` add.
        sixteen_bit: a 16-bit image becomes 8 bits by its high byte, or by scaling its own range
            (smallest to largest value) to 0..255.
        scale: what a pixel, 0 to 255, is multiplied by.
        mean: subtracted from each channel: after scaling under `scale_first`, before it under
            `mean_first` (then in pixel units).
        std: what each channel is divided by in the end.
        order: `scale_first` is (pixel * scale - mean) / std; `mean_first` is
            (pixel - mean) * scale / std.
        mean_image: name of a tensor (channels, height, width) among the network's weights: its
            first layer takes that off the input that is made here.
        whitening: name of a matrix among them, (values, values) for channels*height*width values,
            that the next layer multiplies the input with. Both were measured in training; as the
            network does it, nobody who feeds one has to.
    """

    version: int = VERSION
    classes: tuple[Class, ...]
    output: Literal["logits", "probabilities", "distances"] = "logits"
    channels: Literal["rgb", "bgr", "grey"]
    size: tuple[int, int]
    resize: Resize = Resize()
    crop: Literal["centre", "none"] = "none"
    exif: bool = True
    background: tuple[int, int, int] = (255, 255, 255)
    sixteen_bit: Literal["high_byte", "scale"] = "high_byte"
    scale: float = 1 / 255
    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: Literal["scale_first", "mean_first"] = "scale_first"
    mean_image: str | None = None
    whitening: str | None = None

    def __post_init__(self) -> None:
        if self.version > VERSION:
            raise ContractError(
                f"The contract has format {self.version}; this striate reads up to {VERSION}: "
                "update it."
            )
        _check_classes(self.classes)
        _check_geometry(self)
        _check_arithmetic(self)

    @property
    def digest(self) -> str:
        """The sha256 of the contract's canonical JSON, 64 hexadecimal digits."""
        return digest(self)

    @property
    def channel_count(self) -> int:
        """1 for grey, 3 for colour."""
        return _CHANNELS[self.channels]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The network's input, (channels, height, width)."""
        return (self.channel_count, *self.size)

    @property
    def forward(self) -> Affine:
        """Normalisation as one multiply-add per channel: input = pixel * slope + offset.

        Example:
            >>> half = Contract(classes=(Class(id="a", label="a"),), channels="grey",
            ...                 size=(8, 8), mean=(0.5,), std=(0.25,))
            >>> half.forward.offset, half.inverse.offset
            ((-2.0,), (127.5,))
        """
        before = self.scale if self.order == "mean_first" else 1.0
        return Affine(
            tuple(self.scale / std for std in self.std),
            tuple(-mean * before / std for mean, std in zip(self.mean, self.std, strict=True)),
        )

    @property
    def inverse(self) -> Affine:
        """The way back, from the network's input to pixels: pixel = input * slope + offset."""
        slopes, offsets = self.forward
        return Affine(
            tuple(1 / slope for slope in slopes),
            tuple(-offset / slope for slope, offset in zip(slopes, offsets, strict=True)),
        )

    def with_size(self, size: tuple[int, int]) -> Contract:
        """Return the contract for another input size, (height, width), resized in proportion."""
        if size == self.size:
            return self
        height, width = (
            round(edge * new / old)
            for edge, new, old in zip(self.resize.size, size, self.size, strict=True)
        )
        return self.replace(size=size, resize=self.resize.replace(size=(height, width)))

    def index(self, name: str) -> int:
        """Return which output is a class, by its id or label.

        Raises:
            UnknownName: there is no such class; carries the nearest names.
        """
        for index, one in enumerate(self.classes):
            if name in (one.id, one.label):
                return index
        known = [known for one in self.classes for known in (one.id, one.label)]
        labels = list(dict.fromkeys(one.label for one in self.classes))
        more = f" and {len(labels) - 30} more" if len(labels) > 30 else ""
        hint = f"Known: {', '.join(labels[:30])}{more}."
        raise UnknownName("class", name, nearest(name, known), hint)

    def match(self, classes: Sequence[Class]) -> tuple[int, ...]:
        """Return, for each of `classes`, the output that stands for it, matched by id.

        Fewer classes than the network knows are fine: the absent ones have no images.

        Raises:
            ContractError: a class that the network was not trained for; names what differs.
        """
        outputs = {known.id: index for index, known in enumerate(self.classes)}
        given = [one.id for one in classes]
        strangers = [id for id in given if id not in outputs]
        if strangers:
            absent = [id for id in outputs if id not in set(given)]
            seen = f"; without images here: {_some(absent)}" if absent else ""
            numbers = all(id.isdecimal() for id in given) and len(given) <= len(outputs)
            fix = (
                " Numbers are matched with nothing: give the data names (an array `classes` in an "
                "npz file, a CSV with labels)."
                if numbers
                else ""
            )
            raise ContractError(
                f"The network was not trained for {_some(strangers)}{seen}. "
                f"It knows {len(outputs)} classes, the data has {len(given)}."
                f"{fix or self._meant(strangers)}"
            )
        return tuple(outputs[id] for id in given)

    def _meant(self, strangers: Sequence[str]) -> str:
        """Say which classes are called nearly as the strangers are, and what to do about them."""
        called = {one.label: one.id for one in self.classes} | {
            one.id: one.id for one in self.classes
        }
        near = [(each, nearest(each, called, 1)) for each in strangers]
        meant = [f"{called[names[0]]!r} by {each!r}" for each, names in near if names]
        asked = f" Did you mean {', '.join(meant[:5])}?" if meant else ""
        return f"{asked} Rename the folder (or label) as the network knows it, or leave it out."


def _check_classes(classes: tuple[Class, ...]) -> None:
    if not classes:
        raise ContractError("Expected at least one class, received none.")
    ids = [one.id for one in classes]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise ContractError(f"Expected every class id once, received {_some(twice)} twice.")


def _check_geometry(contract: Contract) -> None:
    size, resize = contract.size, contract.resize
    if min(size) < 1:
        raise ContractError(f"Expected an input of at least 1x1 pixels, received size={size}.")
    if contract.crop == "none" and resize.rule == "short_side":
        raise ContractError(
            "A resize by the short side needs crop='centre' to meet the size, received "
            f"crop={contract.crop!r}."
        )
    if contract.crop == "none" and (resize.rule == "exact" or resize.pads) and resize.size != size:
        raise ContractError(
            f"Without a crop the resize has to meet the input: expected {size}, "
            f"received resize.size={resize.size}."
        )
    if resize.rule != "none" and (resize.size[0] < size[0] or resize.size[1] < size[1]):
        raise ContractError(
            f"The crop of {size} does not fit into the resized image of {resize.size}: expected a "
            "resize to at least as much, or a smaller size."
        )


def _check_arithmetic(contract: Contract) -> None:
    for name in ("mean", "std"):
        received = len(getattr(contract, name))
        if received != contract.channel_count:
            raise ContractError(
                f"Expected {contract.channel_count} values of {name} for channels="
                f"{contract.channels!r}, received {received}."
            )
    if min(contract.std) <= 0 or contract.scale <= 0:
        raise ContractError(
            f"Expected a positive scale and std, received scale={contract.scale}, "
            f"std={contract.std}."
        )
    if contract.whitening is not None and contract.mean_image is None:
        raise ContractError("A whitening is of what is left without the mean image: name that too.")
    if not all(0 <= level <= 255 for level in contract.background):
        raise ContractError(f"Expected levels of 0 to 255, received {contract.background=}.")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
