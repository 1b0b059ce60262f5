"""Kinds that only the first convolutional networks have: LeNet-5's and the Neocognitron's."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from striate.design.arithmetic import Padding, output_size, volume
from striate.design.init import Codes, Constant, Fading, FanInUniform, Init
from striate.design.layer import Answer, Layer, Parameter, Shape, Window, spatial
from striate.design.linear import misfit
from striate.design.pooling import Pool


class Subsample(Pool, frozen=True, kw_only=True):
    """The sum under each window, times a trained coefficient of its channel, plus a trained bias.

    y[c, p] = weight[c] * sum over t of x[c, p * stride + t - padding] + bias[c]

    Args:
        weight_init, bias_init: how coefficient and bias start.

    Source: LeCun et al., Proc. IEEE 1998, section II.B, layers S2 and S4.
    """

    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ceil:
            raise self.refuse("expected sums of whole windows, received ceil=True")

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return coefficient and bias, (channels,) each."""
        if self.shares:
            return ()
        shape, fans = (inputs[0][0],), (prod(self.kernel), 1)
        return (
            self.own("weight", shape, "weight", self.weight_init, fans),
            self.own("bias", shape, "bias", self.bias_init, fans),
        )

    def connection_count(self, *inputs: Shape) -> int:
        """Return pixels of the window and the bias, for each unit."""
        return volume(self.output(*inputs)) * (prod(self.kernel) + 1)


class Rbf(Layer, frozen=True, kw_only=True):
    """Squared distances to one code a class: Euclidean radial basis functions.

    y[k] = sum over i of (x[i] - weight[k, i])^2

    The smallest is the answer: an output of this kind gives `distances`, not logits.

    Args:
        features: number of classes.
        fixed: whether the codes stay as they are, and are then no parameters.
        weight_init: the codes.

    Input shape: (in_features,)
    Output shape: (features,)

    Source: LeCun et al., Proc. IEEE 1998, section II.B, equation 7.
    """

    counted: ClassVar[bool] = True
    answer: ClassVar[Answer] = "distances"

    features: int
    fixed: bool = True
    weight_init: Init = Codes()

    def __post_init__(self) -> None:
        if self.features < 1:
            raise self.refuse(f"expected at least 1 feature, received features={self.features}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (features,)."""
        if len(inputs[0]) != 1:
            raise self.refuse(
                f"expected a vector (features,), received shape {inputs[0]}: "
                "put a Flatten before it"
            )
        init = self.weight_init
        if isinstance(init, Codes) and init.words and len(init.words[0]) != inputs[0][0]:
            raise self.refuse(
                f"expects {len(init.words[0])} features, the length of its codes, received "
                f"{inputs[0][0]}",
                expects=len(init.words[0]),
            )
        return (self.features,)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the codes, (features, in_features), where they are trained."""
        return () if self.fixed or self.shares else (self._codes(inputs[0]),)

    def constants(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the codes, (features, in_features), where they are not."""
        return (self._codes(inputs[0]),) if self.fixed else ()

    def macs(self, *inputs: Shape) -> int:
        """Return in_features x features: a difference squared and added is a multiply-add."""
        return inputs[0][0] * self.features

    @property
    def whole(self) -> bool:
        """Every output sees every input."""
        return True

    def _codes(self, shape: Shape) -> Parameter:
        fans = (shape[0], self.features)
        return self.own("weight", (self.features, shape[0]), "weight", self.weight_init, fans)


class Cells(Layer, frozen=True, kw_only=True):
    """Planes of the Neocognitron's cells: each sees a window of the layer before.

    Args:
        kernel, stride, padding (before, after): of the window, on each axis.
        fading: the fixed synapses of the window, weaker away from its centre.

    Input shape: (channels, *space), of no negative values.
    Output shape: (planes, *out_space)
    """

    counted: ClassVar[bool] = True

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Padding, ...]
    fading: Fading = Fading()

    def __post_init__(self) -> None:
        if not len(self.kernel) == len(self.stride) == len(self.padding) == 2:
            raise self.refuse(
                f"expected kernel, stride and padding of two axes, received "
                f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"
            )
        if min(*self.kernel, *self.stride) < 1 or min(map(min, self.padding)) < 0:
            raise self.refuse(
                f"expected kernel and stride of at least 1 and no negative padding, received "
                f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"
            )

    def planes(self, channels: int) -> int:
        """Return the number of planes over so many input channels."""
        return channels

    def output(self, *inputs: Shape) -> Shape:
        """Return (planes, *out_space)."""
        space = spatial(self, inputs[0], len(self.kernel))
        ones = (1,) * len(space)
        sizes = tuple(map(output_size, space, self.kernel, self.stride, self.padding, ones))
        if min(sizes) < 1:
            raise misfit(self, space, self.kernel, self.stride, self.padding, ones)
        return (self.planes(inputs[0][0]), *sizes)

    def constants(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the fixed synapses, (1, 1, *kernel), which sum to 1."""
        return (self.own("fixed", (1, 1, *self.kernel), "weight", self.fading),)

    def window(self, *inputs: Shape) -> Window:
        """Return the window."""
        return Window(self.kernel, self.stride, tuple(before for before, _ in self.padding))


class SCells(Cells, frozen=True, kw_only=True, tag="s_cells"):
    """The Neocognitron's S-cells, which learn features: excitation against shunting inhibition.

    y[k] = r relu((1 + sum |a[k]| x) / (1 + r / (1 + r) |b[k]| v) - 1)
    v = sqrt(sum over the window of c sum over channels of x^2)

    Excitatory (a) and inhibitory (b) synapses cannot be negative; here they are absolute values of
    trained numbers, so that a gradient can train them.

    Args:
        features: planes.
        selectivity: r; a cell answers where a pattern is like its own by more than r / (1 + r).
        weight_init: of a.
        inhibition_init: of b.

    Source: Fukushima, "Neocognitron", Biological Cybernetics 36, 1980, equations 1 and 3.
    """

    features: int
    selectivity: float = 1.5
    weight_init: Init = FanInUniform()
    inhibition_init: Init = Constant(value=1.0)

    def planes(self, channels: int) -> int:
        """Return the features."""
        return self.features

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (features, channels, *kernel) and inhibition (features,)."""
        if self.shares:
            return ()
        channels, taps = inputs[0][0], prod(self.kernel)
        fans = (channels * taps, self.features * taps)
        shape = (self.features, channels, *self.kernel)
        return (
            self.own("weight", shape, "weight", self.weight_init, fans),
            self.own("inhibition", (self.features,), "scale", self.inhibition_init),
        )

    def macs(self, *inputs: Shape) -> int:
        """Return those of the excitation and of the inhibition, which all planes share."""
        places = prod(self.output(*inputs)[1:])
        return places * prod(self.kernel) * (self.features * inputs[0][0] + 1)


class CCells(Cells, frozen=True, kw_only=True, tag="c_cells"):
    """The Neocognitron's C-cells, which allow a feature to move; nothing in them is trained.

    y[k] = psi((1 + e[k]) / (1 + mean over all k of e) - 1), e[k] = sum over the window of d x[k]
    psi(z) = relu(z) / (saturation + relu(z))

    Planes inhibit each other: only those above the mean answer.

    Args:
        saturation: alpha, the input that gives half of the largest answer.

    Source: Fukushima, "Neocognitron", Biological Cybernetics 36, 1980, equations 4 to 6.
    """

    saturation: float = 0.5

    def macs(self, *inputs: Shape) -> int:
        """Return those of the weighted sums, one for each plane."""
        return volume(self.output(*inputs)) * prod(self.kernel)
