"""From the layers a notation writes to the Network: sizes, what is left out, checks of volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from striate.design.failure import explain
from striate.design.init import Constant, He
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear, by
from striate.design.network import Input, Network, Output
from striate.design.notation.items import MOST_LAYERS, Item, Sizes
from striate.design.notation.rules import (
    ACTIVATIONS,
    DEFAULT_CLASSES,
    DEFAULT_INPUT,
    HIDDEN,
    KERNEL,
    NOISES,
    RULES,
    WEIGHTED,
    WINDOW,
    Namer,
    filters_after,
    gives_scores,
    lacks_classifier,
    padding_of,
)
from striate.design.notation.words import NAMES
from striate.design.pointing import Text
from striate.design.pointwise import (
    LRN,
    BatchNorm,
    Dropout,
    LeakyReLU,
    Noise,
    ReLU,
    Softmax,
    Tanh,
)
from striate.design.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool
from striate.design.wiring import Flatten, Pad
from striate.errors import DesignError

_EXPLAINED = 200  # layers of a network for which an image that would fit is looked for


class Builder:
    """Layers put one after another, each checked against what came before.

    Args:
        text: that errors point into.
        shape: of the input; None takes the text's, or 224x224x3.
        classes: of a last layer that does not say them.
        explains: whether an error looks for an image that would fit.
    """

    def __init__(
        self, text: Text, shape: Shape | None, classes: int | None, explains: bool = True
    ) -> None:
        self.text, self.given, self.classes, self.explains = text, shape, classes, explains
        self.items: Sequence[Item] = ()
        self.layers: list[Layer] = []
        self.taken = {"x": 0}  # names, and where each stands
        self.last = "x"
        self.source = self.shape = shape or DEFAULT_INPUT
        self.namer = Namer()
        self.noted: set[str] = set()
        self.notes: list[str] = []  # of the next layer
        self.pools = 0
        self.checks = True  # whether the text's volumes are of this input

    # -- the whole

    def network(self, items: Sequence[Item], name: str) -> Network:
        """Return the network of the layers."""
        self.items = items
        items = self._source(items)
        source = Input(name="x", shape=self.shape)
        implicit = not any(item.kind in ACTIVATIONS or item.kind == "no_relu" for item in items)
        items = [item for item in items if item.kind != "no_relu"]
        if lacks_classifier(items):
            items = [*items, Item("classifier", items[-1].position, {})]
        weighted = [index for index, item in enumerate(items) if item.kind in WEIGHTED]
        last = len(items) - 1
        if items and items[-1].kind == "softmax" and not gives_scores(items[:-1]):
            weighted.append(last)  # its weights come with the soft-max
        waiting = False
        for index, item in enumerate(items):
            if waiting and item.kind != "batch_norm":
                self._relu(item)
                waiting = False
            self._put(item, index == last, bool(weighted) and index == weighted[-1])
            waiting |= implicit and index in weighted[:-1]
        if not self.layers:
            raise self.text.error(0, "expected at least one layer besides the input.")
        if len(self.shape) > 1 and max(self.shape[1:]) == 1:
            self._vector(items[-1])  # scores of a single pixel: losses take a vector
        try:
            return Network(
                name=name,
                inputs=(source,),
                layers=tuple(self.layers),
                outputs=(Output(name="logits", source=self.last),),
            )
        except DesignError as error:  # names that are no module path, or a scope torn apart
            position = self.taken.get(error.layer or "", 0)
            raise self.text.error(position, _sentence(error), layer=error.layer) from error

    def _source(self, items: Sequence[Item]) -> list[Item]:
        """Take the input off the layers."""
        inputs = [item for item in items if item.kind == "input"]
        if any(item is not items[0] for item in inputs):
            misplaced = next(item for item in inputs if item is not items[0])
            raise self.text.error(misplaced.position, "expected the input before all layers, once.")
        written = self._image(inputs[0]) if inputs else None
        if self.given is None and written is None:
            self._rule("input")
        self.shape = self.given or written or DEFAULT_INPUT
        self.source = self.shape
        self.checks = written in (None, self.shape)
        return list(items[len(inputs) :])

    def _image(self, item: Item) -> Shape | None:
        sizes: Any = item.values.get("shape", item.volume)
        if not sizes:
            return None
        if min(sizes) < 1:
            raise self.text.error(item.position, f"expected sizes of at least 1, received {sizes}.")
        if len(sizes) == 3 and sizes[0] in (1, 3) and sizes[1] == sizes[2] > 4:
            height, width = sizes[1:]
            raise self.text.error(
                item.position,
                f"expected the input as height x width x channels, as papers print it: write "
                f"{height}x{width}x{sizes[0]}, not {by(sizes)}.",
            )
        if len(sizes) == 1:
            return tuple(sizes)
        return (sizes[2] if len(sizes) == 3 else 1, *sizes[:2])

    # -- one layer

    def _put(self, item: Item, final: bool, classifier: bool) -> None:
        if item.optional and item.kind not in ("max_pool", "avg_pool"):
            raise self.text.error(item.position, "expected '?' behind a pooling layer, POOL?.")
        if item.kind == "softmax" and final:
            self._final_softmax(item, classifier)
            return
        makers: dict[str, Callable[[Item, bool], Layer | None]] = {
            "conv": self._conv,
            "fc": self._fc,
            "classifier": self._classifier,
            "max_pool": self._pool,
            "avg_pool": self._pool,
        }
        layer = makers.get(item.kind, self._other)(item, classifier)
        if layer is not None:
            self._append(layer, item)

    def _append(self, layer: Layer, item: Item) -> None:
        """Add a layer, checked to fit and to give what the text says."""
        if len(self.layers) >= MOST_LAYERS:
            raise self.text.error(item.position, f"expected at most {MOST_LAYERS:,} layers.")
        if layer.name in self.taken:
            raise self.text.error(item.position, f"two layers are called {layer.name!r}.")
        if self.notes:
            layer, self.notes = layer.replace(note="; ".join(self.notes)), []
        try:
            shape = layer.output(self.shape)
        except DesignError as error:
            raise self._explained(item, layer, error) from error
        self.layers.append(layer)
        self.taken[layer.name] = item.position
        self.last, self.shape = layer.name, shape
        if item.volume and self.checks and not _same_volume(item.volume, shape):
            given = by((*shape[1:], shape[0]))
            raise self.text.error(
                item.position,
                f"the text says that {layer.name} gives {by(item.volume)}; it gives {given}.",
                layer=layer.name,
            )

    def _explained(self, item: Item, layer: Layer, error: DesignError) -> DesignError:
        """Return the error that points at the item, with the table up to there and what fits."""
        if self.explains and len(self.items) <= _EXPLAINED:
            layers = [*self.layers, layer]
            error = explain("this network", layers, {"x": self.source}, error, self._takes)
        return self.text.error(
            item.position,
            _sentence(error),
            layer=layer.name,
            table=error.table,
            least=error.least,
        )

    def _takes(self, image: Shape) -> bool:
        """Return whether the whole text is a network for an image."""
        try:
            Builder(self.text, image, self.classes, explains=False).network(self.items, "whole")
        except DesignError:
            return False
        return True

    def _make(self, kind: Callable[..., Layer], item: Item, base: str, **fields: Any) -> Layer:
        name = self.namer.name(base, item.name)
        try:
            return kind(name=name, inputs=(self.last,), **fields)
        except DesignError as error:
            raise self.text.error(item.position, _sentence(error), layer=name) from error

    def _rule(self, rule: str) -> None:
        """Note that something was left out, on the first layer where it is."""
        if rule not in self.noted:
            self.noted.add(rule)
            self.notes.append(RULES[rule])

    def _conv(self, item: Item, _: bool) -> Layer:
        values: dict[str, Any] = item.values
        for key, rule in (("features", "filters"), ("kernel", "kernel"), ("stride", "stride")):
            if key not in values:
                self._rule(rule)
        kernel = values.get("kernel", KERNEL)
        stride = values.get("stride", (1, 1))
        dilation = values.get("dilation", (1, 1))
        if "padding" not in values:
            self._rule("padding")
        return self._make(
            Conv,
            item,
            "conv",
            features=values.get("features", filters_after(self.pools)),
            kernel=kernel,
            stride=stride,
            padding=padding_of(values.get("padding"), kernel, stride, dilation),
            dilation=dilation,
            groups=values.get("groups", 1),
            bias=values.get("bias", "channel"),
            weight_init=He(),
            bias_init=Constant(),
        )

    def _fc(self, item: Item, classifier: bool) -> Layer:
        features: Any = item.values.get("features")
        if features is None and item.volume:
            features = item.volume[-1]
        if features is None and classifier:
            features = self.classes or DEFAULT_CLASSES
            if self.classes is None:
                self._rule("classes")
        elif features is None:
            self._rule("hidden")
            features = HIDDEN
        self._vector(item)
        bias = item.values.get("bias") != "none"
        return self._make(
            Linear,
            item,
            "fc",
            features=features,
            bias=bias,
            weight_init=He(),
            bias_init=Constant(),
        )

    def _vector(self, item: Item) -> None:
        """Flatten what comes before, if it is an image; the notes go to the layer after."""
        if len(self.shape) > 1:
            notes, self.notes = self.notes, []
            name = self.namer.name("flatten")
            self._append(Flatten(name=name, inputs=(self.last,)), item._replace(volume=()))
            self.notes = notes

    def _pool(self, item: Item, _: bool) -> Layer | None:
        values: dict[str, Any] = item.values
        self.pools += 1
        if "to" in values:
            adaptive = AdaptiveMaxPool if item.kind == "max_pool" else AdaptiveAvgPool
            return self._make(adaptive, item, "pool", size=values["to"])
        kernel = values.get("kernel", WINDOW)
        if item.optional and any(size < k for size, k in zip(self.shape[1:], kernel, strict=False)):
            self.pools -= 1
            self._remark("dropped")
            return None
        if "kernel" not in values:
            self._rule("window")
        if "stride" not in values:
            self._rule("steps")
        if item.optional:
            self._rule("optional")
        fields: dict[str, Any] = {"count_padding": False} if "exclude" in values else {}
        if fields and item.kind == "max_pool":
            raise self.text.error(item.position, "max pooling does not average: leave out 'e'.")
        padding = values.get("padding", "valid")
        return self._make(
            MaxPool if item.kind == "max_pool" else AvgPool,
            item,
            "pool",
            kernel=kernel,
            stride=values.get("stride", kernel),
            padding=padding_of(padding, kernel, kernel, (1, 1)),
            ceil="ceil" in values,
            **fields,
        )

    def _other(self, item: Item, _: bool) -> Layer:
        values: dict[str, Any] = item.values
        base = NAMES.get(item.kind, item.kind)
        constants = values.get("constants")
        if item.kind in ("global_avg", "global_max"):
            self.pools += 1
            pool = AdaptiveAvgPool if item.kind == "global_avg" else AdaptiveMaxPool
            return self._make(pool, item, base, size=(1, 1))
        if item.kind == "dropout" or item.kind in NOISES:
            return self._dropping(item, base)
        if item.kind == "lrn":
            return self._make(LRN, item, base, **self._lrn(item, constants))
        if item.kind == "leaky_relu":
            if not constants:
                self._rule("slope")
            return self._make(LeakyReLU, item, base, slope=(constants or (0.01,))[0])
        if item.kind == "tanh" and constants:
            if len(constants) != 2:
                raise self.text.error(item.position, "expected tanh(outer, inner).")
            return self._make(Tanh, item, base, outer=constants[0], inner=constants[1])
        if item.kind == "pad":
            return self._make(Pad, item, base, padding=values["padding"])
        plain: dict[str, Callable[..., Layer]] = {"batch_norm": BatchNorm, "flatten": Flatten}
        plain |= {"softmax": Softmax, **ACTIVATIONS}
        return self._make(plain[item.kind], item, base)

    def _dropping(self, item: Item, base: str) -> Layer:
        """Make a form of dropout; an additive noise has no usual deviation, so it is written."""
        values: dict[str, Any] = item.values
        additive = item.kind == "gaussian_noise"
        if additive and len(values.get("constants", ())) != 1:
            raise self.text.error(
                item.position, "expected the noise's deviation, for example gaussian noise(0.1)."
            )
        if not additive and "p" not in values:
            self._rule("p")
        amount = values["constants"][0] if additive else values.get("p", 0.5)
        if item.kind == "dropout":
            return self._make(Dropout, item, base, p=amount)
        return self._make(Noise, item, base, form=NOISES[item.kind], amount=amount)

    def _lrn(self, item: Item, constants: Sequence[float] | None) -> dict[str, float]:
        if constants is None:
            self._rule("lrn")
            return {}
        if len(constants) != 4 or constants[0] != int(constants[0]) or constants[0] < 1:
            raise self.text.error(item.position, "expected LRN(size, alpha, beta, k).")
        size, alpha, beta, k = constants
        return {"size": int(size), "alpha": alpha, "beta": beta, "k": k}

    def _relu(self, before: Item) -> None:
        """Add the ReLU that was not written; the notes of the next layer wait."""
        self._rule("relu")
        self._append(
            ReLU(name=self.namer.name("relu"), inputs=(self.last,)), before._replace(volume=())
        )

    # -- soft-max

    def _classifier(self, item: Item, _: bool) -> Layer:
        self._rule("added")
        return self._fc(item, True)

    def _final_softmax(self, item: Item, classifier: bool) -> None:
        """Leave the soft-max to the loss; add the fully connected layer if there is none."""
        if classifier:
            self._rule("classifier")
            layer = self._fc(Item("fc", item.position, {}), True)
            self._append(layer, item._replace(volume=()))
        if not self.layers:
            raise self.text.error(item.position, "expected a layer before the soft-max.")
        self._remark("softmax")

    def _remark(self, rule: str) -> None:
        """Add a rule's sentence to the note of the last layer."""
        if self.layers and RULES[rule] not in self.layers[-1].note:
            last = self.layers[-1]
            notes = [*([last.note] if last.note else []), RULES[rule]]
            self.layers[-1] = last.replace(note="; ".join(notes))


def _sentence(error: DesignError) -> str:
    return f"{str(error).rstrip('.')}."


def _same_volume(written: Sizes, shape: Shape) -> bool:
    """Compare (height, width, channels) as written with (channels, height, width)."""

    def plain(sizes: Sizes) -> Sizes:
        return sizes[-1:] if set(sizes[:-1]) <= {1} else sizes

    given = (*shape[1:], shape[0])
    if len(written) == 2 and shape[0] == 1:
        given = given[:2]  # [19x19] is a map of one channel
    return plain(written) == plain(given)
