"""A pen for ONNX graphs: one method an operator call, constants kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from striate.errors import MissingExtra

OPSET = 20
_IR = 10  # what onnxruntime of the last years reads


def onnx() -> Any:
    """Return the onnx package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("Exporting to ONNX", "onnx", "export") from error
    return onnx


V = TypeVar("V")


class Pen(Protocol[V]):
    """What computes by ONNX's operators: a graph being written, or tensors there and then.

    A value is a name, or a tensor. An operator's inputs may be lists of integers, as constants.
    """

    def op(self, kind: str, *inputs: V, **attributes: Any) -> V:
        """Return what an operator gives."""

    def constant(self, value: npt.ArrayLike, kind: type[Any] | None = None) -> V:
        """Return a constant."""

    def integers(self, *values: int) -> V:
        """Return a list of int64."""

    def integer(self, value: int) -> V:
        """Return a single int64."""

    def double(self, value: float) -> V:
        """Return a single float64."""

    def cast(self, value: V, kind: str) -> V:
        """Return a value as FLOAT, DOUBLE, INT64 or UINT8."""

    def size(self, value: V, axis: int) -> V:
        """Return the size of an axis, as int64."""

    def places(self, value: V, axis: int) -> V:
        """Return 0, 1, ... up to the size of an axis, as int64."""

    def choose(self, condition: V, one: Callable[[], V], other: Callable[[], V]) -> V:
        """Return what one of two functions gives, as float64; a graph computes that one only."""


class Graph:
    """A graph being written.

    Example:
        >>> graph = Graph()
        >>> total = graph.op("Add", "x", graph.constant(np.float32(1)))
        >>> len(graph.nodes)
        1
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a call of an operator; returns the name of what it gives."""
        self._count += 1
        made = name or f"v{self._count}"
        node = onnx().helper.make_node(kind, list(inputs), [made], name=made, **attributes)
        self.nodes.append(node)
        return made

    def choose(self, condition: str, one: Callable[[], str], other: Callable[[], str]) -> str:
        """Append a branch; returns the name of what it gives."""
        return self.op(
            "If", condition, then_branch=self._branch(one), else_branch=self._branch(other)
        )

    def _branch(self, write: Callable[[], str]) -> Any:
        """Return a graph of its own, which sees the values of this one."""
        outside, self.nodes = self.nodes, []
        made = write()
        inside, self.nodes = self.nodes, outside
        helper, double = onnx().helper, onnx().TensorProto.DOUBLE
        gives = [helper.make_tensor_value_info(made, double, None)]
        return helper.make_graph(inside, f"to_{made}", [], gives)

    def constant(self, value: npt.ArrayLike, kind: type[Any] | None = None) -> str:
        """Return the name of a constant."""
        array = np.asarray(value, kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            tensor = onnx().numpy_helper.from_array(array, self._known[key])
            self.constants.append(tensor)
        return self._known[key]

    def integers(self, *values: int) -> str:
        """Return the name of a list of int64."""
        return self.constant(np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """Return the name of a single int64."""
        return self.constant(np.array(value, np.int64))

    def double(self, value: float) -> str:
        """Return the name of a single float64."""
        return self.constant(np.array(value, np.float64))

    def cast(self, value: str, kind: str) -> str:
        """Return a value as FLOAT, DOUBLE, INT64 or UINT8."""
        return self.op("Cast", value, to=getattr(onnx().TensorProto, kind))

    def size(self, value: str, axis: int) -> str:
        """Return the size of an axis, as int64."""
        return self.op("Gather", self.op("Shape", value), self.integer(axis), axis=0)

    def places(self, value: str, axis: int) -> str:
        """Return 0, 1, ... up to the size of an axis, as int64."""
        return self.op("Range", self.integer(0), self.size(value, axis), self.integer(1))

    def model(
        self,
        name: str,
        inputs: dict[str, tuple[str, tuple[int | str, ...]]],
        outputs: dict[str, tuple[str, tuple[int | str, ...]]],
        facts: dict[str, str],
    ) -> bytes:
        """Return the model's bytes, checked by onnx.

        Args:
            name: of the graph.
            inputs: (element type, shape) by name; a text in a shape is a free size.
            outputs: the same.
            facts: kept with the model.
        """
        helper, proto = onnx().helper, onnx().TensorProto

        def declared(values: dict[str, tuple[str, tuple[int | str, ...]]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(key, getattr(proto, kind), shape)
                for key, (kind, shape) in values.items()
            ]

        graph = helper.make_graph(
            self.nodes, name, declared(inputs), declared(outputs), initializer=self.constants
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR,
            producer_name="striate",
        )
        helper.set_model_props(made, facts)
        onnx().checker.check_model(made)
        found: bytes = made.SerializeToString()
        return found
