"""A network on paper: named inputs, layers in execution order, outputs. Integers only.

Everything else is read off this one record: the sheet, the drawing, the memory forecast, the
nn.Module, the convolution plan, the fused inference net. They cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from striate.design.edits import convolutional, with_classes, without
from striate.design.failure import explain, smallest_image
from striate.design.layer import Answer, Layer, Parameter, Shape
from striate.design.names import check_names, check_scopes, no_such_part
from striate.design.shapes import infer
from striate.errors import DesignError
from striate.records import Record, to_json


class Input(Record, frozen=True, kw_only=True):
    """A named input with its shape without batch: (C,), (C, L), (C, H, W) or (C, D, H, W)."""

    name: str
    shape: Shape

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= 4 or min(self.shape) < 1:
            raise DesignError(
                f"Input {self.name}: expected (channels, height, width) of at least 1 each, "
                f"received shape {self.shape}."
            )


class Output(Record, frozen=True, kw_only=True):
    """A named output.

    Args:
        name: of the output.
        source: the value it is.
        train_only: an auxiliary head that evaluation does without.
        loss_weight: its share in the loss.
    """

    name: str
    source: str
    train_only: bool = False
    loss_weight: float = 1.0


class Network(Record, frozen=True, kw_only=True, cache_hash=True, dict=True):
    """A network on paper.

    Args:
        name: of the network.
        inputs: at least one.
        layers: in execution order; a layer reads inputs and layers before it.
        outputs: the first one is the main one.
        renamed: of a described module, (name here, name there) of each parameter and buffer that
            cannot be called here as it is there.

    Raises:
        DesignError: a name that is taken, unusable or unknown, layers of a scope that are not
            together, or a layer that its inputs do not fit; names the layer.
    """

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[Output, ...]
    renamed: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not (self.inputs and self.layers and self.outputs):
            raise DesignError(f"{self.name}: expected at least one input, layer and output.")
        if self.outputs[0].train_only:
            raise DesignError(f"{self.name}: the main output cannot be for training only.")
        check_names(self)
        check_scopes([layer.name for layer in self.layers])
        self.shapes()

    # -- shapes and counts

    def shapes(self) -> Mapping[str, Shape]:
        """Return the shape of every value, inputs and layers, by name."""
        return self._shapes

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Return the shapes that a layer reads."""
        shapes = self.shapes()
        return tuple(shapes[name] for name in layer.inputs)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return every trained tensor by its full name, shared ones once, in layer order."""
        return self._parameters

    def parameter_count(self, *, train: bool = True) -> int:
        """Return the number of trained values, with or without heads for training only."""
        used = self.needed(train=train)
        owners = {layer.shares or layer.name for layer in self.layers if layer.name in used}
        return sum(
            parameter.size
            for parameter in self.parameters()
            if train or parameter.name.rpartition(".")[0] in owners
        )

    def macs(self) -> int:
        """Return the multiply-adds of convolutions and linear layers for one image in evaluation.

        FLOPs are twice as many. Heads for training only do not count.
        """
        used = self.needed(train=False)
        return sum(
            layer.macs(*self.input_shapes(layer)) for layer in self.layers if layer.name in used
        )

    @property
    def input_shape(self) -> Shape:
        """The shape of the first input, without batch."""
        return self.inputs[0].shape

    @property
    def answer(self) -> Answer:
        """What the numbers of the main output are: logits, or distances to the classes."""
        source = self.outputs[0].source
        return next((each.answer for each in self.layers if each.name == source), "logits")

    @property
    def classes(self) -> int:
        """Features of the main output."""
        return self.shapes()[self.outputs[0].source][0]

    def layer(self, name: str) -> Layer:
        """Return the layer of that name.

        Raises:
            UsageError: there is none; carries the nearest names.
        """
        for each in self.layers:
            if each.name == name:
                return each
        raise no_such_part(self.name, name, (each.name for each in self.layers))

    def members(self, scope: str) -> Sequence[Layer]:
        """Return the layers in a scope and in scopes below, in order; "" is the whole network."""
        return self._members[scope]

    def readers(self) -> Mapping[str, Sequence[str]]:
        """Return the layers that read each layer's value; "" among them where it is an output."""
        return self._readers

    def needed(self, *, train: bool) -> frozenset[str]:
        """Return the names of all values that the outputs depend on, with or without training."""
        wanted = {output.source for output in self.outputs if train or not output.train_only}
        for layer in reversed(self.layers):
            if layer.name in wanted:
                wanted.update(layer.inputs)
        return frozenset(wanted)

    # -- edits, each a new network

    def with_input(self, shape: Shape) -> Network:
        """Return the same layers over another input shape, (C, H, W) for images.

        Raises:
            DesignError: a layer does not fit; names it, what it got and the smallest input that
                fits.
        """
        first = self.inputs[0].replace(shape=tuple(shape))
        return self.replace(inputs=(first, *self.inputs[1:]))

    def with_classes(self, classes: int) -> tuple[Network, dict[str, str]]:
        """Return the network with another number of classes, and which parameters carry over.

        Returns:
            The network, and a map from names of its parameters to those of this one, without
            the tensors of the last layer, whose shape is new.

        Raises:
            DesignError: no layer with features ends in an output.
        """
        return with_classes(self, classes)

    def without(self, *names: str) -> tuple[Network, dict[str, str]]:
        """Return the network without some layers, and which parameters carry over.

        Args:
            names: layers, or scopes with all their layers. What read a removed layer reads that
                layer's input; an output for training only goes with the layer it came from, and
                so does whatever nothing needs any more.

        Raises:
            UsageError: no such layer; carries the nearest names.
            DesignError: one of several inputs that something else still reads.
        """
        return without(self, names)

    def convolutional(self) -> tuple[Network, dict[str, str]]:
        """Return the network that slides over larger images, and which parameters carry over.

        A Linear after Flatten becomes a Conv as large as what was flattened, later ones become 1x1;
        adaptive pooling becomes the window it is at this input. On this input the answer is the
        same, (classes, 1, 1); on a larger one a map of answers. A parameter of the old network fits
        by reshaping: its elements lie in the same order.

        Raises:
            DesignError: adaptive pooling with windows of different sizes.

        Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks", CVPR 2015, section 3.1.
        """
        return convolutional(self)

    def minimum_input(self) -> Shape:
        """Return the smallest square image, (C, S, S), that every layer fits."""
        smallest = smallest_image(self.layers, {each.name: each.shape for each in self.inputs})
        if smallest is not None:
            return smallest
        raise DesignError(f"{self.name} fits no square input of up to 1024 pixels.")

    # -- on disk

    def save(self, path: Path | str) -> None:
        """Write the network as JSON, which every command takes as NET: `--net own.json`.

        Args:
            path: the file, usually *.json; one that is there is replaced.

        Raises:
            RunError: the place cannot be written to.
        """
        from striate.files import atomic_write  # sockets and locks, which paper is spared else

        atomic_write(path, to_json(self, indent=2) + b"\n")

    # -- counted once for each object: looking a network up by its value would compare every layer

    @cached_property
    def _shapes(self) -> Mapping[str, Shape]:
        inputs = {each.name: each.shape for each in self.inputs}
        shapes = dict(inputs)
        try:
            infer(self.layers, shapes)
        except DesignError as error:
            raise explain(self.name, self.layers, inputs, error) from error
        return MappingProxyType(shapes)

    @cached_property
    def _parameters(self) -> tuple[Parameter, ...]:
        return tuple(
            parameter._replace(name=f"{layer.name}.{parameter.name}")
            for layer in self.layers
            for parameter in layer.parameters(*self.input_shapes(layer))
        )

    @cached_property
    def _members(self) -> Mapping[str, Sequence[Layer]]:
        members: dict[str, list[Layer]] = {"": []}
        for layer in self.layers:
            scope = layer.name
            while scope:
                scope = scope.rpartition(".")[0]
                members.setdefault(scope, []).append(layer)
        return members

    @cached_property
    def _readers(self) -> Mapping[str, Sequence[str]]:
        readers: dict[str, list[str]] = {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for value in layer.inputs:
                readers.setdefault(value, []).append(layer.name)
        for output in self.outputs:
            readers.setdefault(output.source, []).append("")
        return readers
