"""A graph as a network: nodes become records in their order, what nothing needs is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from striate import design
from striate.design import Input, Layer, Network, Output, Shape
from striate.errors import DesignError, WeightsError
from striate.layers.describe.naming import settled
from striate.weights.onnx.call import Call, Held, Value
from striate.weights.onnx.folding import FOLDS, fold
from striate.weights.onnx.messages import Array, Model, Node, Sizes
from striate.weights.onnx.operators import READERS

_SIDE = 224  # of an image, where a file leaves both open


class Step(NamedTuple):
    """A record with a name for the time being, the node it came from, and its tensors."""

    layer: Layer
    node: Node
    own: dict[str, Array]


class Read(NamedTuple):
    """What a graph is.

    Args:
        network: on paper.
        tensors: by the names it gives them.
        notes: what a user should know.
    """

    network: Network
    tensors: dict[str, Array]
    notes: tuple[str, ...]


class Reading:
    """A graph being read.

    Attributes:
        model: it.
        batch: its number of images; 1 where it is left open, which `free` says.
    """

    def __init__(self, model: Model, path: Path) -> None:
        self.model, self.path = model, path
        self.steps: list[Step] = []
        self.held: dict[str, Held] = dict(model.tensors)
        self.shapes: dict[str, Shape] = {}
        self.notes: list[str] = []
        self.batch, self.free = 1, True
        self.input: Input | None = None
        self.readers = Counter(name for node in model.nodes for name in node.inputs)
        self.readers.update(model.outputs)

    def refuse(self, node: Node, why: str) -> WeightsError:
        """Return the error that names operator and node."""
        name = node.name or (node.outputs[0] if node.outputs else "")
        return WeightsError(f"{self.path}: {node.operator} {name!r}: {why}.")

    def read(self, image: str | None = None, shape: Sequence[int] = ()) -> Read:
        """Read all that the first output needs.

        Args:
            image: the value to begin at; the graph's only input unless given.
            shape: of that value, without batch.
        """
        if image is None:
            self._input()
        else:
            self.input = Input(name="x", shape=tuple(shape))
            self.held[image] = Value("x", self.input.shape)
        if self.input is not None:
            self.shapes["x"] = self.input.shape
        if not self.model.outputs:
            raise WeightsError(f"{self.path} has no output.")
        wanted = self.model.outputs[0]
        for node in self._needed(wanted):
            self._node(node)
        if len(self.model.outputs) > 1:
            left = ", ".join(self.model.outputs[1:])
            self.notes.append(f"The output {wanted} is read; left out: {left}.")
        end = self.held.get(wanted)
        if not isinstance(end, Value):
            raise WeightsError(f"{self.path}: the output {wanted} does not depend on an image.")
        return self._network(self._scores(end))

    # -- beginning

    def _input(self) -> None:
        """Take the graph's only input as the image; sizes it leaves open are said."""
        inputs = self.model.inputs
        if len(inputs) != 1:
            raise WeightsError(
                f"{self.path}: expected one input, received {', '.join(inputs) or 'none'}."
            )
        ((name, sizes),) = inputs.items()
        if len(sizes) < 2:
            raise WeightsError(f"{self.path}: expected a batch of images, received {sizes}.")
        turns = [node for node in self.model.nodes if name in node.inputs]
        last = bool(turns) and all(
            node.operator == "Transpose" and node.attributes.get("perm") == (0, 3, 1, 2)
            for node in turns
        )
        self.batch, self.free = sizes[0] or 1, sizes[0] is None
        shape = self._shape((sizes[0], sizes[3], *sizes[1:3]) if last else sizes, name)
        self.input = Input(name="x", shape=shape)
        if last:  # channels come last there: the network begins behind the turn
            self.held |= {node.outputs[0]: Value("x", shape) for node in turns}
        else:
            self.held[name] = Value("x", shape)

    def _shape(self, sizes: Sizes, name: str) -> tuple[int, ...]:
        channels, *space = sizes[1:]
        if channels is None or (None in space and any(space)):
            raise WeightsError(
                f"{self.path}: expected sizes of the input {name!r}, received {sizes}."
            )
        if None in space:
            self.notes.append(f"The file leaves the image's size open; read for {_SIDE}x{_SIDE}.")
        return (channels, *(size or _SIDE for size in space))

    def _needed(self, wanted: str) -> list[Node]:
        """Return the nodes that a value needs and nothing has made yet, in order."""
        makers = {name: node for node in self.model.nodes for name in node.outputs if name}
        known, found, open_ = set(self.held), set[int](), [wanted]
        while open_:
            name = open_.pop()
            node = makers.get(name)
            if not name or name in known or node is None:
                continue
            known.add(name)
            found.add(id(node))
            # The size of a value is known from its record, so it is read where the value is.
            open_ += node.inputs
        return [node for node in self.model.nodes if id(node) in found]

    # -- nodes

    def _node(self, node: Node) -> None:
        missing = [name for name in node.inputs if name and name not in self.held]
        if missing:
            raise self.refuse(node, f"nothing before it gives {missing[0]!r}")
        if all(name in self.held for name in node.outputs if name):
            return
        known = FOLDS if self._constant(node) else READERS
        if node.domain or node.operator not in known:
            word = f"{node.domain}.{node.operator}" if node.domain else node.operator
            name = node.name or (node.outputs[0] if node.outputs else "")
            raise WeightsError(
                f"{self.path}: the node {name!r} is of operator {word}, which cannot be read. "
                f"What can: {', '.join(sorted(READERS))}."
            )
        inputs = [self.held[name] if name else None for name in node.inputs]
        found = self._called(node, inputs)
        self.held |= {name: made for name, made in zip(node.outputs, found, strict=False) if name}

    def _constant(self, node: Node) -> bool:
        """Tell whether a node computes of constants, or of a value's size, alone."""
        return node.operator == "Shape" or not any(
            isinstance(self.held.get(name), Value) for name in node.inputs
        )

    def _called(self, node: Node, inputs: list[Held]) -> Sequence[Held]:
        if node.operator == "Shape" and inputs and isinstance(inputs[0], Value):
            full = np.array((self.batch, *inputs[0].shape), np.int64)
            start, end = (node.attributes.get(word) for word in ("start", "end"))
            return [full[start:end]]
        if self._constant(node):
            try:
                made = fold(node, inputs)
            except WeightsError as error:
                raise self.refuse(node, str(error)) from error
            return [made]
        try:
            return READERS[node.operator](Call(node, inputs, self))
        except DesignError as error:
            raise self.refuse(node, str(error).rstrip(".")) from error
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise self.refuse(node, f"its attributes do not fit ({error})") from error

    def append(
        self, node: Node, layer: Layer, values: Sequence[Value], own: dict[str, Array]
    ) -> Value:
        """Append a record; its shape is computed there and then."""
        name = f"v{len(self.steps)}"
        made = layer.replace(name=name, inputs=tuple(each.name for each in values))
        shapes = [each.shape for each in values]
        value = Value(name, made.output(*shapes))
        self.shapes[name] = value.shape
        expected = {each.name: each.shape for each in made.parameters(*shapes)}
        for part, shape in expected.items():
            received = own[part].shape if part in own else None
            if received != shape:
                raise self.refuse(node, f"expected {part} of shape {shape}, received {received}")
        self.steps.append(Step(made, node, own))
        return value

    def before(self, value: Value) -> Step | None:
        """Return the last record, where it gives a value that nothing else reads."""
        if not self.steps or self.steps[-1].layer.name != value.name:
            return None
        return self.steps[-1] if self.readers[self.steps[-1].node.outputs[0]] == 1 else None

    def biased(self, value: Value, own: Array) -> Value | None:
        """Give a constant to the layer before it as its bias, where that has none and fits."""
        step = self.before(value)
        if step is None or getattr(step.layer, "bias", "") not in (False, "none"):
            return None
        wide = {design.Linear: 1, design.LinearLast: 1, design.Conv: len(value.shape)}
        axes = wide.get(type(step.layer), 99)  # where the channel's axis is, from the end
        flat, features = own.astype(np.float32).reshape(-1), getattr(step.layer, "features", 0)
        if flat.size != features or own.ndim < axes or own.shape[own.ndim - axes] != features:
            return None
        bias = "channel" if isinstance(step.layer, design.Conv) else True
        self.steps[-1] = Step(step.layer.replace(bias=bias), step.node, step.own | {"bias": flat})
        return value

    def shortcut(self, value: Value) -> tuple[Value, tuple[int, ...]]:
        """Take back a Slice of every so many pixels; returns what it read, and how many."""
        step = self.before(value)
        plain = (1,) * (len(value.shape) - 1)
        if step is None or not isinstance(step.layer, design.Slice):
            return value, plain
        source, shape = step.layer.inputs[0], self.shapes[step.layer.inputs[0]]
        strides = tuple(each for _, _, each in step.layer.ranges[1:])
        whole = step.layer.replace(ranges=((0, None, 1), *((0, None, each) for each in strides)))
        if len(strides) != len(plain) or whole.output(shape) != value.shape:
            return value, plain
        if any(start for start, _, _ in step.layer.ranges):
            return value, plain
        self.steps.pop()
        return Value(source, shape), strides

    # -- the end

    def _scores(self, end: Value) -> Value:
        """Return the scores before a final soft-max, as a vector where they are one."""
        tail = []
        while self.steps and self.steps[-1].layer.name == end.name:
            step = self.steps.pop()
            tail.append(step)
            source = step.layer.inputs[0]
            if isinstance(step.layer, design.Softmax):
                end = Value(source, self.shapes[source])
                tail = []
                break
            if not isinstance(step.layer, design.Flatten | design.Reshape):
                break
            end = Value(source, self.shapes[source])
        if tail:  # no soft-max there
            self.steps += reversed(tail)
            end = Value(self.steps[-1].layer.name, self.shapes[self.steps[-1].layer.name])
        if len(end.shape) > 1 and set(end.shape[1:]) == {1}:
            node = Node("Flatten", "", "", (), (), {})
            return self.append(node, design.Flatten(name="f", inputs=("x",)), [end], {})
        return end

    def _network(self, end: Value) -> Read:
        if self.input is None or not self.steps:
            raise WeightsError(f"{self.path} holds no layer that an image goes through.")
        named = dict(zip((step.layer.name for step in self.steps), self._names(), strict=True))
        named[self.input.name] = self.input.name
        layers = tuple(
            step.layer.replace(
                name=named[step.layer.name],
                inputs=tuple(named[each] for each in step.layer.inputs),
            )
            for step in self.steps
        )
        tensors = {
            f"{named[step.layer.name]}.{part}": array
            for step in self.steps
            for part, array in step.own.items()
        }
        name = re.sub(r"\W+", "_", self.path.stem, flags=re.ASCII).strip("_") or "onnx"
        try:
            network = Network(
                name=name,
                inputs=(self.input,),
                layers=layers,
                outputs=(Output(name="logits", source=named[end.name]),),
            )
        except DesignError as error:
            raise WeightsError(f"{self.path}: {error}") from error
        return Read(network, tensors, tuple(self.notes))

    def _names(self) -> list[str]:
        """Return names of layers: their parameters' own where they have them, else the nodes'."""
        paths = [_path(step.node) for step in self.steps]
        often = Counter(paths)
        wishes = []
        for step, path in zip(self.steps, paths, strict=True):
            owner = self._owner(step)
            word = str(type(step.layer).__struct_config__.tag)
            alone = often[path] == 1 and not any(each.startswith(f"{path}.") for each in paths)
            wishes.append(owner or (path if path and alone else f"{path}.{word}".lstrip(".")))
        return settled(wishes, [bool(step.own) for step in self.steps], ["x"])

    def _owner(self, step: Step) -> str:
        """Return the module whose `weight` a node reads, where its name says one."""
        for name in step.node.inputs if step.own else ():
            owner, dot, last = name.rpartition(".")
            if dot and last == "weight" and re.fullmatch(r"[A-Za-z_][\w.]*", owner):
                return owner
        return ""


def _path(node: Node) -> str:
    """Return where a node was called, as a module path, or its own name.

    Example:
        >>> _path(Node("Relu", "", "/layer1/layer1.0/relu/Relu", (), (), {}))
        'layer1.0.relu'
        >>> _path(Node("Conv", "", "", (), ("conv1_1",), {}))
        'conv1_1'
    """
    scopes = re.findall(r"'([^']*)'", node.scopes)
    if len(scopes) > 1:
        return str(scopes[-2])
    if node.name.startswith("/"):
        path = ""
        for part in node.name.split("/")[1:-1]:
            before = path.rpartition(".")[2] if "." not in part else part.rpartition(".")[0]
            inner = path and (path == before or path.endswith(f".{before}")) and "." in part
            if inner:
                path = f"{path}.{part[len(before) + 1 :]}"
            else:
                path = f"{path}.{part}" if path else part
        return path
    name = node.name or (node.outputs[0] if node.outputs else "")
    name = name.replace("/", "_").strip("_")
    return "" if name.isdecimal() else name
