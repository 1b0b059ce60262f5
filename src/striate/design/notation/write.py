"""From a chain on paper to its notation; what was left out in writing stays left out."""

from __future__ import annotations

from functools import singledispatch

from striate.design.arithmetic import Padding
from striate.design.elementwise import Elementwise, PReLU
from striate.design.layer import Layer
from striate.design.linear import Conv, Linear, by
from striate.design.network import Network
from striate.design.notation.build import Builder
from striate.design.notation.parse import items_of
from striate.design.notation.rules import (
    DEFAULT_INPUT,
    HIDDEN,
    KERNEL,
    RULES,
    WINDOW,
    Namer,
    filters_after,
    padding_of,
)
from striate.design.pointing import Text
from striate.design.pointwise import (
    GELU,
    LRN,
    Activation,
    BatchNorm,
    Dropout,
    LeakyReLU,
    Noise,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from striate.design.pooling import AdaptiveAvgPool, AdaptivePool, AvgPool, MaxPool, Pool
from striate.design.wiring import Flatten, Pad
from striate.errors import DesignError


class Context:
    """What the writing of a layer depends on.

    Args:
        left_out: the rules whose sentence is the note of this layer or of one before it.
        own: those of this layer.
        pools: poolings before it.
    """

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self.own: set[str] = set()
        self.pools = 0

    def come_to(self, layer: Layer) -> None:
        """Go on to a layer."""
        self.own = {rule for rule, sentence in RULES.items() if sentence in layer.note}
        self.left_out |= self.own

    def omits(self, rule: str, as_it_would_be: bool) -> bool:
        """Tell whether a value is left out: it is the rule's, and the rule is in use."""
        return as_it_would_be and rule in self.left_out


def to_notation(network: Network, *, names: bool = True) -> str:
    """Return the notation of a chain: what `parse` reads as the same layers.

    Sizes, and names where they are not the ones that `parse` would give; not how weights start nor
    learning-rate multipliers, which notation has no words for.

    Args:
        network: layers one after another, over images or a vector.
        names: whether to write names.

    Raises:
        DesignError: branches, or a layer that notation has no word for; names it.

    Example:
        >>> from striate.design.notation import parse
        >>> to_notation(parse("INPUT 28x28 CONV5-6/1p2, POOL2/2, FC-10"))
        'input 28x28x1 conv5-6/1p2 maxpool2/2 FC-10'
    """
    _check_chain(network)
    for faithful, named in ((True, names), (False, names), (False, False)):
        written = _write(network, faithful, named)
        try:
            text = Text(written, "notation")
            read = Builder(text, None, None).network(items_of(text), network.name)
        except DesignError:
            continue
        if read == network or (
            not faithful and _skeleton(read, named) == _skeleton(network, named)
        ):
            return written
    raise DesignError(
        f"{network.name}: notation cannot express this chain; its record as JSON keeps all of it."
    )


def _check_chain(network: Network) -> None:
    before = network.inputs[0].name
    for layer in network.layers:
        if layer.inputs != (before,):
            raise layer.refuse(
                f"notation writes chains; expected it to read {before}, it reads "
                f"{', '.join(layer.inputs)}"
            )
        if layer.shares:
            raise layer.refuse(f"notation has no word for sharing parameters of {layer.shares}")
        before = layer.name
    if len(network.outputs) > 1 or network.outputs[0].source != before:
        raise DesignError(f"{network.name}: notation writes chains with one output, the last.")
    if len(network.input_shape) not in (1, 3):
        raise DesignError(f"{network.name}: notation writes images and vectors only.")
    if isinstance(network.layers[-1], Softmax):
        raise network.layers[-1].refuse("notation leaves a final soft-max to the loss; drop it")


def _write(network: Network, faithful: bool, names: bool) -> str:
    context, namer = Context(), Namer()
    shape = network.input_shape
    first = network.layers[0].note if faithful else ""
    parts = []
    if not (RULES["input"] in first and shape == DEFAULT_INPUT):
        parts.append(f"input {by((*shape[1:], shape[0]))}")
    hidden = faithful and any(RULES["relu"] in layer.note for layer in network.layers)
    if not any(map(_activates, network.layers)):
        parts.append("no-relu")
    for layer, after in zip(network.layers, (*network.layers[1:], None), strict=True):
        if faithful:
            context.come_to(layer)
        word = spell(layer, context)
        context.pools += isinstance(layer, Pool | AdaptivePool)
        expected = namer.name(_base(layer))
        shown = not (hidden and isinstance(layer, ReLU)) and "added" not in context.own
        shown = shown and "classifier" not in context.own
        label = "" if layer.name == expected else layer.name
        if isinstance(layer, Flatten) and not label and _implied(network, layer, after):
            continue
        if label and names:
            namer.name(_base(layer), label)
        if shown:
            parts.append(f"{label}: {word}" if label and names else word)
        if "dropped" in context.own:
            parts.append("maxpool?")
        if "softmax" in context.own:
            parts.append("soft-max")
    return " ".join(parts)


def _activates(layer: Layer) -> bool:
    """Tell whether a layer is what reading counts as an activation that is written."""
    kinds = Activation | PReLU | Elementwise
    return isinstance(layer, kinds) and not isinstance(layer, Softmax)


def _implied(network: Network, layer: Flatten, after: Layer | None) -> bool:
    """Tell whether reading puts a Flatten there by itself: before FC, and of one last pixel."""
    shape = network.input_shapes(layer)[0]
    if len(shape) < 2:
        return False
    return isinstance(after, Linear) or (after is None and max(shape[1:]) == 1)


def _base(layer: Layer) -> str:
    """Return what the names of a kind begin with."""
    if isinstance(layer, Noise) and layer.form == "additive":
        return "noise"
    if isinstance(layer, Pool | AdaptivePool):
        return "pool"
    if isinstance(layer, Elementwise):
        return layer.function
    bases: dict[type[Layer], str] = {
        Conv: "conv",
        Linear: "fc",
        LRN: "norm",
        BatchNorm: "bn",
        Dropout: "drop",
        Noise: "drop",
        LeakyReLU: "relu",
        ReLU6: "relu",
    }
    return bases.get(type(layer), str(type(layer).__struct_config__.tag))


def _skeleton(network: Network, names: bool) -> tuple[object, ...]:
    """Return what notation carries of a network: kinds and sizes, and names if wanted."""
    left_out = {"inputs", "note", "trainable", "rates", "decays", "weight_init", "bias_init"}
    left_out |= {"in_channels", "in_features"}
    left_out |= set() if names else {"name"}
    return network.input_shape, *(
        (
            type(layer),
            [getattr(layer, key) for key in layer.__struct_fields__ if key not in left_out],
        )
        for layer in network.layers
    )


# -- layers ----------------------------------------------------------------------------------------


@singledispatch
def spell(layer: Layer, context: Context) -> str:
    """Return a layer in notation.

    Raises:
        DesignError: notation has no word for it.
    """
    raise layer.refuse(f"notation has no word for a {type(layer).__struct_config__.tag}")


@spell.register
def _(layer: Conv, context: Context) -> str:
    if len(layer.kernel) != 2 or layer.connections is not None:
        raise layer.refuse("notation writes full convolutions of images only")
    like = padding_of(None, layer.kernel, layer.stride, layer.dilation)
    kernel = context.omits("kernel", layer.kernel == KERNEL)
    filters = context.omits("filters", layer.features == filters_after(context.pools))
    stride = context.omits("stride", layer.stride == (1, 1))
    padding = context.omits("padding", layer.padding == like)
    return "".join(
        (
            "conv",
            "" if kernel else _sizes(layer.kernel),
            "" if filters else f"-{layer.features}",
            "" if stride else f"/{_sizes(layer.stride)}",
            "" if padding else f"p{_paddings(layer.padding)}",
            "" if layer.dilation == (1, 1) else f"d{_sizes(layer.dilation)}",
            "" if layer.groups == 1 else f"g{layer.groups}",
            {"channel": "", "none": "b0", "position": "bxy"}[layer.bias],
        )
    )


@spell.register
def _(layer: Linear, context: Context) -> str:
    omitted = "classes" in context.own or context.omits("hidden", layer.features == HIDDEN)
    return f"FC{'' if omitted else f'-{layer.features}'}{'' if layer.bias else 'b0'}"


@spell.register(MaxPool)
@spell.register(AvgPool)
def _(layer: Pool, context: Context) -> str:
    if len(layer.kernel) != 2:
        raise layer.refuse("notation writes pooling of images only")
    kernel = context.omits("window", layer.kernel == WINDOW)
    stride = context.omits("steps", layer.stride == layer.kernel)
    padded = any(end for pair in layer.padding for end in pair)
    return "".join(
        (
            "maxpool" if isinstance(layer, MaxPool) else "avgpool",
            "" if kernel else _sizes(layer.kernel),
            "" if stride else f"/{_sizes(layer.stride)}",
            f"p{_paddings(layer.padding)}" if padded else "",
            "c" if layer.ceil else "",
            "e" if isinstance(layer, AvgPool) and not layer.count_padding else "",
            "?" if "optional" in context.own else "",
        )
    )


@spell.register
def _(layer: AdaptivePool, context: Context) -> str:
    if len(layer.size) != 2:
        raise layer.refuse("notation writes pooling of images only")
    average = isinstance(layer, AdaptiveAvgPool)
    if layer.size == (1, 1):
        return "gap" if average else "gmp"
    return f"{'avg' if average else 'max'}pool={_sizes(layer.size)}"


@spell.register
def _(layer: Dropout, context: Context) -> str:
    return "dropout" if context.omits("p", layer.p == 0.5) else f"dropout({layer.p!r})"


@spell.register
def _(layer: Noise, context: Context) -> str:
    if layer.form == "additive":
        return f"gaussian noise({layer.amount!r})"
    word = f"{layer.form} dropout"
    return word if context.omits("p", layer.amount == 0.5) else f"{word}({layer.amount!r})"


@spell.register
def _(layer: LRN, context: Context) -> str:
    constants = (layer.size, layer.alpha, layer.beta, layer.k)
    if context.omits("lrn", constants == (5, 1e-4, 0.75, 1.0)):
        return "LRN"
    return f"LRN({', '.join(map(repr, constants))})"


@spell.register
def _(layer: BatchNorm, context: Context) -> str:
    if (layer.eps, layer.momentum, layer.affine, layer.running) != (1e-5, 0.1, True, True):
        raise layer.refuse(
            "notation writes batch norm with eps 1e-5, momentum 0.1, affine and running only"
        )
    return "BN"


@spell.register
def _(layer: LeakyReLU, context: Context) -> str:
    plain = context.omits("slope", layer.slope == 0.01)
    return "leakyrelu" if plain else f"leakyrelu({layer.slope!r})"


@spell.register
def _(layer: Tanh, context: Context) -> str:
    plain = (layer.outer, layer.inner) == (1.0, 1.0)
    return "tanh" if plain else f"tanh({layer.outer!r}, {layer.inner!r})"


@spell.register
def _(layer: PReLU, context: Context) -> str:
    return "prelu" if layer.each else "shared prelu"


@spell.register
def _(layer: Elementwise, context: Context) -> str:
    if layer.function != "hardswish":
        raise layer.refuse(f"notation has no word for {layer.function}")
    return layer.function


@spell.register
def _(layer: Pad, context: Context) -> str:
    if layer.mode != "zero" or len(layer.padding) != 2:
        raise layer.refuse("notation writes zeros around images only")
    return f"zeropad{_paddings(layer.padding)}"


@spell.register(ReLU)
@spell.register(ReLU6)
@spell.register(Sigmoid)
@spell.register(GELU)
@spell.register(SiLU)
@spell.register(Softmax)
@spell.register(Flatten)
def _(layer: Layer, context: Context) -> str:
    return str(type(layer).__struct_config__.tag)


def _sizes(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else by(sizes)


def _paddings(padding: tuple[Padding, ...]) -> str:
    axes = [str(a) if a == b else f"{a}:{b}" for a, b in padding]
    return axes[0] if len(set(axes)) == 1 else "x".join(axes)
