"""Units, and what they answer: the activations of any layer for any image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from striate.contract import Contract
from striate.design.names import no_such_part
from striate.errors import DesignError
from striate.explain.attribution import Floats, to_array
from striate.explain.walk import looking, walk
from striate.inference import PixelNet
from striate.layers import Net
from striate.records import Record


class Unit(Record, frozen=True, kw_only=True):
    """A channel of a layer, or the unit that stands at one place of it.

    Args:
        layer: the value it belongs to.
        channel: which map, or which element of a vector.
        place: (row, column); None means the whole map.
    """

    layer: str
    channel: int
    place: tuple[int, ...] | None = None

    def __str__(self) -> str:
        at = "" if not self.place else f" at {','.join(map(str, self.place))}"
        return f"{self.layer}:{self.channel}{at}"

    def check(self, net: Net) -> None:
        """Refuse a unit that the net does not have.

        Raises:
            UsageError: no such layer; carries the nearest names.
            DesignError: says which channels and places there are.
        """
        shapes = net.network.shapes()
        if self.layer not in shapes:
            raise no_such_part(net.network.name, self.layer, shapes)
        channels, *space = shapes[self.layer]
        if not 0 <= self.channel < channels:
            raise DesignError(
                f"{self.layer}: expected a channel of 0 to {channels - 1}, received {self.channel}."
            )

    def read(self, values: Tensor) -> Tensor:
        """Return the unit's answers, (batch,): at its place, or the mean over its map.

        Args:
            values: of its layer, (batch, channels, *space).
        """
        own = values[:, self.channel]
        if self.place is None:
            return own.flatten(1).mean(1) if own.dim() > 1 else own
        for at in self.place:
            own = own[:, at]
        return own


@dataclass(frozen=True)
class Activations:
    """What a layer answers to an image.

    Args:
        layer: its name.
        values: (channels, height, width), or (features,).
        idle: share of the channels that are zero everywhere.
    """

    layer: str
    values: Floats
    idle: float

    @property
    def pictures(self) -> list[Floats]:
        """Each channel as a picture of 0 to 1, all on one scale; features as one row."""
        maps = self.values if self.values.ndim == 3 else self.values[None, None]
        low, high = min(float(maps.min()), 0.0), float(maps.max())
        return [np.asarray((each - low) / max(high - low, 1e-12), np.float32) for each in maps]


def activations(net: Net, contract: Contract, image: Tensor, layer: str) -> Activations:
    """Return what a layer answers to an image.

    Args:
        net: the net.
        contract: what its inputs are.
        image: (channels, height, width), pixels of 0 to 1.
        layer: any value of the network.

    Raises:
        UsageError: no such layer; carries the nearest names.
    """
    with looking(net), torch.no_grad():
        inputs = PixelNet(net, contract).normalise(image[None])
        values = to_array(walk(net, inputs, (layer,))[layer][0])
    flat = values.reshape(len(values), -1)
    return Activations(layer, values, float((flat == 0).all(1).mean()))
