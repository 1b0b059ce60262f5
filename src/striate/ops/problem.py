"""What is to be convolved, in numbers: the question that every algorithm is asked.

What no algorithm computes is refused here, for all of them and in the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from striate.errors import UsageError
from striate.records import Record

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


class Problem(Record, frozen=True, kw_only=True):
    """One convolution of images, without its numbers.

    Args:
        batch: images.
        channels: of an image.
        features: filters.
        size: height and width of an image, pixels.
        kernel: height and width of a filter.
        stride: down and across.
        padding: (above, below), (left, right), pixels of zeros.
        dilation: distance of a filter's taps.
        groups: parts of the channels that are convolved apart.
        dtype: as torch names it, without `torch.`.
        device: `cpu` or `cuda`.
    """

    batch: int
    channels: int
    features: int
    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    dtype: str = "float32"
    device: str = "cpu"

    @property
    def padded(self) -> Pair:
        """Height and width with the padding."""
        (above, below), (left, right) = self.padding
        return self.size[0] + above + below, self.size[1] + left + right

    @property
    def reach(self) -> Pair:
        """Height and width that a dilated filter covers."""
        (down, across), (high, wide) = self.dilation, self.kernel
        return down * (high - 1) + 1, across * (wide - 1) + 1

    @property
    def out_size(self) -> Pair:
        """Height and width of the result.

        Raises:
            UsageError: the filter does not fit into the padded image.
        """
        (high, wide), (reach_y, reach_x) = self.padded, self.reach
        if high < reach_y or wide < reach_x:
            raise UsageError(
                f"Expected images that a filter fits into, received size={self.size}, "
                f"padding={self.padding}, kernel={self.kernel}, dilation={self.dilation}: pad more."
            )
        return (high - reach_y) // self.stride[0] + 1, (wide - reach_x) // self.stride[1] + 1

    @property
    def output(self) -> tuple[int, int, int, int]:
        """Shape of the result: (batch, features, out_height, out_width)."""
        return (self.batch, self.features, *self.out_size)

    @property
    def macs(self) -> int:
        """Multiply-adds by the definition."""
        high, wide = self.out_size
        taps = self.kernel[0] * self.kernel[1] * self.channels // self.groups
        return self.batch * self.features * high * wide * taps


def problem(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Problem:
    """Return the problem of tensors; padding is above, below, left, right.

    Raises:
        UsageError: the tensors do not fit each other, or the numbers no convolution.
    """
    alike("x", x, weight=weight, bias=bias)
    sizes = tuple(x.shape), tuple(weight.shape)
    one = shaped(*sizes, x, stride, padding, dilation, groups=groups)
    if bias is not None and tuple(bias.shape) != (one.features,):
        raise UsageError(
            f"Expected a bias of one number for each of the weight's {one.features} features, "
            f"received bias={tuple(bias.shape)}: take its own layer's, or none."
        )
    return one


def alike(name: str, like: Tensor, **others: Tensor | None) -> None:
    """Refuse tensors that lie elsewhere or are of other numbers than the first.

    Raises:
        UsageError: says which, and what makes them alike.
    """
    for each, other in others.items():
        if other is not None and (other.dtype != like.dtype or other.device != like.device):
            raise UsageError(
                f"Expected {name} and {each} of one dtype on one device, received {name}="
                f"{like.dtype} on {like.device}, {each}={other.dtype} on {other.device}: "
                f"{each}.to({name}) makes them alike."
            )


def shaped(
    image: tuple[int, ...],
    filters: tuple[int, ...],
    like: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    *,
    groups: int,
) -> Problem:
    """Return the problem of two shapes, with dtype and device of a tensor.

    Raises:
        UsageError: the shapes do not fit each other, or the numbers no convolution.
    """
    device, dtype = like.device.type, str(like.dtype).removeprefix("torch.")
    known = all(type(each) is int for each in (*image, *filters))  # a compiler's may be symbols
    ask = _shaped if known else _shaped.__wrapped__
    return ask(
        image, filters, tuple(stride), tuple(padding), tuple(dilation), groups, dtype, device
    )


@lru_cache(maxsize=4096)  # a training asks the same of its layers in every step
def _shaped(
    image: tuple[int, ...],
    filters: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    dtype: str,
    device: str,
) -> Problem:
    if len(image) != 4 or len(filters) != 4:
        raise UsageError(
            "Expected x of (batch, channels, height, width) and weight of (features, "
            f"channels / groups, height, width), received x={image}, weight={filters}: "
            "x[None] makes one image a batch."
        )
    _check(
        size=image[2:],
        features=filters[:1],
        kernel=filters[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=(groups,),
    )
    if image[1] % groups or filters[0] % groups:
        raise UsageError(
            f"Expected groups that divide the {image[1]} channels of x and the {filters[0]} "
            f"features of the weight, received groups={groups}: groups=1 always does."
        )
    if image[1] != filters[1] * groups:
        raise UsageError(
            f"Expected a weight of (features, {image[1] // groups}, height, width) for "
            f"x={image} and groups={groups}, received weight={filters}: filters see as many "
            "channels as a group has."
        )
    above, below, left, right = padding
    one = Problem(
        batch=image[0],
        channels=image[1],
        features=filters[0],
        size=(image[2], image[3]),
        kernel=(filters[2], filters[3]),
        stride=(stride[0], stride[1]),
        padding=((above, below), (left, right)),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
        dtype=dtype,
        device=device,
    )
    one.out_size  # noqa: B018 - refuses filters that do not fit
    return one


_TWO, _FOUR = ("down", "across"), ("above", "below", "left", "right")
_LEAST: dict[str, tuple[tuple[str, ...], int, str]] = {
    "size": (_TWO, 1, "leave images without pixels out"),
    "features": (("in all",), 1, "a convolution has one filter at least"),
    "kernel": (_TWO, 1, "a filter has one tap at least"),
    "stride": (_TWO, 1, "1 visits every pixel"),
    "padding": (_FOUR, 0, "slices of x take pixels away"),
    "dilation": (_TWO, 1, "1 leaves no gaps"),
    "groups": (("in all",), 1, "1 is the ordinary convolution"),
}
"""What the numbers are, the least that they may be, and what to do about others."""


def _check(**received: Sequence[int]) -> None:
    """Refuse numbers that are too many, too few or too small."""
    for name, numbers in received.items():
        sides, least, fix = _LEAST[name]
        if len(numbers) != len(sides) or any(each < least for each in numbers):
            raise UsageError(
                f"Expected {name} ({', '.join(sides)}) of at least {least}, "
                f"received {name}={', '.join(map(str, numbers))}: {fix}."
            )
