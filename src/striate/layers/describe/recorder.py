"""What torch was called with while a module was followed, so that the calls can be made again.

Paper keeps what a call costs; whoever computes a network also wants what no record fits, and makes
those calls as they were made: with values of the network, its parameters, tensors made of these or
of nothing, and numbers that follow the number of images.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from striate.design import DesignError, Shape
from striate.layers.describe.calls import ROWS, spelled
from striate.layers.describe.returned import outputs_of
from striate.layers.describe.steps import Untraceable
from striate.layers.opaque import Form, Returned
from striate.layers.rows import Rows, depends

if TYPE_CHECKING:
    from striate.layers.describe.trace import Tracer

_SIZES = frozenset(["shape", "size", "numel", "nelement"])
# Functions that give something else each time.
_RANDOM = frozenset(
    """rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial normal
    poisson uniform exponential geometric cauchy log_normal random dropout dropout1d dropout2d
    dropout3d feature_dropout alpha_dropout feature_alpha_dropout rrelu gumbel_softmax""".split()
)


class Value(NamedTuple):
    """A value of the network, by its name for the time being.

    Args:
        name: of it.
        shape: as it is read, where its maker gives another; some of it may be Rows.
        dtype: likewise.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: torch.dtype | None


class Own(NamedTuple):
    """A parameter or buffer by its name."""

    name: str


class Made(NamedTuple):
    """One of the tensors that a call gave."""

    noted: Noted
    number: int


class Unseen(NamedTuple):
    """A tensor that cannot be made again."""

    why: str


class Whole(NamedTuple):
    """A part of the module, called as a whole, by its path."""

    path: str


@dataclass(eq=False)
class Noted:
    """A call of torch.

    Args:
        function: that was called, or the part.
        name: of the function, plain.
        leaves: its arguments: Value, Own, Made, Unseen, Rows, or anything else as it is.
        form: how they were put together.
        written: those that it wrote into.
        returns: whether it returned a tensor.
    """

    function: Callable[..., Any] | Whole
    name: str
    leaves: list[Any]
    form: Form
    written: tuple[int, ...] = ()
    returns: bool = True

    def before(self) -> Iterator[Noted]:
        """Yield the calls whose tensors it takes."""
        return (each.noted for each in self.leaves if isinstance(each, Made))

    def everything(self) -> list[Noted]:
        """Return it and all calls before it that it needs, in order."""
        found: dict[int, Noted] = {}

        def visit(noted: Noted) -> None:
            if id(noted) not in found:
                for each in noted.before():
                    visit(each)
                found[id(noted)] = noted

        visit(self)
        return list(found.values())

    def values(self) -> list[str]:
        """Return the values that it depends on."""
        leaves = (leaf for each in self.everything() for leaf in each.leaves)
        return list(dict.fromkeys(leaf.name for leaf in leaves if isinstance(leaf, Value)))

    def constant(self) -> bool:
        """Tell whether it gives the same whatever the images are."""
        return not any(
            each.name in _RANDOM
            or isinstance(each.function, Whole)
            or any(isinstance(leaf, Value) or depends(leaf) for leaf in each.leaves)
            for each in self.everything()
        )

    def follows(self) -> bool:
        """Tell whether one of its own arguments is a number that follows that of images."""
        return any(map(depends, self.leaves))

    def unseen(self) -> str:
        """Return why it cannot be made again; empty where it can."""
        leaves = (leaf for each in self.everything() for leaf in each.leaves)
        return next((leaf.why for leaf in leaves if isinstance(leaf, Unseen)), "")


class Recorder:
    """Notes the calls of one forward pass.

    Args:
        tracer: that follows it.

    Attributes:
        parts: the call that each opaque value came from, which of its tensors it is, and the
            value's shape without batch, None where the batch is not in front.
        asked: whether the forward asked for the number of images.
    """

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.parts: dict[str, tuple[Noted, int, Shape | None]] = {}
        self.returned: Returned | None = None
        self.asked = False
        self._lengths = False  # len() gives a plain number, which nothing follows
        self._as_made: dict[str, tuple[Shape, torch.dtype | None]] = {}
        self._made: dict[int, tuple[Made, int]] = {}  # by tensor; with its version
        self._moved: dict[int, Tensor] = {}

    # -- while it is followed

    def note(self, function: Any, args: Any, kwargs: Any) -> Noted:
        """Return a call that is about to be made."""
        name = function.path if isinstance(function, Whole) else spelled(function)
        if getattr(function, "__name__", "") == "__get__":  # x.T
            function, args = operator.attrgetter(name), args[:1]
        given = (tuple(args), dict(kwargs))
        leaves = [self._leaf(each) for each in tree_leaves(given)]
        return Noted(function, name, leaves, Form(given))

    def called(self, noted: Noted, leaves: Any, returned: bool, written: Sequence[Tensor]) -> None:
        """Say what a call did.

        Args:
            noted: the call.
            leaves: its arguments.
            returned: whether it returned a tensor.
            written: those that it wrote into.
        """
        flat = tree_leaves(leaves)
        noted.returns = returned
        noted.written = tuple(
            index for index, each in enumerate(flat) if any(each is other for other in written)
        )
        if any(isinstance(noted.leaves[index], Own) for index in noted.written):
            raise Untraceable(f"{noted.name} changes a parameter or buffer")

    def made(self, tensor: Tensor, noted: Noted, index: int) -> None:
        """Say that a tensor that is no value came from a call."""
        self._made[id(tensor)] = Made(noted, index), tensor._version

    def moved(self, tensor: Tensor, original: Tensor) -> None:
        """Say that a tensor stands for one with values."""
        self._moved[id(tensor)] = original

    def put(self, name: str, noted: Noted, index: int, tensor: Tensor, shape: Shape) -> None:
        """Say that a value is what a call gave."""
        own = tuple(tensor.shape)
        front = own[:1] == (ROWS,) and own[1:] in (shape, () if shape == (1,) else shape)
        self.parts[name] = noted, index, shape if front else None
        self._as_made[name] = ((ROWS, *shape) if front else own), tensor.dtype

    def inputs(self, noted: Noted) -> list[str]:
        """Return the values that a call depends on, one among them that tells how many images.

        Raises:
            Untraceable: one of its tensors cannot be made again.
        """
        if why := noted.unseen():
            raise Untraceable(why)
        values = noted.values()
        if not any(map(self.in_front, values)):
            values.append(next(iter(self.tracer.shapes)))
        return values

    def sized(self, function: Any, args: Sequence[Any], answer: Any) -> Any:
        """Return what a tensor says of its size, with numbers that follow that of images."""
        tensor = args[0] if args else None
        if spelled(function) == "len" and answer == ROWS:
            self.asked = self._lengths = True
        if spelled(function) not in _SIZES or not isinstance(tensor, Tensor):
            return answer
        axes = self._axes(tensor)
        if not axes:
            return answer
        self.asked = True
        if isinstance(answer, torch.Size):
            return torch.Size(self._sizes(tensor))
        if isinstance(answer, int) and (answer % ROWS == 0):
            whole = spelled(function) in ("numel", "nelement")
            asked = args[1] if len(args) > 1 else 0
            if whole or (isinstance(asked, int) and asked % tensor.dim() in axes):
                return _rows(answer)
        return answer

    def _leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return self._ref(leaf)
        return Rows(ROWS) if self._lengths and type(leaf) is int and leaf == ROWS else leaf

    def _ref(self, tensor: Tensor) -> Any:
        name = self.tracer.name(tensor)
        if name is not None:
            like = (ROWS, *self.tracer.shapes[name]), None
            shape, dtype = self._as_made.get(name, like)
            other = None if tuple(tensor.shape) == shape else tuple(self._sizes(tensor))
            plain = self.tracer.dtype if dtype is None else dtype
            return Value(name, other, None if tensor.dtype == plain else tensor.dtype)
        if (own := self.tracer.parameter(tensor)) is not None:
            return Own(own)
        if id(tensor) in self._moved:
            return self._moved[id(tensor)].detach().clone()
        if id(tensor) not in self._made:
            return Unseen("a tensor was made by something that cannot be followed")
        made, version = self._made[id(tensor)]
        if version != tensor._version:
            return Unseen("a tensor is read after it was written through a view of it")
        return made

    def _sizes(self, tensor: Tensor) -> list[int]:
        axes = self._axes(tensor)
        return [_rows(n) if axis in axes else n for axis, n in enumerate(tensor.shape)]

    def _axes(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the axes whose length depends on the number of images."""
        shape = tuple(tensor.shape)
        if id(tensor) in self._made and self._made[id(tensor)][0].noted.constant():
            return ()
        if self.tracer.parameter(tensor) is not None or id(tensor) in self._moved:
            return ()
        if shape[:1] == (ROWS,):
            return (0,)
        return tuple(axis for axis, length in enumerate(shape) if length and length % ROWS == 0)

    def rows(self, inputs: Sequence[str]) -> tuple[int, int]:
        """Return (index, axis) of the first value whose batch is in front."""
        for index, name in enumerate(inputs):
            if self.in_front(name):
                return index, 0
        raise TypeError("no value tells how many images there are")

    def in_front(self, name: str) -> bool:
        """Tell whether a value's batch is in front."""
        return name not in self.parts or self.parts[name][2] is not None

    # -- afterwards

    def returns(self, returned: Any) -> list[str]:
        """Keep what the module returned; returns the values that were made for it.

        Raises:
            DesignError: tensors in something that torch does not look into.
            Untraceable: a tensor that cannot be made again.
        """
        kept, made = list[Any](), list[str]()
        for leaf in tree_leaves(returned):
            if not isinstance(leaf, Tensor) and outputs_of(leaf):
                raise DesignError(
                    f"expected tensors returned in what torch.utils._pytree knows (tuples, lists, "
                    f"dicts), received a {type(leaf).__name__}: register it there."
                )
            ref = self._leaf(leaf)
            if isinstance(ref, Made) and not ref.noted.constant():
                ref = self._valued(leaf, ref)
                made.append(ref.name)
            if isinstance(ref, Unseen):
                raise Untraceable(ref.why)
            kept.append(ref)
        self.returned = Returned(Form(returned), tuple(kept))
        return made

    def _valued(self, tensor: Tensor, made: Made) -> Value:
        """Make a value of a tensor that depends on the number of images only, or on chance."""
        names = self.tracer.opaque(
            made.noted.name, [], [tensor], [], cost=0, reason="it is returned", noted=made.noted
        )
        noted, _, shape = self.parts[names[0]]
        self.parts[names[0]] = noted, made.number, shape
        self.tracer.give(tensor, names[0])
        value = self._ref(tensor)
        if not isinstance(value, Value):
            raise TypeError(f"{names[0]} is no value")
        return value


def _rows(number: int) -> Rows:
    rows = Rows(ROWS)
    return rows if number == ROWS else rows * (number // ROWS)  # type: ignore[return-value]
