"""A call of an operator as its reader sees it: inputs, attributes, and a pen for records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from striate import design
from striate.design import Layer, Shape
from striate.errors import WeightsError
from striate.weights.onnx.folding import whole
from striate.weights.onnx.messages import Array, Node

if TYPE_CHECKING:
    from striate.weights.onnx.reading import Reading


class Value(NamedTuple):
    """What a layer gives: the record's name for the time being, and its shape without batch."""

    name: str
    shape: Shape


Held = Value | Array | None


class Call:
    """A node being read.

    Attributes:
        node: it.
        inputs: a value, a constant, or None for an optional one that is left out.
    """

    def __init__(self, node: Node, inputs: list[Held], reading: Reading) -> None:
        self.node, self.inputs, self._reading = node, inputs, reading

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return self._reading.model.opset

    @property
    def free(self) -> bool:
        """Whether the file leaves the number of images open."""
        return self._reading.free

    def refuse(self, why: str) -> WeightsError:
        """Return the error that names operator and node."""
        return self._reading.refuse(self.node, why)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        found = self.node.attributes.get(name)
        return default if found is None else found

    def sizes(self, name: str, count: int, default: int = 1) -> tuple[int, ...]:
        """Return an attribute of so many integers."""
        found = whole(self.get(name, (default,) * count))
        if len(found) != count:
            raise self.refuse(f"expected {count} sizes of {name}, received {found}")
        return found

    def given(self, at: int) -> bool:
        """Tell whether there is such an input."""
        return at < len(self.inputs) and self.inputs[at] is not None

    def value(self, at: int = 0) -> Value:
        """Return an input that the image leads to."""
        held = self.inputs[at] if at < len(self.inputs) else None
        if not isinstance(held, Value):
            raise self.refuse(f"expected its input {at} to be computed, received a constant")
        return held

    def constant(self, at: int, what: str) -> Array:
        """Return an input that the file holds."""
        held = self.inputs[at] if at < len(self.inputs) else None
        if not isinstance(held, np.ndarray):
            raise self.refuse(f"expected {what} as a constant, received what is computed")
        return held

    def bias(self, at: int) -> dict[str, Array]:
        """Return an optional bias as a tensor of the layer."""
        if not self.given(at):
            return {}
        return {"bias": self.constant(at, "its bias").astype(np.float32)}

    def bound(self, name: str, at: int) -> float | None:
        """Return a limit, which became an input; None where there is none."""
        found = self.constant(at, f"its {name}") if self.given(at) else self.get(name)
        if found is None:
            return None
        number = float(np.asarray(found).ravel()[0])
        return None if abs(number) > 3e38 else number

    def axes(self, at: int, name: str) -> tuple[int, ...] | None:
        """Return axes, batch included, which became an input; None where they are left out."""
        found = self.constant(at, f"its {name}") if self.given(at) else self.get(name)
        return None if found is None else whole(found)

    def axis(self, axis: int) -> int:
        """Return an axis as records count them: without the batch.

        Raises:
            WeightsError: it is the batch's.
        """
        rank = len(self.shape()) + 1
        if axis % rank == 0 or not -rank <= axis < rank:
            raise self.refuse(f"expected an axis of one image, received axis={axis}")
        return axis % rank - 1

    def shape(self) -> Shape:
        """Return the first input's shape, without batch."""
        return self.value(0).shape

    def full(self) -> tuple[int, ...]:
        """Return the first input's shape as the file has it."""
        return (self._reading.batch, *self.shape())

    def split(self) -> tuple[Value, Array]:
        """Return a computed and a constant operand, in whichever order they are."""
        one, other = self.inputs[:2]
        value, own = (one, other) if isinstance(one, Value) else (other, one)
        if not isinstance(value, Value) or not isinstance(own, np.ndarray):
            raise self.refuse("expected a computed and a constant operand")
        return value, own

    # -- writing

    def append(self, layer: Layer, *values: Value, own: Mapping[str, Array] | None = None) -> Value:
        """Append a record that reads the values, or the call's first input."""
        return self._reading.append(self.node, layer, values or (self.value(0),), dict(own or {}))

    def put(
        self,
        kind: type[Layer],
        *values: Value,
        own: Mapping[str, Array] | None = None,
        **fields: Any,
    ) -> Value:
        """Append a record of a kind."""
        return self.append(kind(name="made", inputs=("x",), **fields), *values, own=own)

    def elementwise(self, function: str, *arguments: float, of: Value | None = None) -> Value:
        """Append a function of single elements."""
        value = self.value(0) if of is None else of
        return self.put(design.Elementwise, value, function=function, arguments=arguments)

    def shaped(self, sizes: tuple[int, ...]) -> Value:
        """Return the first input in another shape, the batch's size in front."""
        if not sizes or sizes[0] != self._reading.batch:
            raise self.refuse(
                f"expected the batch to stay first, received {self.full()} as {sizes}"
            )
        if sizes[1:] == self.shape():
            return self.value(0)
        if len(sizes) == 2:
            return self.put(design.Flatten)
        if len(sizes) < 2:
            raise self.refuse("expected an axis beside the batch")
        return self.put(design.Reshape, shape=sizes[1:])

    def biased(self, value: Value, own: Array) -> Value | None:
        """Return a value whose layer takes a constant as its bias, where it is one without."""
        return self._reading.biased(value, own)

    def shortcut(self) -> tuple[Value, tuple[int, ...]]:
        """Return what every so many pixels were taken of just before, and how many."""
        return self._reading.shortcut(self.value(0))
