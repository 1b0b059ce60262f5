"""Each of Keras's layer types as records: parameters and defaults are Keras's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from striate.design import (
    GELU,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    Add,
    AvgPool,
    BatchNorm,
    ChannelDropout,
    Concat,
    Conv,
    Dropout,
    Elementwise,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool,
    Multiply,
    Pad,
    ReLU,
    ReLU6,
    Reshape,
    Shape,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from striate.errors import WeightsError

Padding = tuple[int, int]


class Said(NamedTuple):
    """A layer as the file has it.

    Args:
        name: as a module path.
        config: its fields.
        inputs: the values it reads.
        shapes: of all values so far, channels first.
        path: of the file.
        first: whether the file has channels first, too.
    """

    name: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    path: str
    first: bool = False

    @property
    def shape(self) -> Shape:
        """The shape of the first input."""
        return self.shapes[self.inputs[0]]

    def refuse(self, why: str) -> WeightsError:
        """Return the error that names this layer."""
        return WeightsError(f"{self.path}: {self.name}: {why}.")

    def along_channels(self, axis: Any) -> None:
        """Refuse an axis that is not the channels'.

        Raises:
            WeightsError: names it.
        """
        axis = axis[0] if isinstance(axis, list) else axis
        ends = -len(self.shape) if self.first else -1, 1 if self.first else len(self.shape)
        if axis not in ends:
            where = "first" if self.first else "last"
            raise self.refuse(
                f"expected it along the channels, the {where} axis, received axis={axis}"
            )

    def sizes(self, key: str, default: Any = 1) -> tuple[int, ...]:
        """Return a size for each axis of the image, `default` where there is none."""
        given = self.config.get(key)
        given = default if given is None else given
        axes = max(len(self.shape) - 1, 1)
        return (given,) * axes if isinstance(given, int) else tuple(map(int, given))

    def padding(self, kernel: Sequence[int], stride: Sequence[int]) -> tuple[Padding, ...]:
        """Return (before, after) of each axis for `same` or `valid`."""
        rule = self.config.get("padding", "valid")
        if rule not in ("same", "valid"):
            raise self.refuse(f"expected padding same or valid, received {rule!r}")
        if rule == "valid":
            return ((0, 0),) * len(kernel)
        return tuple(same(*axis) for axis in zip(self.shape[1:], kernel, stride, strict=True))


def same(size: int, extent: int, stride: int) -> Padding:
    """Return TensorFlow's padding that keeps ceil(size / stride) places; the odd one comes after.

    Example:
        >>> same(224, 3, 2), same(32, 3, 1)
        ((0, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def _conv(said: Said) -> list[Layer]:
    config = said.config
    depthwise = "depth_multiplier" in config and "filters" not in config
    kernel, stride = said.sizes("kernel_size"), said.sizes("strides")
    dilation = said.sizes("dilation_rate")
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    channels = said.shape[0]
    return [
        Conv(
            name=said.name,
            inputs=said.inputs,
            features=channels * config["depth_multiplier"] if depthwise else config["filters"],
            kernel=kernel,
            stride=stride,
            padding=said.padding(extent, stride),
            dilation=dilation,
            groups=channels if depthwise else config.get("groups", 1),
            bias="channel" if config.get("use_bias", True) else "none",
        )
    ]


def _dense(said: Said) -> list[Layer]:
    bias = bool(said.config.get("use_bias", True))
    if len(said.shape) != 1:
        raise said.refuse(f"expected a vector before it, received {said.shape}")
    return [Linear(name=said.name, inputs=said.inputs, features=said.config["units"], bias=bias)]


def _batch_norm(said: Said) -> list[Layer]:
    said.along_channels(said.config.get("axis", -1))
    return [
        BatchNorm(
            name=said.name,
            inputs=said.inputs,
            eps=said.config.get("epsilon", 1e-3),
            momentum=round(1 - said.config.get("momentum", 0.99), 12),
        )
    ]


def _pool(kind: type[MaxPool] | type[AvgPool]) -> Callable[[Said], list[Layer]]:
    def read(said: Said) -> list[Layer]:
        kernel = said.sizes("pool_size", 2)
        stride = said.sizes("strides", kernel)
        fields: dict[str, Any] = {"count_padding": False} if kind is AvgPool else {}
        padding = said.padding(kernel, stride)
        # Windows that are cut off at the end see the same pixels as ones padded there.
        cut = any(map(any, padding)) and all(before == 0 for before, _ in padding)
        return [
            kind(
                name=said.name,
                inputs=said.inputs,
                kernel=kernel,
                stride=stride,
                padding=((0, 0),) * len(kernel) if cut else padding,
                ceil=cut,
                **fields,
            )
        ]

    return read


def _global(kind: type[AdaptiveAvgPool] | type[AdaptiveMaxPool]) -> Callable[[Said], list[Layer]]:
    def read(said: Said) -> list[Layer]:
        pool = kind(name=said.name, inputs=said.inputs, size=(1,) * (len(said.shape) - 1))
        if said.config.get("keepdims", False):
            return [pool]
        return [pool, Flatten(name=f"{said.name}_flat", inputs=(said.name,))]

    return read


def _pad(said: Said) -> list[Layer]:
    given = said.config.get("padding", 1)
    if isinstance(given, int):
        given = [given] * (len(said.shape) - 1)
    padding = tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in given)
    return [Pad(name=said.name, inputs=said.inputs, padding=padding)]


def _activation(said: Said) -> list[Layer]:
    word = said.config.get("activation", "linear")
    word = word if isinstance(word, str) else word.get("config", {}).get("name", "")
    if word not in ACTIVATIONS:
        raise said.refuse(f"the activation {word!r} cannot be read")
    return [ACTIVATIONS[word](said.name, said.inputs)]


def _relu(said: Said) -> list[Layer]:
    most, slope = said.config.get("max_value"), said.config.get("negative_slope") or 0.0
    if said.config.get("threshold") or (most is not None and (most != 6 or slope)):
        raise said.refuse(f"expected a ReLU, ReLU6 or leaky one, received max_value={most}")
    if most is not None:
        return [ReLU6(name=said.name, inputs=said.inputs)]
    if slope:
        return [LeakyReLU(name=said.name, inputs=said.inputs, slope=slope)]
    return [ReLU(name=said.name, inputs=said.inputs)]


def _leaky(said: Said) -> list[Layer]:
    slope = said.config.get("negative_slope", said.config.get("alpha", 0.3))
    return [LeakyReLU(name=said.name, inputs=said.inputs, slope=float(slope))]


def _dropout(kind: type[Dropout] | type[ChannelDropout]) -> Callable[[Said], list[Layer]]:
    return lambda said: [kind(name=said.name, inputs=said.inputs, p=said.config.get("rate", 0.5))]


def _concat(said: Said) -> list[Layer]:
    said.along_channels(said.config.get("axis", -1))
    return [Concat(name=said.name, inputs=said.inputs)]


def _reshape(said: Said) -> list[Layer]:
    """Read a reshape that only adds or drops axes of size 1; others would mix the channels."""
    wanted = said.config["target_shape"]
    target = [size for size in wanted if size not in (1, None)]
    stored = said.shape if said.first else (*said.shape[1:], said.shape[0])
    have = [size for size in stored if size != 1]
    if target not in (have, [-1]) or (target == [-1] and len(have) > 1):
        raise said.refuse(f"expected the same axes, received {wanted}")
    *space, channels = (*wanted[1:], wanted[0]) if said.first else wanted
    if not space:
        return [Flatten(name=said.name, inputs=said.inputs)]
    shape = (max(have, default=1) if channels == -1 else channels, *space)
    return [Reshape(name=said.name, inputs=said.inputs, shape=shape)]


def _plain(kind: type[Layer]) -> Callable[[Said], list[Layer]]:
    return lambda said: [kind(name=said.name, inputs=said.inputs)]


def _rescaling(said: Said) -> list[Layer]:
    given = said.config.get("scale", 1.0), said.config.get("offset", 0.0)
    if any(isinstance(each, list) for each in given):
        raise said.refuse("expected one scale and offset for all channels")
    return [_function("scale", *map(float, given))(said.name, said.inputs)]


def _function(word: str, *arguments: float) -> Callable[[str, tuple[str, ...]], Layer]:
    return lambda name, inputs: Elementwise(
        name=name, inputs=inputs, function=word, arguments=arguments
    )


def _named(kind: type[Layer]) -> Callable[[str, tuple[str, ...]], Layer]:
    return lambda name, inputs: kind(name=name, inputs=inputs)


# Layers that do something in training only.
_TRAINING = (
    "GaussianNoise", "GaussianDropout", "RandomFlip", "RandomRotation", "RandomZoom",
    "RandomTranslation", "RandomContrast", "RandomBrightness", "ActivityRegularization",
)  # fmt: skip

ACTIVATIONS: dict[str, Callable[[str, tuple[str, ...]], Layer]] = {
    "relu": _named(ReLU),
    "relu6": _named(ReLU6),
    "sigmoid": _named(Sigmoid),
    "tanh": _named(Tanh),
    "gelu": _named(GELU),
    "swish": _named(SiLU),
    "silu": _named(SiLU),
    "elu": _function("elu", 1.0),
    "selu": _function("selu"),
    "mish": _function("mish"),
    "softplus": _function("softplus", 1.0, 20.0),
    "softsign": _function("softsign"),
    "softmax": _named(Softmax),
    "linear": _named(Identity),
}

READERS: dict[str, Callable[[Said], list[Layer]]] = {
    "Conv2D": _conv,
    "Convolution2D": _conv,
    "DepthwiseConv2D": _conv,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    "MaxPooling2D": _pool(MaxPool),
    "AveragePooling2D": _pool(AvgPool),
    "GlobalAveragePooling2D": _global(AdaptiveAvgPool),
    "GlobalMaxPooling2D": _global(AdaptiveMaxPool),
    "ZeroPadding2D": _pad,
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "Rescaling": _rescaling,
    "Softmax": _plain(Softmax),
    "Dropout": _dropout(Dropout),
    "SpatialDropout2D": _dropout(ChannelDropout),
    **dict.fromkeys(_TRAINING, _plain(Identity)),
    "Flatten": _plain(Flatten),
    "Reshape": _reshape,
    "Add": _plain(Add),
    "Multiply": _plain(Multiply),
    "Concatenate": _concat,
    "InputLayer": _plain(Identity),
}
