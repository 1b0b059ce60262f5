"""Several views of each image, answered together, as the papers test.

Ten crops are the four corners and the centre of the image that the contract resizes, and their
mirror images (AlexNet). A scale is the whole image with its short side so long, and its mirror
image, through the network as it slides over larger images: fully connected layers are convolutions
there, and the answer is the mean over the map (OverFeat, VGG, ResNet). The views' probabilities are
averaged, and so are the scales'.

Sources: Krizhevsky et al., NIPS 2012, section 4.1; Simonyan and Zisserman, ICLR 2015, section 3.2;
He et al., CVPR 2016, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isqrt
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.contract import Contract, Resize
from striate.data import Samples
from striate.data.decode import MOST_PIXELS
from striate.data.prepare import normalisation, resample, resized_size
from striate.design import Linear, Network
from striate.design.pooling import AdaptivePool
from striate.errors import ContractError, DesignError, UsageError
from striate.layers import Net, adopt, build
from striate.ops import usable_cores

Crops = Literal["centre", "ten"]
Picture = npt.NDArray[Any]

_PIXELS = 1 << 20  # of all images computed at a time: 20 views of 224 x 224
_WAITING = 16  # times as many may wait for others of their shape


class Views(NamedTuple):
    """Images to be computed together, and which samples they are views of.

    Args:
        images: (samples, views, channels, height, width).
        labels: (samples,).
        indices: places in the samples: (samples,).
    """

    images: Tensor
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]


class Averaged(nn.Module):
    """Answers to several views of each image with the mean of their probabilities.

    Args:
        net: classifies (batch, channels, height, width) into (batch, classes), or into a map
            (batch, classes, rows, columns), which is averaged first.
        meaning: what its outputs are.

    Input shape: (batch, views, channels, height, width)
    Output shape: (batch, classes), rows summing to 1
    """

    def __init__(self, net: nn.Module, meaning: str) -> None:
        super().__init__()
        self.net, self.meaning = net, meaning

    def forward(self, views: Tensor) -> Tensor:
        """Answer: (batch, views, channels, height, width) -> (batch, classes)."""
        outputs = self.net(views.flatten(0, 1)).float()
        if outputs.dim() > 2:
            outputs = outputs.flatten(2).mean(2)
        if self.meaning == "probabilities":
            likely = outputs / outputs.sum(1, keepdim=True)
        else:
            likely = (-outputs if self.meaning == "distances" else outputs).softmax(1)
        mean: Tensor = likely.unflatten(0, views.shape[:2]).mean(1)
        return mean


def sliding(net: Net) -> Net:
    """Return a net over images of any size that gives an answer, or a map of answers.

    A network that pools over the whole image is taken as it is. Of any other, fully connected
    layers become convolutions; the weights are shared.

    Raises:
        DesignError: it cannot slide; says which layer does not.
    """
    network = net.network
    if _takes_any_size(network):
        return net
    try:
        slides, _ = network.convolutional()
        channels, *space = network.input_shape
        slides.with_input((channels, *(2 * side for side in space)))
    except DesignError as error:
        raise DesignError(
            f"{network.name} cannot be applied to larger images, so --scales has no meaning for "
            f"it: {error.problem}",
            error.layer,
        ) from error
    made = build(slides, seed=None)
    shapes = {name: value.shape for name, value in made.state_dict().items()}
    tensors = {
        name: value.reshape(shapes[name]) if name in shapes else value
        for name, value in net.state_dict().items()
    }
    adopt(made, tensors)
    return made.eval()


def _takes_any_size(network: Network) -> bool:
    """Tell whether a network pools over whatever is there, before it connects fully."""
    channels, *space = network.input_shape
    pools = [each for each in network.layers if isinstance(each, AdaptivePool)]
    if any(side > 1 for pool in pools for side in pool.size):
        return False
    try:
        larger = network.with_input((channels, *(2 * side for side in space)))
    except DesignError:
        return False
    shapes = larger.shapes()
    connected = any(isinstance(each, Linear) for each in network.layers) or bool(pools)
    vector = len(shapes[larger.outputs[0].source]) == 1
    return connected and vector and larger.parameters() == network.parameters()


def ten_crops(image: Picture, size: tuple[int, int]) -> Picture:
    """Return corners and centre of an image, then their mirror images.

    Args:
        image: (channels, height, width).
        size: (height, width) of a crop.

    Returns:
        (10, channels, *size): top left, top right, bottom left, bottom right, centre.
    """
    down, right = image.shape[1] - size[0], image.shape[2] - size[1]
    places = [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
    crops = np.stack([image[:, y : y + size[0], x : x + size[1]] for y, x in places])
    return np.concatenate([crops, crops[..., ::-1]])


def crop_views(samples: Samples, contract: Contract, places: Sequence[int]) -> Iterator[Views]:
    """Yield ten crops of each of some samples.

    Raises:
        ContractError: an image is smaller than a crop.
    """
    rule = _with_margin(contract)

    def views(pixels: Picture) -> Picture:
        image = _resized(pixels, rule, contract)
        if image.shape[1] < contract.size[0] or image.shape[2] < contract.size[1]:
            raise ContractError(
                f"Ten crops of {contract.size[0]}x{contract.size[1]} do not fit into an image of "
                f"{image.shape[1]}x{image.shape[2]} pixels."
            )
        return ten_crops(image, contract.size)

    return _batches(samples, contract, places, views)


def whole_views(
    samples: Samples, contract: Contract, places: Sequence[int], scale: int
) -> Iterator[Views]:
    """Yield each of some samples whole, with its short side so long, and its mirror image."""
    rule = _scaled(contract, scale)

    def views(pixels: Picture) -> Picture:
        image = _resized(pixels, rule, contract)
        return np.stack([image, image[..., ::-1]])

    return _batches(samples, contract, places, views)


def check_scales(network: Network, scales: Sequence[int]) -> None:
    """Refuse scales that are too small for a network, or larger than any image may be.

    Raises:
        UsageError: one is; names the smallest that is not, or the largest.
    """
    channels = network.input_shape[0]
    for scale in scales:
        if scale**2 > MOST_PIXELS:
            raise UsageError(
                f"Expected scales of at most {isqrt(MOST_PIXELS):,}, received {scale}: a square of "
                f"that side has {MOST_PIXELS:,} pixels, the most that an image may have."
            )
        try:
            network.with_input((channels, scale, scale))
        except DesignError as error:
            least = network.minimum_input()[1]
            raise UsageError(
                f"Expected scales of at least {least} for {network.name}, received {scale}."
            ) from error


def _with_margin(contract: Contract) -> Resize:
    """Return a resize that leaves more than a crop: by 8/7, as of 224 in 256, where it does not."""
    resize = contract.resize
    margin = resize.rule == "none" or resize.size != contract.size
    if contract.crop == "centre" and margin and not resize.pads:
        return resize
    return _scaled(contract, -(-min(contract.size) * 8 // 7))


def _scaled(contract: Contract, scale: int) -> Resize:
    """Return a contract's resize with another short side; proportions as the contract treats them.

    An image that the contract would frame is scaled without the frame.
    """
    resize = contract.resize
    if resize.rule != "exact":
        return resize.replace(rule="short_side", size=(scale, scale))
    short = min(resize.size)
    height, width = (round(side * scale / short) for side in resize.size)
    return resize.replace(size=(height, width))


def _resized(pixels: Picture, rule: Resize, contract: Contract) -> Picture:
    """Return an image resized and normalised: (channels, height, width) float32."""
    target = resized_size((pixels.shape[0], pixels.shape[1]), rule)
    if target != pixels.shape[:2]:
        pixels = resample(pixels, target, rule)
    slope, offset = normalisation(contract)
    return (pixels.astype(np.float32) * slope + offset).transpose(2, 0, 1)


def _batches(
    samples: Samples,
    contract: Contract,
    places: Sequence[int],
    views: Callable[[Picture], Picture],
) -> Iterator[Views]:
    """Yield samples whose views have one shape together, as many as there is room for."""

    def make(place: int) -> Picture:
        return views(samples.pixels(place, contract))

    waiting: dict[tuple[int, ...], list[tuple[int, Picture]]] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        few = 4 * usable_cores()  # a map of all would make them all before they are used
        for first in range(0, len(places), few):
            some = places[first : first + few]
            for place, made in zip(some, pool.map(make, some), strict=True):
                group = waiting.setdefault(made.shape, [])
                group.append((place, made))
                if (len(group) + 1) * _pixels(made) > _PIXELS:
                    yield _together(waiting.pop(made.shape), samples)
            held = {shape: len(group) * _pixels(group[0][1]) for shape, group in waiting.items()}
            if sum(held.values()) > _WAITING * _PIXELS:
                yield _together(waiting.pop(max(held, key=held.__getitem__)), samples)
    for group in waiting.values():
        yield _together(group, samples)


def _pixels(views: Picture) -> int:
    return int(views.shape[0] * views.shape[-2] * views.shape[-1])


def _together(group: list[tuple[int, Picture]], samples: Samples) -> Views:
    indices = np.array([place for place, _ in group], np.int64)
    images = np.ascontiguousarray(np.stack([made for _, made in group]))
    return Views(torch.from_numpy(images), samples.labels[indices], indices)
