"""A network as a function of pixels: the contract's normalisation is inside.

Whatever changes an image (an attack, an occluder, a picture that is optimised) does it here, in
pixels of 0 to 1 that an image file can hold. So no step size is ever in the wrong units, and no
result leaves the range of an image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate import data
from striate.contract import Contract

Picture = npt.NDArray[np.uint8]


class PixelNet(nn.Module):
    """A classifier of pixels.

    logits = meaning(net(255 pixel * slope + offset)), slope and offset the contract's

    The arithmetic is that of the loader to the bit: an image of 8-bit levels, divided by 255, gives
    the same network input as the loader does.

    Args:
        net: classifies (batch, channels, height, width) into (batch, classes).
        contract: what its inputs and outputs are.

    Input shape: (batch, channels, height, width), 0 to 1, in the contract's channels
    Output shape: (batch, classes), larger for likelier classes: logits, negative distances, or
        logarithms of probabilities
    """

    slope: Tensor
    offset: Tensor

    def __init__(self, net: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.net, self.meaning = net, contract.output
        like = next(net.parameters(), torch.empty(0))
        slope, offset = (torch.tensor(each)[:, None, None] for each in contract.forward)
        self.register_buffer("slope", slope.to(like), persistent=False)
        self.register_buffer("offset", offset.to(like), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Classify pixels: (batch, channels, height, width) -> (batch, classes)."""
        return self.logits(self.net(self.normalise(pixels)))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return the network's input, of the pixels' shape."""
        return (pixels * 255.0) * self.slope + self.offset

    def logits(self, outputs: Tensor) -> Tensor:
        """Return numbers whose softmax is the probability: (batch, classes)."""
        if self.meaning == "distances":
            return -outputs
        return outputs.clamp_min(1e-30).log() if self.meaning == "probabilities" else outputs

    @property
    def nothing(self) -> Tensor:
        """The colour that the network takes for nothing, its mean: (channels, 1, 1), 0 to 1."""
        return (-self.offset / (255.0 * self.slope)).clamp(0, 1)

    @property
    def scale(self) -> Tensor:
        """How far the network's input moves when a pixel goes from 0 to 1: (channels, 1, 1)."""
        return 255.0 * self.slope


def of_levels(contract: Contract) -> Contract:
    """Return the contract whose prepared images are the 8-bit levels themselves, 0 to 255.

    Divided by 255 they are what a `PixelNet` takes.
    """
    zeros, ones = (0.0,) * contract.channel_count, (1.0,) * contract.channel_count
    return contract.replace(scale=1.0, mean=zeros, std=ones)


def read_pixels(path: Path | str, contract: Contract) -> Tensor:
    """Return an image file as a `PixelNet` takes it: (channels, height, width), 0 to 1.

    Raises:
        DataError: it cannot be read as an image.
        ContractError: it does not come to the network's size.
    """
    levels = data.prepare(data.decode(path, contract), of_levels(contract))
    return torch.from_numpy(levels) / 255.0


def to_picture(pixels: Tensor, contract: Contract) -> Picture:
    """Return pixels as an image that can be shown: (height, width, 1 or 3) uint8, grey or RGB.

    Args:
        pixels: (channels, height, width), 0 to 1, in the contract's channels.
        contract: which says what these are.
    """
    levels = (pixels.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    shown = levels.permute(1, 2, 0).numpy()
    return np.ascontiguousarray(shown[..., ::-1] if contract.channels == "bgr" else shown)
