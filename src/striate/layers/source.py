"""Writing the forward of each scope of a network as Python source.

A scope reads values made outside it (its arguments) and gives values used outside it (its results).
Layers of one scope stand together (`design` refuses others), so a scope is one call in the forward
of the scope around it.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from typing import NamedTuple

from striate.design import Add, BatchNorm, Layer, Network, ReLU


class Step(NamedTuple):
    """One call in a forward.

    Args:
        child: the child's name in its scope.
        path: its full name.
        reads: full names of the values it is called with.
        gives: full names of the values it returns.
        train_only: whether only outputs for training need it.
        before: children computed together with it: a normalisation, or that and a sum.
    """

    child: str
    path: str
    reads: list[str]
    gives: list[str]
    train_only: bool
    before: tuple[str, ...] = ()


def steps(network: Network, scope: str) -> list[Step]:
    """Return the calls of a scope's forward in order; "" is the whole network."""
    prefix = f"{scope}." if scope else ""
    found: dict[str, list[Layer]] = {}
    for layer in network.members(scope):
        found.setdefault(layer.name[len(prefix) :].split(".")[0], []).append(layer)
    called = [
        Step(
            child=child,
            path=prefix + child,
            reads=list(members[0].inputs) if members[0].name == prefix + child else reads(members),
            gives=gives(network, members),
            train_only=False,
        )
        for child, members in found.items()
    ]
    return called if scope else _mark_train_only(called, network)


def _mark_train_only(called: list[Step], network: Network) -> list[Step]:
    """Mark the calls that evaluation does without; a scope it needs runs whole."""
    wanted = {output.source for output in network.outputs if not output.train_only}
    marked: list[Step] = []
    for call in reversed(called):
        needed = not wanted.isdisjoint(call.gives)
        wanted.update(call.reads if needed else ())
        marked.insert(0, call._replace(train_only=not needed))
    return marked


def joined(network: Network, calls: list[Step]) -> list[Step]:
    """Return a scope's calls with each rectifier taking in the normalisation before it.

    That is batch-norm, or the sum of one with another value, which nobody else reads.
    """
    layers, here = {each.name: each for each in network.layers}, {each.path: each for each in calls}
    readers = network.readers()

    def only(value: str, kind: type[Layer], reader: Step) -> Step | None:
        call = here.get(value)
        sole = len(readers[value]) == 1 and isinstance(layers.get(value), kind)
        return call if sole and call and call.train_only == reader.train_only else None

    found = {each.path: each for each in calls}
    for call in calls:
        if not isinstance(layers.get(call.path), ReLU):
            continue
        norm, add = only(call.reads[0], BatchNorm, call), only(call.reads[0], Add, call)
        others: list[str] = []
        if add is not None and len(set(add.reads)) == 2:
            norms = [each for each in add.reads if only(each, BatchNorm, call)]
            norm = here[norms[0]] if norms else None
            others = [each for each in add.reads if norms and each != norms[0]]
        if norm is None:
            continue
        before = [each for each in (norm, add) if each is not None]
        for each in before:
            del found[each.path]
        children = tuple(each.child for each in before)
        found[call.path] = call._replace(before=children, reads=[*norm.reads, *others])
    return list(found.values())


def reads(members: list[Layer]) -> list[str]:
    """Return the values that layers read from outside themselves, in order of first use."""
    own = {layer.name for layer in members}
    return list(dict.fromkeys(n for layer in members for n in layer.inputs if n not in own))


def gives(network: Network, members: list[Layer]) -> list[str]:
    """Return the values that are used outside the layers that make them, in order."""
    own = {layer.name for layer in members}
    readers = network.readers()
    return [layer.name for layer in members if not own.issuperset(readers[layer.name])]


def class_source(network: Network, scope: str, *, fused: bool = False) -> str:
    """Return the class statement of a scope, whose base is called Base.

    Args:
        network: on paper.
        scope: its name; "" is the whole network.
        fused: whether rectifiers take in the normalisations before them (`joined`).
    """
    calls = joined(network, steps(network, scope)) if fused else steps(network, scope)
    members = [layer for layer in network.layers if _inside(layer.name, scope)]
    arguments = [each.name for each in network.inputs] if not scope else reads(members)
    results = gives(network, members) if scope else []
    names = _Names()
    signature = ", ".join(["self", *(names.of(value) for value in arguments)])
    lines = [f"class {_class_name(network, scope)}(Base):", f"    def forward({signature}):"]
    kept = set(results) if scope else {output.source for output in network.outputs}
    lines += _body(calls, names, kept)
    if scope:
        lines.append(f"        return {', '.join(names.of(value) for value in results)}".rstrip())
    else:
        lines += _returns(network, names)
    return "\n".join(lines) + "\n"


def _body(calls: list[Step], names: _Names, kept: set[str]) -> Iterator[str]:
    last = {value: index for index, call in enumerate(calls) for value in call.reads}
    for index, call in enumerate(calls):
        indent = " " * (12 if call.train_only else 8)
        if call.train_only:
            yield "        if self.training:"
        given = [names.of(value) for value in call.reads]
        if call.before:
            norm, *add = map(_child, call.before)
            given = [norm, _child(call.child), given[0], *add, *given[1:]]
        called = "rectified" if call.before else _child(call.child)
        text = f"{called}({', '.join(given)})"
        wish = call.child if len(call.gives) == 1 else ""
        targets = ", ".join(names.of(value, wish) for value in call.gives)
        yield f"{indent}{targets} = {text}" if targets else f"{indent}{text}"
        done = [
            names.of(value)
            for value in dict.fromkeys(call.reads)
            if last[value] == index and value not in kept
        ]
        if done:
            yield f"{indent}del {', '.join(done)}"


def _child(name: str) -> str:
    return f"self.{name}" if name.isidentifier() else f'self._modules["{name}"]'


def _returns(network: Network, names: _Names) -> Iterator[str]:
    main = names.of(network.outputs[0].source)
    if any(output.train_only for output in network.outputs):
        pairs = ", ".join(f"{each.name!r}: {names.of(each.source)}" for each in network.outputs)
        yield "        if self.training:"
        yield f"            return {{{pairs}}}"
    yield f"        return {main}"


class _Names:
    """Short, distinct variable names for values."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def of(self, value: str, wish: str = "") -> str:
        """Return the variable of a value: at first use the wish, or the last part of its name."""
        if value not in self._given:
            name = wish or value.rpartition(".")[2]
            if not name.isidentifier() or keyword.iskeyword(name):
                name = f"v{name}"
            while name in self._given.values() or name == "self":
                name += "_"
            self._given[value] = name
        return self._given[value]


def _class_name(network: Network, scope: str) -> str:
    words = [network.name, *scope.split(".")] if scope else [network.name]
    name = "".join(word[:1].upper() + word[1:] for part in words for word in part.split("_"))
    name = "".join(char for char in name if char.isascii() and char.isalnum())
    return name if name.isidentifier() and name != "Base" else f"Network{name}"


def _inside(name: str, scope: str) -> bool:
    return not scope or name.startswith(f"{scope}.")
