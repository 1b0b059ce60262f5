"""What no record fits, computed by torch itself: the calls that somebody's forward made there.

The network on paper says that something is there, and of which shape; what it computes is kept
beside it, by the layer's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from striate.layers.rows import resolved


class Form:
    """How a structure of tensors and other things is put together.

    Args:
        tree: any such structure.
    """

    def __init__(self, tree: Any) -> None:
        self.spec = tree_flatten(tree)[1]

    def filled(self, leaves: Sequence[Any]) -> Any:
        """Put it together."""
        return tree_unflatten(leaves, self.spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return Form, (self.filled(range(self.spec.num_leaves)),)


class Read(NamedTuple):
    """An argument that the part is called with.

    Args:
        number: which.
        shape: as the call takes it, where that is another; some of it may be Rows.
        dtype: as the call takes it, where that is another.
    """

    number: int
    shape: tuple[int, ...] | None = None
    dtype: torch.dtype | None = None

    def of(self, values: Sequence[Tensor], images: int) -> Tensor:
        """Return it."""
        return shaped(values[self.number], self.shape, self.dtype, images)


class Before(NamedTuple):
    """A tensor that an earlier call gave.

    Args:
        call: which.
        number: of the tensors that it gave.
    """

    call: int
    number: int


class Call(NamedTuple):
    """One call.

    Args:
        function: of torch, or a module.
        leaves: its arguments: Read, Before, Rows, or what is the same in every call.
        form: how they are put together.
        written: those that it writes into; it gets copies.
        returns: whether it gives what it returns, rather than what it has written.
    """

    function: Callable[..., Any]
    leaves: tuple[Any, ...]
    form: Form
    written: tuple[int, ...]
    returns: bool

    def made(
        self, values: Sequence[Tensor], given: Sequence[Sequence[Tensor]], images: int
    ) -> list[Tensor]:
        """Make it; returns the tensors that it gives.

        Args:
            values: arguments of the part.
            given: what earlier calls gave.
            images: how many there are.
        """
        leaves: list[Any] = []
        for leaf in self.leaves:
            if isinstance(leaf, Read):
                leaves.append(leaf.of(values, images))
            elif isinstance(leaf, Before):
                leaves.append(given[leaf.call][leaf.number])
            else:
                leaves.append(resolved(leaf, images))
        for index in self.written:
            leaves[index] = leaves[index].clone()
        args, kwargs = self.form.filled(leaves)
        out = self.function(*args, **kwargs)
        if not self.returns:
            return [leaves[index] for index in self.written]
        return [each for each in tree_leaves(out) if isinstance(each, Tensor)]


class Calls:
    """Calls of torch, one after the other; the last gives the answer.

    Args:
        calls: in order.
        rows: (argument, axis) whose length is the number of images.
        device: where tensors are made.
    """

    def __init__(
        self, calls: Sequence[Call], rows: tuple[int, int], device: torch.device | None = None
    ) -> None:
        self.calls, self.rows, self.device = tuple(calls), rows, device
        fixed = (each for call in calls for each in call.leaves if isinstance(each, Tensor))
        self._fixed = {each.untyped_storage().data_ptr() for each in fixed}

    def __call__(self, *values: Tensor) -> list[Tensor]:
        """Return every tensor of the last call, none of which lies in memory of another's."""
        index, axis = self.rows
        images = values[index].shape[axis]
        given: list[list[Tensor]] = []
        there = self.device is None or self.device.type == "cpu"
        with nullcontext() if there else torch.device(str(self.device)):
            for call in self.calls:
                given.append(call.made(values, given, images))
        own = self._fixed | {each.untyped_storage().data_ptr() for each in values}
        return [each.clone() if _shares(each, own) else each for each in given[-1]]

    def __getstate__(self) -> tuple[Any, ...]:
        return self.calls, self.rows, self.device

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]


class Part(nn.Module):
    """One tensor of some calls.

    Args:
        calls: which may give more.
        index: of the tensor.
        shape: of it, without batch; None where the batch is not in front.

    Input shape: any
    Output shape: (batch, *shape)
    """

    def __init__(self, calls: Calls, index: int, shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.calls, self.index, self.shape = calls, index, shape

    def forward(self, *values: Tensor) -> Tensor:
        """Make the calls."""
        return self.picked(self.calls(*values))

    def picked(self, given: Sequence[Tensor]) -> Tensor:
        """Return its own of what the calls gave."""
        y = given[self.index]
        if self.shape is None or y.shape[1:] == self.shape:
            return y
        return y.reshape(len(y), *self.shape)


class Returned(NamedTuple):
    """What a module returns: a structure of tensors.

    Args:
        form: how it is put together.
        leaves: Read, Rows, tensors and anything else that is the same in every call.
    """

    form: Form
    leaves: tuple[Any, ...]

    def made(self, values: Sequence[Tensor], images: int) -> Any:
        """Put it together, of tensors of its own.

        Args:
            values: that it reads.
            images: how many there are.
        """
        plain = torch.contiguous_format
        leaves: list[Any] = []
        for leaf in self.leaves:
            if isinstance(leaf, Read):
                leaves.append(leaf.of(values, images).clone(memory_format=plain))
            elif isinstance(leaf, Tensor):
                leaves.append(leaf.clone())
            else:
                leaves.append(resolved(leaf, images))
        return self.form.filled(leaves)


def shaped(
    value: Tensor, shape: tuple[int, ...] | None, dtype: torch.dtype | None, images: int
) -> Tensor:
    """Return a value in another shape, its elements in the same order or repeated, and type."""
    if shape is not None:
        sizes = [resolved(each, images) for each in shape]
        same = value.numel() == torch.Size(sizes).numel()
        value = value.reshape(sizes) if same else value.expand(sizes)
    return value if dtype is None else value.to(dtype)


def _shares(tensor: Tensor, own: set[int]) -> bool:
    """Tell whether a tensor is not alone in its memory."""
    memory = tensor.untyped_storage()
    return memory.data_ptr() in own or memory.nbytes() != tensor.nbytes
