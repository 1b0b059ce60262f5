"""What every layer on paper has: name, inputs, shape arithmetic, parameters, cost.

A kind is a subclass of `Layer`; its arithmetic is methods, in integers. What other rooms do with a
kind (build it, draw it, print it) is a `functools.singledispatch` there, on the record's type.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from striate.design.arithmetic import volume
from striate.design.init import Constant, Init
from striate.errors import DesignError
from striate.records import Family

Shape = tuple[int, ...]
Role = Literal["weight", "bias", "scale", "shift"]
Answer = Literal["logits", "distances"]


class Parameter(NamedTuple):
    """One trained tensor on paper.

    Args:
        name: `conv1.weight`, as in a state_dict.
        shape: as torch lays it out.
        role: `weight` of a convolution or linear layer, `bias`; `scale` and `shift` of a
            normalisation. Weight decay goes by it.
        init: how it starts.
        fan_in: inputs that one output of its layer sums over.
        fan_out: outputs that one input of its layer reaches.
        trainable: whether the optimiser moves it.
        rate: multiplies the learning rate.
        decay: multiplies the weight decay.
    """

    name: str
    shape: Shape
    role: Role
    init: Init = Constant()
    fan_in: int = 1
    fan_out: int = 1
    trainable: bool = True
    rate: float = 1.0
    decay: float = 1.0

    @property
    def size(self) -> int:
        """Number of elements."""
        return volume(self.shape)


class Window(NamedTuple):
    """How a layer's outputs look at its input along the spatial axes.

    Args:
        kernel: extent in pixels, dilation included.
        stride: distance of neighbouring windows.
        before: how far the first window starts before the first pixel (the padding).
        up: positions that each input pixel becomes, for a transposed convolution: its windows
            slide over the output, `stride` is 1, and `before` is cut off there; empty is 1.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    up: tuple[int, ...] = ()


class Layer(Family, frozen=True, kw_only=True):
    """A layer on paper.

    Args:
        name: a module path (`layer1.0.conv1`): scopes become modules.
        inputs: names of the values it reads: inputs of the network or earlier layers. None is the
            last value where a `Sketch` puts the layer, and refused in a `Network`.
        trainable: False freezes its parameters.
        rates: multiply the learning rate of (weight or scale, bias or shift): Caffe's lr_mult.
        decays: multiply the weight decay of the same: Caffe's decay_mult.
        shares: name of the layer whose parameters it uses; they are counted there.
        note: a deviation from the source that is known.
    """

    family: ClassVar[str] = "layer"
    arity: ClassVar[int | None] = 1  # number of inputs; None is one or more
    counted: ClassVar[bool] = False  # whether this kind's output counts as an activation
    answer: ClassVar[Answer] = "logits"  # what its numbers are where it is the main output

    name: str
    inputs: tuple[str, ...] = ()
    trainable: bool = True
    rates: tuple[float, float] = (1.0, 1.0)
    decays: tuple[float, float] = (1.0, 1.0)
    shares: str | None = None
    note: str = ""

    def output(self, *inputs: Shape) -> Shape:
        """Return the output's shape without batch.

        Raises:
            DesignError: the inputs do not fit; names the layer, what it got and what would fit.
        """
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return its parameters with local names (`weight`), none where it shares another's."""
        return ()

    def constants(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return its tensors that are fixed from the start, with local names."""
        return ()

    def buffers(self, *inputs: Shape) -> int:
        """Return how many numbers it keeps that are saved but not trained."""
        return sum(each.size for each in self.constants(*inputs))

    def macs(self, *inputs: Shape) -> int:
        """Return the multiply-adds of one image; convolutions and linear layers only."""
        return 0

    def connection_count(self, *inputs: Shape) -> int:
        """Return what LeNet's paper counts: the inputs of all units, the biases among them."""
        macs = self.macs(*inputs)
        biased = macs and any(each.role == "bias" for each in self.parameters(*inputs))
        return macs + (volume(self.output(*inputs)) if biased else 0)

    def window(self, *inputs: Shape) -> Window | None:
        """Return how outputs look at pixels; None where it works pixel by pixel."""
        return None

    def stored(self, *inputs: Shape) -> bool:
        """Return whether its output needs memory of its own; an activation works in place."""
        return self.counted

    @property
    def whole(self) -> bool:
        """Whether every output sees the whole input."""
        return False

    def carried(self, axis: int, *inputs: Shape) -> int | None:
        """Return where an axis of the input is in the output; None where it is not kept apart."""
        return axis

    def refuse(
        self, problem: str, *, fixes: tuple[str, ...] = (), expects: int | None = None
    ) -> DesignError:
        """Return the error that names this layer; arguments are those of `DesignError`."""
        between = " " if problem.startswith("expects ") else ": "
        sentence = f"{self.name}{between}{problem}"
        return DesignError(sentence, self.name, fixes=fixes, expects=expects)

    def own(
        self, name: str, shape: Shape, role: Role, init: Init, fans: tuple[int, int] = (1, 1)
    ) -> Parameter:
        """Return a parameter of this layer, with its multipliers."""
        second = role in ("bias", "shift")
        return Parameter(
            name=name,
            shape=shape,
            role=role,
            init=init,
            fan_in=fans[0],
            fan_out=fans[1],
            trainable=self.trainable,
            rate=self.rates[second],
            decay=self.decays[second],
        )


def spatial(layer: Layer, shape: Shape, axes: int) -> tuple[int, ...]:
    """Return the spatial part of (channels, *space), checked to have as many axes as a window."""
    if len(shape) != axes + 1:
        raise layer.refuse(
            f"expected (channels, {', '.join(('depth', 'height', 'width')[-axes:])}), "
            f"received shape {shape}"
        )
    return shape[1:]
