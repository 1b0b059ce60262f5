"""A network ready to run: kernels in order, and where in memory each value goes.

Every value lives from the step that makes it to the last that reads it. What kernels can write into
is memory of ours, shared by values that never live together and kept from call to call; the rest is
torch's, and goes back to it at the value's last use. A value that is joined with others is written
where the joined one lies. Steps that are kernels of ours alone, from memory of ours into it, are
made as one from the third call on (`striate.ops.tape`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo

from striate import design
from striate.design import Network
from striate.engine.kernel import Kernel, channels_last
from striate.engine.node import Graph, Node
from striate.engine.places import Place, Places
from striate.engine.shared import Shared
from striate.engine.source import Origin
from striate.engine.workspace import MANY, Script, Step, Taped, Workspace
from striate.errors import UsageError, WeightsError
from striate.ops.images import as_it_lies
from striate.ops.native import Call
from striate.ops.tape import Tape, follows, recording


class Program(nn.Module):
    """A network made fast for inference: an ordinary module, without parameters of its own.

    The weights are those of the moment it was made: it has copies, and of large linear layers
    refuses a call after they have changed. Calls from several threads at once do not meet. It is
    for inference only: nothing flows back through it.

    Attributes:
        network: on paper.
        algorithms: the convolution algorithm of each layer that has a choice.
        like: an empty tensor of its precision, where it computes.

    Input shape: (batch, *network.input_shape), one tensor for each input.
    Output shape: (batch, classes), or whatever structure of tensors the module returned.

    Raises:
        UsageError: an input of another shape or precision, on another device, or one that asks for
            a gradient.
        WeightsError: weights that it shares with the module have changed.
    """

    one_part = True  # to whoever describes a module that has one in it

    def __init__(
        self,
        graph: Graph,
        make: Callable[[Node], Kernel],
        origin: Origin,
        like: Tensor,
        shared: Sequence[Shared] = (),
    ) -> None:
        super().__init__()
        self.network: Network = graph.network
        self.algorithms = dict(origin.source.algorithms)
        self.like = like.detach().new_empty(0)
        kernels = {node.name: _kernel(node, make) for node in graph.nodes}
        places = Places(graph, kernels)
        self._steps = _steps(graph, kernels, places)
        self._as_they_come = _as_they_come(self._steps, len(graph.inputs))
        self._values = len(graph.inputs) + len(graph.nodes)
        self._answers = tuple(_indices(graph)[name] for name in graph.outputs)
        self._returned, self._origin = origin.source.returned, origin
        self._shared = tuple(shared)
        self._sizes = places.sizes
        self._places = list(dict.fromkeys(step.place for step in self._steps if step.place))
        self._idle: list[Workspace] = []
        self.train(False)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Run the network: (batch, *input shape) -> (batch, classes), or what the module gave."""
        if torch.compiler.is_compiling():  # there is nothing in it to be compiled
            return _disable_dynamo(_called)(self, inputs, named)
        return _called(self, inputs, named)

    def _made(self, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> Any:
        if named:
            inputs = self._ordered(inputs, named)
        batch = self._check(inputs)
        for each in self._shared:
            if each.changed:
                raise WeightsError(
                    f"{self.network.name}: the module's weights changed since it was accelerated: "
                    "accelerate it again."
                )
        workspace = self._take(batch)
        with torch.inference_mode():
            answers = self._run(inputs, workspace, batch)
        if self._returned is None:
            given: Any = answers[0].clone(memory_format=torch.contiguous_format)
        else:
            given = self._returned.made(answers, batch)
        self._idle.append(workspace)  # not before the answers are copied
        return given

    def _run(self, inputs: tuple[Tensor, ...], workspace: Workspace, batch: int) -> list[Tensor]:
        values: list[Tensor | None] = [None] * self._values
        for index, (each, like) in enumerate(zip(inputs, self.network.inputs, strict=True)):
            image = len(like.shape) == 3 and index not in self._as_they_come
            given = as_it_lies(each)
            values[index] = channels_last(given) if image else given
        views, scripts = workspace.views(batch, self._places), workspace.scripts
        lie = tuple(each.stride() for each in values[: len(inputs)] if each is not None)
        key = batch, lie, threading.get_ident(), torch.get_num_threads()
        if key not in scripts:  # the first call makes what stays
            if len(scripts) > MANY:
                scripts.clear()
            scripts[key] = self._steps
        elif scripts[key] is self._steps:
            scripts[key] = _noted(self._steps, values, views, len(inputs))
            return self._answers_of(values)
        for step in scripts[key]:
            if isinstance(step, Taped):
                step.tape(*(_address(values[index]) for index in step.reads))
                for index, value in step.gives:
                    values[index] = value
            else:
                _do(step, values, views)
                for index in step.drops:
                    values[index] = None
        return self._answers_of(values)

    def _answers_of(self, values: list[Tensor | None]) -> list[Tensor]:
        found = [values[index] for index in self._answers]
        answers = [each for each in found if each is not None]
        if len(answers) < len(found):
            raise RuntimeError("an answer was dropped")
        return answers

    def _ordered(self, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Return inputs given by name in their order."""
        names = [each.name for each in self.network.inputs][len(inputs) :]
        if set(names) != named.keys():
            raise UsageError(
                f"{self.network.name}: expected the inputs {', '.join(names) or 'no more'}, "
                f"received {', '.join(named)}."
            )
        return *inputs, *(named[name] for name in names)

    def _check(self, inputs: tuple[Tensor, ...]) -> int:
        wanted = self.network.inputs
        if len(inputs) != len(wanted):
            names = ", ".join(each.name for each in wanted)
            raise UsageError(
                f"{self.network.name}: expected {len(wanted)} inputs ({names}), received "
                f"{len(inputs)}."
            )
        if not all(isinstance(each, Tensor) for each in inputs):
            raise UsageError(
                f"{self.network.name}: expected tensors, received "
                f"{', '.join(type(each).__name__ for each in inputs)}."
            )
        batch = len(inputs[0]) if inputs[0].dim() else 0
        for each, like in zip(inputs, wanted, strict=True):
            if tuple(each.shape) != (batch, *like.shape):
                raise UsageError(
                    f"{self.network.name}: expected {like.name} of shape (batch, "
                    f"{', '.join(map(str, like.shape))}), received {tuple(each.shape)}. A network "
                    "for another input is accelerated with an example of that size."
                )
            if each.dtype != self.like.dtype or each.device != self.like.device:
                raise UsageError(
                    f"{self.network.name}: expected {like.name} as {self.like.dtype} on "
                    f"{self.like.device}, received {each.dtype} on {each.device}."
                )
            if each.requires_grad and torch.is_grad_enabled():
                raise UsageError(
                    f"{self.network.name}: expected {like.name} without a gradient, since this is "
                    "for inference only; received one that requires it. Call it under "
                    "torch.no_grad(), or use the module it was made from."
                )
        return batch

    def _take(self, batch: int) -> Workspace:
        """Return memory that no other call is using, large enough."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            return Workspace(self._sizes, batch, self.like)
        return workspace if workspace.batch >= batch else Workspace(self._sizes, batch, self.like)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Program:
        """Refuse what `to`, `double`, `half`, `cuda` and their kin would change."""
        made = fn(self.like)
        if made.dtype != self.like.dtype or made.device != self.like.device:
            raise UsageError(
                f"{self.network.name} is accelerated for {self.like.dtype} on {self.like.device}: "
                f"received {made.dtype} on {made.device}. Convert the module that it was made "
                "from, and accelerate that."
            )
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Return a program with memory of its own; what both only read is shared."""
        made = Program.__new__(Program)
        memo[id(self)] = made
        made.__dict__.update({name: copy(value) for name, value in self.__dict__.items()})
        made._idle = []
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Save what it was made from: kernels are this machine's alone."""
        return self._origin.saved()

    def extra_repr(self) -> str:
        """Return what print(module) shows in the brackets: one line a step."""
        return "\n".join(_line(step) for step in self._steps)


def _called(program: Program, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> Any:
    return program._made(inputs, named)


def _do(step: Step, values: list[Tensor | None], views: dict[Place, Tensor]) -> Tensor | None:
    """Make a step; returns where its value was to go."""
    read = [value for index in step.reads if (value := values[index]) is not None]
    out = None if step.place is None else views[step.place]
    values[step.gives] = _compute(step.kernel, read, out, step.over)
    return out


def _noted(
    steps: Sequence[Step], values: list[Tensor | None], views: dict[Place, Tensor], inputs: int
) -> Script:
    """Make all steps, and return how to make them again: those into places of ours as one.

    They read what is in such places, or the network's inputs, wherever these are.
    """
    script: list[Step | Taped] = []
    calls: list[Call] = []
    gives: list[tuple[int, Tensor]] = []
    given = {index: value for index, value in enumerate(values[:inputs]) if value is not None}
    addresses = [value.data_ptr() for value in given.values()]
    placed: set[int] = set()

    def close() -> None:
        if gives:
            tape = Tape(calls, moving=[range(each, each + 1) for each in addresses])
            script.append(Taped(tape, tuple(given), list(gives)))
            calls.clear()
            gives.clear()

    for step in steps:
        with recording() as made:
            out = _do(step, values, views)
        if out is None or out is not values[step.gives]:
            close()
            script.append(step)
        else:
            moving = [given[index] for index in step.reads if index in given]
            apart = len(set(addresses)) == len(addresses) or not moving
            steady = apart and all(follows(made.calls, each) for each in moving)
            if made.whole and steady and placed.union(given).issuperset(step.reads):
                calls += made.calls
                gives.append((step.gives, out))
            else:
                close()
                script.append(step)
            placed.add(step.gives)
        for index in step.drops:
            values[index] = None
    close()
    return script


def _address(value: Tensor | None) -> int:
    return 0 if value is None else value.data_ptr()  # no step reads it any more


def _compute(kernel: Kernel | None, read: list[Tensor], out: Tensor | None, over: bool) -> Tensor:
    if kernel is None and out is not None:  # joined: all is in place, or put there
        first = 0
        for value in read:
            part = out[:, first : first + value.shape[1]]
            first += value.shape[1]
            if part.data_ptr() != value.data_ptr():
                part.copy_(value)
        return out
    if kernel is None:
        return torch.cat(read, 1)
    if kernel.into:
        return kernel(read, out)
    y = kernel(read, read[-1] if over else None)
    return y if out is None else out.copy_(y)


def _kernel(node: Node, make: Callable[[Node], Kernel]) -> Kernel | None:
    return None if isinstance(node.record, design.Concat) else make(node)


def _indices(graph: Graph) -> dict[str, int]:
    names = [*graph.inputs, *(node.name for node in graph.nodes)]
    return {name: index for index, name in enumerate(names)}


def _steps(graph: Graph, kernels: dict[str, Kernel | None], places: Places) -> list[Step]:
    index = _indices(graph)
    last = {index[name]: node.name for node in graph.nodes for name in node.reads}
    return [
        Step(
            name=node.name,
            layers=tuple(node.layers),
            kernel=kernels[node.name],
            reads=tuple(index[name] for name in node.reads),
            gives=index[node.name],
            place=places.of.get(node.name),
            over=_over(node, kernels, places, last[index[node.reads[-1]]] == node.name),
            drops=tuple(
                index[name]
                for name in dict.fromkeys(node.reads)
                if last[index[name]] == node.name and name not in graph.outputs
            ),
        )
        for node in graph.nodes
    ]


def _as_they_come(steps: Sequence[Step], inputs: int) -> set[int]:
    """Return the inputs whose order no step minds."""
    minded = {
        index
        for step in steps
        for index in step.reads
        if step.kernel is None or not step.kernel.any_order
    }
    return set(range(inputs)) - minded


def _over(node: Node, kernels: dict[str, Kernel | None], places: Places, last: bool) -> bool:
    """Tell whether a value may be written over its residual: torch's memory, and done with."""
    kernel = kernels[node.name]
    if kernel is None or not kernel.over or node.residual is None or not last:
        return False
    if node.residual in node.inputs:  # x + conv(x): windows still read what would be written over
        return False
    return node.residual in kernels and node.residual not in places.of


def _line(step: Step) -> str:
    parts = " + ".join(step.layers)
    return f"({step.name}): {type(step.kernel).__name__ if step.kernel else 'Join'} [{parts}]"
