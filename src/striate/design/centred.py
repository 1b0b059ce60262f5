"""Networks that begin with what images have in common being taken off: the mean image, whitening.

A mean image is a tensor, a whitening a matrix, and both belong to what a network was trained with.
So they are its first layers, of fixed values: they are saved, moved, exported and served with its
weights, and there is no place where they could be forgotten.
"""

from __future__ import annotations

from typing import Literal

from striate.design.arithmetic import volume
from striate.design.elementwise import Combine
from striate.design.init import Constant
from striate.design.layer import Layer
from striate.design.linear import Linear
from striate.design.moving import Reshape
from striate.design.network import Network
from striate.design.wiring import Flatten
from striate.errors import DesignError

Centring = Literal["none", "mean_image", "zca"]

MEAN_IMAGE = "mean_image.weight"  # (channels, height, width)
WHITENING = "whitening.matrix.weight"  # (values, values) of an image's channels*height*width

_MEAN, _FLAT, _MATRIX, _IMAGE = (
    "mean_image",
    "whitening.values",
    "whitening.matrix",
    "whitening.image",
)
_MOST = 4096  # values of an image that is whitened: a matrix of 67 MB


def centred(network: Network, centring: Centring) -> Network:
    """Return a network that begins with a centring, and with no other.

    Args:
        network: of one input.
        centring: `none`; `mean_image` takes a tensor off the input; `zca` multiplies the rest,
            (channels, height, width) as one vector, with a matrix.

    Raises:
        DesignError: a matrix that would be too large; says up to which size it goes.

    Example:
        >>> from striate import zoo
        >>> [layer.name for layer in centred(zoo.network("lenet"), "mean_image").layers[:2]]
        ['mean_image', 'conv1']
    """
    entry = network.inputs[0]
    network = _without(network, entry.name)
    if centring == "none":
        return network
    values = volume(entry.shape)
    first: tuple[Layer, ...] = (
        Combine(
            name=_MEAN,
            inputs=(entry.name,),
            operation="subtract",
            shape=entry.shape,
            constant=True,
            weight_init=Constant(value=0.0),
        ),
    )
    if centring == "zca":
        if values > _MOST:
            side = int((_MOST / entry.shape[0]) ** 0.5)
            raise DesignError(
                f"whitening: expected an image of up to {_MOST:,} values, whose matrix has "
                f"{_MOST**2 / 1e6:.0f} million, received {values:,}",
                _MATRIX,
                fixes=(f"say --size {side} or less, or --set preprocessing.whitening=mean_image",),
            )
        first += (
            Flatten(name=_FLAT, inputs=(_MEAN,)),
            Linear(
                name=_MATRIX,
                inputs=(_FLAT,),
                features=values,
                bias=False,
                trainable=False,
                weight_init=Constant(value=0.0),
            ),
            Reshape(name=_IMAGE, inputs=(_MATRIX,), shape=entry.shape),
        )
    return network.replace(layers=(*first, *_reading(network, entry.name, first[-1].name)))


def tensors(network: Network) -> tuple[str | None, str | None]:
    """Return the names of a network's own mean image and whitening matrix, where it has them."""
    names = {layer.name for layer in network.layers}
    return (
        MEAN_IMAGE if _MEAN in names else None,
        WHITENING if _MATRIX in names else None,
    )


def _without(network: Network, entry: str) -> Network:
    """Return a network that begins after its centring, where it has one."""
    ours = [each.name for each in network.layers if each.name in (_MEAN, _FLAT, _MATRIX, _IMAGE)]
    if not ours:
        return network
    layers = _reading(network, ours[-1], entry)
    return network.replace(layers=tuple(each for each in layers if each.name not in ours))


def _reading(network: Network, before: str, after: str) -> tuple[Layer, ...]:
    """Return a network's layers, reading one value in the place of another."""
    return tuple(
        each.replace(inputs=tuple(after if name == before else name for name in each.inputs))
        for each in network.layers
    )
