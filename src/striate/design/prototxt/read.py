"""From a prototxt to a Network: blobs, inputs, phases, losses, what is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from striate.design.failure import explain
from striate.design.layer import Layer, Shape
from striate.design.linear import Linear
from striate.design.network import Input, Network, Output
from striate.design.pointwise import Affine, BatchNorm, Softmax
from striate.design.prototxt.entries import Entry, entries_of, identifier, module_names
from striate.design.prototxt.layers import NO_FILLER, READERS, Made
from striate.design.prototxt.message import Message
from striate.design.prototxt.sources import SOURCES, Source, declared, provided
from striate.design.wiring import Flatten
from striate.errors import DesignError, did_you_mean
from striate.records import nearest

_MEASURES = ("Accuracy", "Silence", "ArgMax", "HDF5Output")
_LOSSES = (
    "SoftmaxWithLoss", "MultinomialLogisticLoss", "InfogainLoss", "EuclideanLoss", "HingeLoss",
    "SigmoidCrossEntropyLoss", "ContrastiveLoss",
)  # fmt: skip
Whole = Callable[[Shape], bool]
_EXPLAINED = 200  # layers of a network for which an image that would fit is looked for
_NET = (
    "name", "input", "input_dim", "input_shape", "force_backward", "state", "debug_info", "layer",
    "layers",
)  # fmt: skip


class Loss(NamedTuple):
    """Where a loss is taken from."""

    name: str
    source: str
    weight: float


class Reading:
    """A network while it is read, layer after layer.

    Args:
        net: the whole file.
        given: shape of the first input, whatever the file says.
        name: of the network where the file has none.
        whole: whether all of the file takes an image of a shape; errors say the smallest.
    """

    def __init__(self, net: Message, given: Shape | None, name: str, whole: Whole | None) -> None:
        net.check("a network", _NET)
        self.net, self.given, self.whole = net, given, whole
        # A name becomes part of a run's path.
        self.name = re.sub(r"[^\w.-]+", "_", net.string("name")).strip("._")[:80] or name
        self.layers: list[Layer] = []
        self.inputs: dict[str, Input] = {}  # by blob
        self.unknown: dict[str, Source] = {}  # blobs of data whose shape the file does not say
        self.blobs: dict[str, str] = {}  # blob -> the value that it is now
        self.shapes: dict[str, Shape] = {}
        self.losses: list[Loss] = []
        self.left_out: list[str] = []
        self.notes: dict[str, list[str]] = {}
        self.said: set[str] = set()
        self.owners: dict[str, tuple[str, int]] = {}  # shared parameter -> its layer and place
        self.named: dict[str, str] = {}  # a layer as the file calls it -> as it is called here

    # -- the whole

    def network(self, phase: str) -> Network:
        """Return the network of a phase."""
        entries, others = entries_of(self.net, phase)
        if not entries:
            raise self.net.error(0, "expected at least one layer { ... }.")
        self.left_out += [f"{name!r} (of the other phase)" for name in others]
        for source in declared(self.net):
            self._declare(source)
        kept = [entry for entry in entries if self._kept(entry)]
        names = module_names(kept, {each.name for each in self.inputs.values()})
        taken = set(names)
        of = {id(entry): name for entry, name in zip(kept, names, strict=True)}
        for entry in entries:
            if id(entry) in of:
                self._layer(entry, of[id(entry)], taken)
            elif entry.type in _LOSSES:
                self._loss(entry)
            elif entry.type == "Split":
                self._split(entry)
        return self._finish()

    def _kept(self, entry: Entry) -> bool:
        """Tell whether an entry becomes a layer; inputs are taken note of here."""
        if entry.type in SOURCES and not entry.bottoms:
            for source in provided(entry):
                self._declare(source)
            return False
        if entry.type in _MEASURES:
            self.left_out.append(f"{entry.name!r} ({entry.type})")
            return False
        if entry.type in _LOSSES or entry.type == "Split":
            return False
        if entry.type not in READERS:
            known = (*READERS, *_LOSSES, *_MEASURES, *SOURCES)
            meant = did_you_mean(nearest(entry.type, known))
            raise entry.error(
                f"layers of this type cannot be read.{meant} What can: {', '.join(READERS)}."
            )
        return True

    def _declare(self, source: Source) -> None:
        shape = source.shape
        if self.given is not None and not source.label and not self.inputs:
            shape = self.given
        if shape is None:
            self.unknown[source.blob] = source
            return
        name = identifier(source.blob, "input")
        while any(each.name == name for each in self.inputs.values()):
            name += "_2"
        try:
            self.inputs[source.blob] = Input(name=name, shape=shape)
        except DesignError as error:
            raise self.net.error(source.position, str(error)) from error
        self.blobs[source.blob], self.shapes[name] = name, shape
        if source.note:
            self.left_out.append(source.note)

    # -- one layer

    def _layer(self, entry: Entry, name: str, taken: set[str]) -> None:
        values = tuple(self._value(entry, blob.text, blob.position) for blob in entry.bottoms)
        if not values:
            raise entry.error("expected at least one bottom.", "name")
        if len(entry.tops) > 1:
            raise entry.error(f"expected one top, received {len(entry.tops)}.", "top")
        made = READERS[entry.type](entry, tuple(self.shapes[value] for value in values))
        if made.kind is Linear and len(self.shapes[values[0]]) > 1:
            values = (self._flattened(entry, name, values[0], taken),)
        fields = {**made.fields, **self._multipliers(entry, name)}
        try:
            layer = made.kind(name=name, inputs=values, **fields)
            if layer.arity is not None and len(values) != layer.arity:
                raise layer.refuse(f"expected {layer.arity} bottom, received {len(values)}")
        except DesignError as error:
            raise self._pointed(entry, error) from error
        self._append(entry, layer)
        self.named[entry.name] = name
        self._note(name, made)
        top = entry.tops[0].text if entry.tops else entry.name
        self.blobs[top] = name

    def _append(self, entry: Entry, layer: Layer) -> None:
        try:
            self.shapes[layer.name] = layer.output(*(self.shapes[name] for name in layer.inputs))
            if layer.shares:
                self._check_shared(layer)
        except DesignError as error:
            if self.whole and len(self.net.fields) <= _EXPLAINED:
                inputs = {each.name: each.shape for each in self.inputs.values()}
                error = explain(self.name, [*self.layers, layer], inputs, error, self.whole)
            raise self._pointed(entry, error) from error
        self.layers.append(layer)

    def _pointed(self, entry: Entry, error: DesignError) -> DesignError:
        sentence = f"{str(error).rstrip('.')}."
        position = entry.message.place("name")
        return self.net.text.error(
            position, sentence, layer=error.layer, table=error.table, least=error.least
        )

    def _value(self, entry: Entry, blob: str, position: int) -> str:
        """Return the value that a blob is; the first one that nothing gives is the input."""
        if blob in self.blobs:
            return self.blobs[blob]
        source = self.unknown.get(blob)
        if source is None and self.given is not None and not self.inputs:
            self._declare(Source(blob, None, position))
            return self.blobs[blob]
        if source is not None:
            why = "of which the file does not say the shape"
        else:
            near = nearest(blob, self.blobs)
            why = "which nothing gives" + (f" (did you mean {near[0]!r}?)" if near else "")
        raise self.net.error(
            position,
            f"layer {entry.name!r} reads {blob!r}, {why}"
            + (": give its shape with --input CxHxW." if not self.inputs else "."),
        )

    def _flattened(self, entry: Entry, name: str, value: str, taken: set[str]) -> str:
        """Return the flattened value; Caffe's inner product does it by itself."""
        flat = f"{name}_flat"
        while flat in taken:
            flat += "_2"
        taken.add(flat)
        self._append(entry, Flatten(name=flat, inputs=(value,)))
        return flat

    def _split(self, entry: Entry) -> None:
        for blob in entry.bottoms[:1]:
            value = self._value(entry, blob.text, blob.position)
            self.blobs.update({top.text: value for top in entry.tops})

    def _loss(self, entry: Entry) -> None:
        if not entry.bottoms:
            raise entry.error("expected a bottom.", "name")
        blob = entry.bottoms[0]
        value = self._value(entry, blob.text, blob.position)
        weight = entry.message.number("loss_weight", 1.0)
        if weight == 0:
            self.left_out.append(f"{entry.name!r} (its loss has weight 0)")
            return
        self.losses.append(Loss(entry.name, value, weight))
        if entry.type != "SoftmaxWithLoss":
            self.left_out.append(f"{entry.name!r} ({entry.type}: choose the objective in training)")

    # -- multipliers and sharing

    def _multipliers(self, entry: Entry, name: str) -> dict[str, object]:
        """Read lr_mult and decay_mult, blobs_lr and weight_decay, and names of parameters."""
        message = entry.message
        if entry.type == "BatchNorm":
            return {}  # the multipliers of its statistics, which nothing trains
        fields = [field for field in message.fields if field.name == "param"]
        older = [field.value.text for field in fields if not isinstance(field.value, Message)]
        params = [field.value for field in fields if isinstance(field.value, Message)]
        for param in params:
            param.check("param", ("name", "share_mode", "lr_mult", "decay_mult"))
        rates = message.numbers("blobs_lr") or [each.number("lr_mult", 1.0) for each in params]
        decays = message.numbers("weight_decay")
        decays = decays or [each.number("decay_mult", 1.0) for each in params]
        shared = self._sharing(entry, name, older or [each.string("name") for each in params])
        frozen = bool(rates) and not any(rates)
        return {
            **({"shares": shared} if shared else {}),
            **({"trainable": False} if frozen else {"rates": _pair(rates)}),
            "decays": _pair(decays),
        }

    def _sharing(self, entry: Entry, name: str, parameters: Sequence[str]) -> str | None:
        """Return the layer whose parameters have the same names, if there is one."""
        named = [(each, place) for place, each in enumerate(parameters) if each]
        found = {self.owners[each] for each, place in named if each in self.owners}
        if not found:
            self.owners.update({each: (name, place) for each, place in named})
            return None
        owners = {owner for owner, _ in found}
        owned = sum(owner in owners for owner, _ in self.owners.values())
        if len(owners) > 1 or not len(found) == len(named) == owned:
            raise entry.error("expected to share all parameters of one layer, or none.", "param")
        return owners.pop()

    def _check_shared(self, layer: Layer) -> None:
        owner = next(each for each in self.layers if each.name == layer.shares)
        sizes = [
            [parameter.shape for parameter in each.replace(shares=None).parameters(*shapes)]
            for each in (layer, owner)
            for shapes in [tuple(self.shapes[name] for name in each.inputs)]
        ]
        if sizes[0] != sizes[1] or type(owner) is not type(layer):
            raise layer.refuse(
                f"its parameters {sizes[0]} are not those of {owner.name} {sizes[1]}"
            )

    def _note(self, name: str, made: Made) -> None:
        """Keep a note, the one on fillers once."""
        if made.note and not (made.note == NO_FILLER and NO_FILLER in self.said):
            self.said.add(made.note)
            self.notes.setdefault(name, []).append(made.note)

    # -- the end

    def _finish(self) -> Network:
        if not self.layers:
            raise self.net.error(0, "expected at least one layer that computes something.")
        self._join_scales()
        self._drop_softmax()
        outputs = self._outputs()
        self._drop_unread(outputs)
        outputs = tuple(map(self._scores, outputs))
        if not self.layers:
            raise self.net.error(0, "expected an output that some layer computes.")
        if self.left_out:
            last = self.layers[-1].name
            self.notes.setdefault(last, []).append(f"left out: {', '.join(self.left_out)}")
        layers = tuple(
            layer.replace(note="; ".join(self.notes[layer.name]))
            if layer.name in self.notes
            else layer
            for layer in self.layers
        )
        read = {name for layer in layers for name in layer.inputs}
        inputs = tuple(each for each in self.inputs.values() if each.name in read)
        return Network(name=self.name, inputs=inputs, layers=layers, outputs=outputs)

    def _join_scales(self) -> None:
        """Make one batch norm of a BatchNorm and the Scale that alone reads it."""
        count: dict[str, int] = {}
        for layer in self.layers:
            for name in layer.inputs:
                count[name] = count.get(name, 0) + 1
        for loss in self.losses:
            count[loss.source] = count.get(loss.source, 0) + 1
        norms = {layer.name: layer for layer in self.layers if isinstance(layer, BatchNorm)}
        scales = {
            layer.name: layer
            for layer in self.layers
            if isinstance(layer, Affine) and layer.inputs[0] in norms and layer.shares is None
            if count[layer.inputs[0]] == 1
        }
        joined = {scale.inputs[0]: scale for scale in scales.values()}
        now = {name: scale.inputs[0] for name, scale in scales.items()}
        layers = []
        for layer in self.layers:
            if layer.name in scales:
                continue
            if layer.name in joined:
                fields = ("weight_init", "bias_init", "rates", "decays", "trainable")
                scale = joined[layer.name]
                layer = layer.replace(
                    affine=True, **{field: getattr(scale, field) for field in fields}
                )
            inputs = tuple(now.get(name, name) for name in layer.inputs)
            layers.append(layer.replace(inputs=inputs))
        self.layers = layers
        self.losses = [
            loss._replace(source=now.get(loss.source, loss.source)) for loss in self.losses
        ]
        self.named = {theirs: now.get(ours, ours) for theirs, ours in self.named.items()}

    def _drop_softmax(self) -> None:
        """Leave a soft-max that nothing reads to the loss and to predict."""
        read = {name for layer in self.layers for name in layer.inputs}
        read |= {loss.source for loss in self.losses}
        known = {layer.name for layer in self.layers}
        for layer in list(self.layers):
            if isinstance(layer, Softmax) and layer.name not in read and layer.inputs[0] in known:
                self.layers.remove(layer)
                self.left_out.append(f"{layer.name!r} (soft-max: the loss and predict apply it)")

    def _outputs(self) -> tuple[Output, ...]:
        """Return the main output, that of the heaviest loss, before those for training only."""
        known = {layer.name for layer in self.layers}
        found: dict[str, Loss] = {}
        for loss in self.losses:
            if loss.source in known and loss.source not in found:
                found[loss.source] = loss
        if not found:
            read = {name for layer in self.layers for name in layer.inputs}
            ends = [layer.name for layer in self.layers if layer.name not in read]
            found = {name: Loss(name, name, 1.0) for name in ends}
        main = max(reversed(list(found.values())), key=lambda loss: loss.weight)
        names = {"logits"}
        outputs = [Output(name="logits", source=main.source, loss_weight=main.weight)]
        for loss in found.values():
            if loss is main:
                continue
            name = identifier(loss.name.replace(".", "_"), "output")
            while name in names:
                name += "_2"
            names.add(name)
            train_only = bool(self.losses)
            outputs.append(
                Output(
                    name=name, source=loss.source, train_only=train_only, loss_weight=loss.weight
                )
            )
        return tuple(outputs)

    def _scores(self, output: Output) -> Output:
        """Flatten an output of a single pixel, (classes, 1, 1), as losses take a vector."""
        shape = self.shapes[output.source]
        if len(shape) < 2 or max(shape[1:]) > 1:
            return output
        place = next(i for i, layer in enumerate(self.layers) if layer.name == output.source)
        name = f"{output.source}_flat"
        while any(layer.name == name for layer in self.layers):
            name += "_2"
        self.layers.insert(place + 1, Flatten(name=name, inputs=(output.source,)))
        return output.replace(source=name)

    def _drop_unread(self, outputs: Sequence[Output]) -> None:
        """Leave out layers that no output needs."""
        wanted = {output.source for output in outputs}
        kept: list[Layer] = []
        for layer in reversed(self.layers):
            if layer.name in wanted:
                kept.insert(0, layer)
                wanted.update(layer.inputs)
            else:
                self.left_out.append(f"{layer.name!r} (no output needs it)")
        self.layers = kept


def _pair(values: Sequence[float]) -> tuple[float, float]:
    """Return the multipliers of weight and bias."""
    first = values[0] if values else 1.0
    return first, values[1] if len(values) > 1 else 1.0
