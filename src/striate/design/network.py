"""A network on paper: named inputs, layers in execution order, outputs. Integers only.

Everything else is read off this one record: the sheet, the drawing, the memory forecast, the
nn.Module, the convolution plan, the fused inference net. They cannot disagree.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from striate.design.layer import Layer, Parameter, Shape
from striate.design.linear import Conv, Linear
from striate.errors import DesignError
from striate.records import Record

# What a module cannot be called, since torch.nn.Module means something else by it.
MODULE_ATTRIBUTES = frozenset(
    """T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda
    double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters network parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory source state_dict to to_empty train training type xpu
    zero_grad""".split()
)


class Input(Record, frozen=True, kw_only=True):
    """A named input with its shape without batch: (C,), (C, L) or (C, H, W)."""

    name: str
    shape: Shape


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


class Network(Record, frozen=True, kw_only=True):
    """A network on paper.

    Args:
        name: of the network.
        inputs: at least one.
        layers: in execution order; a layer reads inputs and layers before it.
        outputs: the first one is the main one.

    Raises:
        DesignError: a name that is taken, unusable or unknown, layers of a scope that are not
            together, or a layer that its inputs do not fit; names the layer.
    """

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        if not (self.inputs and self.layers and self.outputs):
            raise DesignError(f"{self.name}: expected at least one input, layer and output.")
        if self.outputs[0].train_only:
            raise DesignError(f"{self.name}: the main output cannot be for training only.")
        _check_names(self)
        _check_scopes([layer.name for layer in self.layers])
        self.shapes()

    # -- shapes and counts

    def shapes(self) -> Mapping[str, Shape]:
        """Return the shape of every value, inputs and layers, by name."""
        return _shapes(self)

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Return the shapes that a layer reads."""
        shapes = self.shapes()
        return tuple(shapes[name] for name in layer.inputs)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return every trained tensor by its full name, shared ones once, in layer order."""
        return _parameters(self)

    def parameter_count(self) -> int:
        """Return the number of trained values."""
        return sum(parameter.size for parameter in self.parameters())

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
    def classes(self) -> int:
        """Features of the main output."""
        return self.shapes()[self.outputs[0].source][0]

    def layer(self, name: str) -> Layer:
        """Return the layer of that name."""
        for each in self.layers:
            if each.name == name:
                return each
        raise DesignError(f"{self.name} has no layer {name!r}.")

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
        try:
            return self.replace(inputs=(first, *self.inputs[1:]))
        except DesignError as error:
            raise explain_size(self, shape, error) from error

    def with_classes(self, classes: int) -> tuple[Network, dict[str, str]]:
        """Return the network with another number of classes, and which parameters carry over.

        Returns:
            The network, and a map from names of its parameters to those of this one, without
            the tensors of the last layer, whose shape is new.
        """
        changed = [
            self._classifier(output.source).name
            for output in self.outputs
            if self.shapes()[output.source] == self.shapes()[self.outputs[0].source]
        ]
        layers = tuple(
            each.replace(features=classes) if each.name in changed else each for each in self.layers
        )
        kept = {
            parameter.name: parameter.name
            for parameter in self.parameters()
            if parameter.name.rpartition(".")[0] not in changed
        }
        return self.replace(layers=layers), kept

    def minimum_input(self) -> Shape:
        """Return the smallest square image, (C, S, S), that every layer fits."""
        for size in range(1, 1025):
            shape = (self.input_shape[0], *(size,) * (len(self.input_shape) - 1))
            if _fits(self, shape):
                return shape
        raise DesignError(f"{self.name} fits no square input of up to 1024 pixels.")

    def _classifier(self, name: str) -> Layer:
        """Return the last layer with features at or before a value, through one-input layers."""
        layers = {layer.name: layer for layer in self.layers}
        while name in layers:
            layer = layers[name]
            if isinstance(layer, Conv | Linear):
                return layer
            if len(layer.inputs) != 1:
                break
            name = layer.inputs[0]
        raise DesignError(f"{self.name}: no Linear or Conv ends in its output, so no class count.")


def explain_size(network: Network, shape: Shape, error: DesignError) -> DesignError:
    """Add to a size that does not fit the smallest one that does."""
    channels, *space = shape
    try:
        smallest = network.minimum_input()
    except DesignError:
        return error
    if all(have >= need for have, need in zip(space, smallest[1:], strict=False)):
        return error
    size = "x".join(map(str, space))
    fits = "x".join(map(str, smallest[1:]))
    return DesignError(
        f"{network.name} does not take images of {size}: {error}. "
        f"The smallest that fits is {fits}.",
        error.layer,
    )


def _fits(network: Network, shape: Shape) -> bool:
    shapes = {each.name: each.shape for each in network.inputs} | {network.inputs[0].name: shape}
    try:
        _infer(network, shapes)
    except DesignError:
        return False
    return True


@lru_cache(maxsize=64)
def _shapes(network: Network) -> Mapping[str, Shape]:
    shapes = {each.name: each.shape for each in network.inputs}
    _infer(network, shapes)
    return MappingProxyType(shapes)


def _infer(network: Network, shapes: dict[str, Shape]) -> None:
    for layer in network.layers:
        shapes[layer.name] = layer.output(*(shapes[name] for name in layer.inputs))


@lru_cache(maxsize=64)
def _parameters(network: Network) -> tuple[Parameter, ...]:
    return tuple(
        parameter._replace(name=f"{layer.name}.{parameter.name}")
        for layer in network.layers
        for parameter in layer.parameters(*network.input_shapes(layer))
    )


# -- names


def _check_names(network: Network) -> None:
    known: set[str] = set()
    for each in network.inputs:
        _check_name(network, each.name)
        if "." in each.name or each.name in known:
            raise DesignError(
                f"{network.name}: expected a plain, new input name, got {each.name!r}."
            )
        known.add(each.name)
    for layer in network.layers:
        _check_name(network, layer.name)
        if layer.name in known:
            raise DesignError(f"{network.name}: two values are called {layer.name!r}.", layer.name)
        _check_reads(network, layer, known)
        known.add(layer.name)
    for output in network.outputs:
        if output.source not in known:
            raise DesignError(
                f"{network.name}: output {output.name!r} is {output.source!r}, which "
                "no layer gives."
            )


def _check_reads(network: Network, layer: Layer, known: set[str]) -> None:
    unknown = [name for name in layer.inputs if name not in known]
    if unknown:
        raise DesignError(
            f"{network.name}: {layer.name} reads {', '.join(map(repr, unknown))}, which no input "
            "or earlier layer gives.",
            layer.name,
        )
    expected = layer.arity
    if not layer.inputs or (expected is not None and len(layer.inputs) != expected):
        wanted = "at least one input" if expected is None else f"{expected} input"
        raise DesignError(
            f"{network.name}: {layer.name} expected {wanted}, received {len(layer.inputs)}.",
            layer.name,
        )
    if layer.shares is not None and layer.shares not in known:
        raise DesignError(
            f"{network.name}: {layer.name} shares the parameters of {layer.shares!r}, which no "
            "earlier layer is.",
            layer.name,
        )


def _check_name(network: Network, name: str) -> None:
    for part in name.split("."):
        usable = part.isdecimal() or (part.isidentifier() and not keyword.iskeyword(part))
        if not usable or part in MODULE_ATTRIBUTES or part.startswith("_"):
            raise DesignError(
                f"{network.name}: {name!r} cannot name a module: {part!r} is "
                + ("taken by nn.Module." if part in MODULE_ATTRIBUTES else "no identifier."),
                name,
            )


def _check_scopes(names: list[str]) -> None:
    """Refuse a name that is another's scope, and a scope whose layers are not together."""
    taken = set(names)
    closed: set[str] = set()
    before: list[str] = []
    for name in names:
        scopes = list(_scopes(name))
        for scope in scopes:
            if scope in taken:
                raise DesignError(f"{scope!r} is a layer and cannot hold {name!r} as well.", name)
            if scope in closed:
                raise DesignError(
                    f"The layers of {scope!r} are not together: {name!r} comes after others.", name
                )
        closed.update(scope for scope in before if scope not in scopes)
        before = scopes


def _scopes(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts)):
        yield ".".join(parts[:end])
