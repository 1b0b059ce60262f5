"""A call of torch, and the table of what becomes of it.

A converter is registered by the function's name, however it was reached: `F.relu`, `torch.relu`,
`x.relu_()` are all `relu`. Its signature is torch's, after the call and the tensors that came out;
it returns the names of the values those are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from striate.design import BatchNorm, Layer, Shape
from striate.errors import StriateError

if TYPE_CHECKING:
    from striate.layers.describe.recorder import Noted
    from striate.layers.describe.trace import Tracer

ROWS = 13  # of the batch that is traced; an odd prime, so that no other size passes for it

Converter = Callable[..., Sequence[str | None]]

SAME = frozenset(
    """contiguous clone detach to type type_as float double half bfloat16 cpu cuda requires_grad_
    alias view_as positive data data_get""".split()
)
# What leaves the elements in their order.
RESHAPING = SAME | frozenset(["view", "reshape", "unsqueeze", "squeeze", "flatten", "getitem"])
_OPERATORS = {"truediv": "div", "rtruediv": "rdiv", "true_divide": "div", "multiply": "mul"}
_REFLECTED = {"radd": "add", "rmul": "mul", "iadd": "add", "imul": "mul", "isub": "sub"}


class Unknown(StriateError):
    """There is no record for what a call does; the reason becomes the note of an Opaque one."""


class Call:
    """One call of torch, as converters see it.

    Args:
        tracer: that saw it.
        name: of the function, plain.
        names: by the id of each tensor among its arguments, the value that it was before.
        given: those tensors.
        function: what was called.

    Attributes:
        values: names of the values it reads.
        loose: whether the tensors that come out may have another shape than on paper.
        noted: how to make it again, where that is kept.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        names: Mapping[int, str | None],
        given: list[Tensor],
        function: Any,
    ) -> None:
        self.tracer, self.name, self.given = tracer, name, given
        self._names = names
        self.values = list(dict.fromkeys(each for each in names.values() if each))
        self.loose, self.function = False, function
        self.noted: Noted | None = None

    def value(self, tensor: Any, *, loose: bool = False) -> str:
        """Return the name of the value that a tensor is.

        Args:
            tensor: an argument.
            loose: take it also where it was expanded, so that its shape is not that on paper.
        """
        name = self._names.get(id(tensor)) if isinstance(tensor, Tensor) else None
        if name is None:
            raise Unknown("it works on a constant")
        if not loose and not self._as_on_paper(tensor, name):
            raise Unknown("its input's batch is not in front")
        return name

    def _as_on_paper(self, tensor: Tensor, name: str) -> bool:
        own = tuple(tensor.shape)
        shape = self.tracer.shapes[name]
        return own == (ROWS, *shape) or (own, shape) == ((ROWS,), (1,))

    def is_value(self, tensor: Any) -> bool:
        """Tell whether an argument depends on an input."""
        return isinstance(tensor, Tensor) and self._names.get(id(tensor)) is not None

    def shape(self, tensor: Any) -> Shape:
        """Return the shape of a value without batch."""
        return self.tracer.shapes[self.value(tensor)]

    def own(self, **tensors: Tensor | None) -> dict[str, str]:
        """Return the names of parameters and buffers, by local name; None is left out.

        Raises:
            Unknown: a tensor was computed from parameters, or is a constant.
        """
        named: dict[str, str] = {}
        for local, tensor in tensors.items():
            if tensor is None:
                continue
            name = self.tracer.parameter(tensor)
            if name is None:
                raise Unknown(f"its {local} is computed, not a parameter")
            named[local] = name
        return named

    def put(
        self, kind: type[Layer], *inputs: str, owned: Mapping[str, str] | None = None, **fields: Any
    ) -> str:
        """Append a record that reads values; returns the name of its own.

        Args:
            kind: of the record.
            inputs: names of values.
            owned: parameters and buffers by local name, as from `own`.
            fields: of the record.
        """
        owned = owned or {}
        trained = {k: n for k, n in owned.items() if n in self.tracer.parameters}
        owners = {self.tracer.claimed.get(name) for name in trained.values()}
        shares = None
        if trained and owners != {None}:
            shares = self._owner(kind, trained)
        layer = kind(name=self.tracer.fresh(), inputs=inputs, shares=shares, **fields)
        if (owned.get("weight") in self.tracer.buffers) and not getattr(layer, "constant", False):
            note = "its weight is a buffer there, here a parameter that does not move"
            return self.tracer.put(layer.replace(trainable=False, note=note), owned)
        return self.tracer.put(self._frozen(layer, trained), owned)

    def _owner(self, kind: type[Layer], trained: Mapping[str, str]) -> str:
        """Return the record that already has exactly these parameters."""
        for step in self.tracer.steps:
            mine = {k: n for k, n in step.owned.items() if n in self.tracer.parameters}
            if type(step.layer) is kind and mine == trained and step.layer.shares is None:
                return step.layer.name
        raise Unknown("it shares some of its parameters with another kind of layer")

    def _frozen(self, layer: Layer, trained: Mapping[str, str]) -> Layer:
        moves = {k: self.tracer.parameters[n].requires_grad for k, n in trained.items()}
        if all(moves.values()):
            return layer
        if not any(moves.values()) and not isinstance(layer, BatchNorm):
            return layer.replace(trainable=False)  # of a batch norm, it would stop the statistics
        return layer.replace(rates=(float(moves["weight"]), float(moves["bias"])))


_CONVERTERS: dict[str, Converter] = {}


def converts(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for functions of torch, by their plain names."""

    def register(convert: Converter) -> Converter:
        for name in names:
            if name in _CONVERTERS:
                raise TypeError(f"{name} has two converters.")
            _CONVERTERS[name] = convert
        return convert

    return register


def converter(name: str) -> Converter:
    """Return the converter for a function, one that knows nothing where there is none."""

    def checked(call: Call, outs: list[Tensor], *args: Any, **kwargs: Any) -> Sequence[str | None]:
        convert = _CONVERTERS.get(name)
        if convert is None:
            raise Unknown("there is no record for it")
        try:
            bound = inspect.signature(convert).bind(call, outs, *args, **kwargs)
        except TypeError as error:
            raise Unknown(f"its arguments are not understood ({error})") from error
        return convert(*bound.args, **bound.kwargs)

    return checked


def spelled(function: Any) -> str:
    """Return the plain name of a function of torch: `relu` for `F.relu`, `torch.relu_`, ..."""
    name = str(getattr(function, "__name__", function))
    if name == "__get__":
        return str(getattr(function.__self__, "__name__", name))
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
    elif name.endswith("_"):
        name = name.rstrip("_")
    return _OPERATORS.get(_REFLECTED.get(name, name), _REFLECTED.get(name, name))


def asks(function: Any) -> bool:
    """Tell whether a function only asks a tensor for its shape, type or place."""
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":
        return spelled(function) not in ("T", "mT", "H", "mH", "data", "real", "imag")
    return name in ("size", "dim", "numel", "stride", "is_floating_point", "__len__")


def tuple_of(value: Any, axes: int) -> tuple[int, ...]:
    """Return one integer for each axis."""
    if isinstance(value, int):
        return (value,) * axes
    sizes = tuple(int(each) for each in value)
    return sizes * axes if len(sizes) == 1 else sizes
