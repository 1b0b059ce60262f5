"""Layers that work element by element: activations, normalisation, dropout."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from striate.design.init import Constant, Init
from striate.design.layer import Layer, Parameter, Shape


class Activation(Layer, frozen=True, kw_only=True):
    """A function of each element. Input shape: any. Output shape: the same."""


class ReLU(Activation, frozen=True, kw_only=True, tag="relu"):
    """max(x, 0)."""


class ReLU6(Activation, frozen=True, kw_only=True, tag="relu6"):
    """min(max(x, 0), 6)."""


class LeakyReLU(Activation, frozen=True, kw_only=True, tag="leaky_relu"):
    """x where positive, slope * x elsewhere."""

    slope: float = 0.01


class Tanh(Activation, frozen=True, kw_only=True):
    """outer * tanh(inner * x); LeNet-5 takes outer 1.7159 and inner 2/3."""

    outer: float = 1.0
    inner: float = 1.0


class Sigmoid(Activation, frozen=True, kw_only=True):
    """1 / (1 + exp(-x))."""


class GELU(Activation, frozen=True, kw_only=True):
    """x times the normal distribution function of x."""


class SiLU(Activation, frozen=True, kw_only=True, tag="silu"):
    """x * sigmoid(x)."""


class Softmax(Activation, frozen=True, kw_only=True):
    """exp(x) over its sum, along the channels."""


class Dropout(Layer, frozen=True, kw_only=True):
    """Zero each element with probability p in training and scale the rest by 1 / (1 - p)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.p < 1.0:
            raise self.refuse(f"expected 0 <= p < 1, received p={self.p}")


class Noise(Layer, frozen=True, kw_only=True):
    """Noise on each element in training, multiplied or added: the other forms of dropout.

    - `plain`: zero with probability `amount` in training, scale by 1 - amount in evaluation.
    - `gaussian`: x (1 + s n) in training, n ~ N(0, 1), s^2 = amount / (1 - amount): mean and
      variance are those of dropout with p = amount.
    - `additive`: x + amount n in training.

    The last two do nothing in evaluation, nor does `Dropout`, which scales in training instead.

    Source: Srivastava et al., "Dropout", JMLR 15 (2014), sections 4 and 10.
    """

    form: Literal["plain", "gaussian", "additive"] = "gaussian"
    amount: float = 0.5

    def __post_init__(self) -> None:
        most = math.inf if self.form == "additive" else 1.0
        if not 0.0 <= self.amount < most:
            raise self.refuse(f"expected 0 <= amount < {most:g}, received amount={self.amount}")


class BatchNorm(Layer, frozen=True, kw_only=True):
    """Normalise each channel over the batch, then scale and shift it.

    Args:
        eps: added to the variance.
        momentum: share of the new batch in the running statistics (torch's convention).
        corrected: whether they are divided by the weight of the batches seen so far, as Caffe
            does: after t batches a new one's share is momentum / (1 - (1 - momentum)^t), and
            nothing is left of the 0 and 1 that they start with.
        affine: whether scale and shift are trained.
        running: whether statistics are kept for evaluation, which else takes those of its batch.
        weight_init, bias_init: how scale and shift start.

    Input shape: (channels,) or (channels, *space)
    Output shape: the same.

    Source: Ioffe and Szegedy, ICML 2015.
    """

    counted: ClassVar[bool] = True

    eps: float = 1e-5
    momentum: float = 0.1
    corrected: bool = False
    affine: bool = True
    running: bool = True
    weight_init: Init = Constant(value=1.0)
    bias_init: Init = Constant(value=0.0)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, (channels,) each."""
        if not self.affine or self.shares:
            return ()
        shape = (inputs[0][0],)
        return (
            self.own("weight", shape, "scale", self.weight_init),
            self.own("bias", shape, "shift", self.bias_init),
        )

    def buffers(self, *inputs: Shape) -> int:
        """Return running mean and variance, and the counter."""
        return 2 * inputs[0][0] + 1 if self.running else 0


class Affine(Layer, frozen=True, kw_only=True):
    """y[c] = weight[c] * x[c] + bias[c]: a trained scale and shift of each channel.

    With average pooling before it, LeNet-5's subsampling; a frozen batch norm after folding.

    Args:
        weight_init, bias_init: how scale and shift start.

    Input shape: (channels,) or (channels, *space)
    Output shape: the same.

    Source: LeCun et al., Proc. IEEE 1998, section II.B.
    """

    weight_init: Init = Constant(value=1.0)
    bias_init: Init = Constant(value=0.0)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, (channels,) each."""
        if self.shares:
            return ()
        shape = (inputs[0][0],)
        return (
            self.own("weight", shape, "scale", self.weight_init),
            self.own("bias", shape, "shift", self.bias_init),
        )


class LRN(Layer, frozen=True, kw_only=True):
    """Local response normalisation across channels, as AlexNet has it.

    y[c] = x[c] / (k + alpha / size * sum of x[c']^2 over the `size` channels around c)^beta

    Alpha is divided by the size, as Caffe and torch do; the paper's alpha = 1e-4 is theirs times
    the size.

    Source: Krizhevsky et al., NIPS 2012, section 3.3.
    """

    counted: ClassVar[bool] = True

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
