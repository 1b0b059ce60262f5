"""A pen for writing networks: one method a layer, integers made tuples once, here.

Each method takes the layer's name and reads the last value unless `of` says otherwise; it returns
the name, so that branches can be joined later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from striate.design.arithmetic import Padding, PaddingRule, padding_by
from striate.design.elementwise import Multiply
from striate.design.init import Constant, FanInUniform, Init
from striate.design.layer import Layer
from striate.design.linear import Conv, Linear
from striate.design.network import Input, Network, Output
from striate.design.pointwise import LRN, BatchNorm, Dropout, ReLU, Sigmoid, SiLU
from striate.design.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool
from striate.design.wiring import Add, Concat, Flatten, Shortcut

Size = int | Sequence[int]
Pad = int | Sequence[int | Padding]


class Sketch:
    """A network being written.

    Args:
        name: of the network.
        shape: of its one input, without batch: (C, H, W) for images.
        weight_init: how weights start unless a layer says otherwise.
        bias_init: how biases start.
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        *,
        weight_init: Init | None = None,
        bias_init: Init | None = None,
    ) -> None:
        self.name = name
        self.input = Input(name="x", shape=tuple(shape))
        self.axes = max(len(self.input.shape) - 1, 1)
        self.last = self.input.name
        self.layers: list[Layer] = []
        self._weight_init = weight_init or FanInUniform()
        self._bias_init = bias_init or (FanInUniform() if weight_init is None else Constant())

    def put(self, layer: Layer) -> str:
        """Append any layer; returns its name.

        One that takes one value and names no `inputs` reads the last one.
        """
        if not layer.inputs and layer.arity == 1:
            layer = layer.replace(inputs=(self.last,))
        self.layers.append(layer)
        self.last = layer.name
        return layer.name

    def conv(
        self,
        name: str,
        features: int,
        kernel: Size,
        *,
        stride: Size = 1,
        padding: Pad | PaddingRule = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: Literal["none", "channel", "position"] = "channel",
        weight_init: Init | None = None,
        bias_init: Init | None = None,
        of: str | None = None,
    ) -> str:
        """Append a convolution; padding may be `valid`, `same` or `full`, as at stride 1."""
        if isinstance(padding, str):
            sizes = zip(self._sizes(kernel), self._sizes(dilation), strict=True)
            padding = tuple(padding_by(padding, *axis) for axis in sizes)
        return self.put(
            Conv(
                name=name,
                inputs=(of or self.last,),
                features=features,
                kernel=self._sizes(kernel),
                stride=self._sizes(stride),
                padding=self._paddings(padding),
                dilation=self._sizes(dilation),
                groups=groups,
                bias=bias,
                weight_init=weight_init or self._weight_init,
                bias_init=bias_init or self._bias_init,
            )
        )

    def linear(
        self,
        name: str,
        features: int,
        *,
        weight_init: Init | None = None,
        bias_init: Init | None = None,
        of: str | None = None,
    ) -> str:
        """Append a fully connected layer."""
        return self.put(
            Linear(
                name=name,
                inputs=(of or self.last,),
                features=features,
                weight_init=weight_init or self._weight_init,
                bias_init=bias_init or self._bias_init,
            )
        )

    def relu(self, name: str, *, of: str | None = None) -> str:
        """Append max(x, 0)."""
        return self.put(ReLU(name=name, inputs=(of or self.last,)))

    def silu(self, name: str, *, of: str | None = None) -> str:
        """Append x * sigmoid(x), also called swish."""
        return self.put(SiLU(name=name, inputs=(of or self.last,)))

    def sigmoid(self, name: str, *, of: str | None = None) -> str:
        """Append 1 / (1 + exp(-x)): the gate of squeeze-and-excitation."""
        return self.put(Sigmoid(name=name, inputs=(of or self.last,)))

    def batch_norm(
        self, name: str, *, scale: float = 1.0, eps: float = 1e-5, of: str | None = None
    ) -> str:
        """Append batch normalisation whose scale starts at `scale`."""
        init = Constant(value=scale)
        return self.put(BatchNorm(name=name, inputs=(of or self.last,), eps=eps, weight_init=init))

    def lrn(self, name: str, *, of: str | None = None) -> str:
        """Append AlexNet's response normalisation, with the constants of its Caffe definition."""
        return self.put(LRN(name=name, inputs=(of or self.last,)))

    def dropout(self, name: str, p: float = 0.5, *, of: str | None = None) -> str:
        """Append dropout."""
        return self.put(Dropout(name=name, inputs=(of or self.last,), p=p))

    def max_pool(
        self,
        name: str,
        kernel: Size,
        *,
        stride: Size | None = None,
        padding: Pad = 0,
        ceil: bool = False,
        of: str | None = None,
    ) -> str:
        """Append max pooling; the stride is the kernel unless given."""
        return self.put(
            MaxPool(
                name=name,
                inputs=(of or self.last,),
                kernel=self._sizes(kernel),
                stride=self._sizes(kernel if stride is None else stride),
                padding=self._paddings(padding),
                ceil=ceil,
            )
        )

    def avg_pool(
        self,
        name: str,
        kernel: Size,
        *,
        stride: Size | None = None,
        padding: Pad = 0,
        ceil: bool = False,
        of: str | None = None,
    ) -> str:
        """Append average pooling; the stride is the kernel unless given."""
        return self.put(
            AvgPool(
                name=name,
                inputs=(of or self.last,),
                kernel=self._sizes(kernel),
                stride=self._sizes(kernel if stride is None else stride),
                padding=self._paddings(padding),
                ceil=ceil,
            )
        )

    def adaptive_avg_pool(self, name: str, size: Size = 1, *, of: str | None = None) -> str:
        """Append pooling to a fixed size; 1 is global average pooling."""
        return self.put(
            AdaptiveAvgPool(name=name, inputs=(of or self.last,), size=self._sizes(size))
        )

    def adaptive_max_pool(self, name: str, size: Size = 1, *, of: str | None = None) -> str:
        """Append the largest value of each of `size` windows; 1 is global max pooling."""
        return self.put(
            AdaptiveMaxPool(name=name, inputs=(of or self.last,), size=self._sizes(size))
        )

    def flatten(self, name: str = "flatten", *, of: str | None = None) -> str:
        """Append flattening to a vector."""
        return self.put(Flatten(name=name, inputs=(of or self.last,)))

    def add(self, name: str, *values: str) -> str:
        """Append the sum of values."""
        return self.put(Add(name=name, inputs=values))

    def multiply(self, name: str, *values: str) -> str:
        """Append the product of values; one of 1x1 pixels is a gate for each channel."""
        return self.put(Multiply(name=name, inputs=values))

    def concat(self, name: str, *values: str) -> str:
        """Append the channels of values, one after another."""
        return self.put(Concat(name=name, inputs=values))

    def shortcut(self, name: str, features: int, stride: Size, *, of: str | None = None) -> str:
        """Append ResNet's parameter-free shortcut, option A of its paper.

        Every `stride`-th pixel is taken, and channels of zeros are added behind up to `features`.

        Args:
            name: of the layer.
            features: channels of the result, at least those of the value.
            stride: between the pixels taken, along each axis.
            of: the value, the last one unless given: usually what the block read, to be added to
                what the block made.
        """
        return self.put(
            Shortcut(
                name=name,
                inputs=(of or self.last,),
                features=features,
                stride=self._sizes(stride),
            )
        )

    def finish(self, *auxiliary: Output) -> Network:
        """Return the network, whose main output is the last value.

        Args:
            auxiliary: further outputs, for training.

        Raises:
            DesignError: a layer does not fit; for an image too small, says the smallest that fits.
        """
        return Network(
            name=self.name,
            inputs=(self.input,),
            layers=tuple(self.layers),
            outputs=(Output(name="logits", source=self.last), *auxiliary),
        )

    def _sizes(self, value: Size) -> tuple[int, ...]:
        return (value,) * self.axes if isinstance(value, int) else tuple(value)

    def _paddings(self, value: Pad) -> tuple[Padding, ...]:
        each = (value,) * self.axes if isinstance(value, int) else tuple(value)
        return tuple((p, p) if isinstance(p, int) else p for p in each)
