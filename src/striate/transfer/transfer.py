"""The verb: a trained network and other classes in, a run folder and a table out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch

from striate import data as sources
from striate import inference, progress, runs
from striate.data import Dataset
from striate.design import Layer, Network
from striate.inference import Model
from striate.inference.metrics import wilson
from striate.layers import build
from striate.ops import choose_device
from striate.train import SGD, Cosine, DataChoice, Recipe, leave, start_from, train
from striate.transfer.choose import How, choose
from striate.transfer.features import features
from striate.transfer.linear import Linear, Method, fit_linear
from striate.transfer.material import augmentation, few, preprocessing
from striate.transfer.probe import Probe, probe_layers, probes
from striate.transfer.result import Row, Settings, TransferResult
from striate.transfer.tuning import HEAD, blocks, cut_at, penultimate, thawed, tuned

ALL: tuple[How, ...] = ("linear", "head", "last", "all", "scratch")


def transfer(
    data: str | Dataset,
    start: Model | Path | str,
    *,
    how: How | Literal["auto"] = "auto",
    compare: bool | None = None,
    layer: str | None = None,
    method: Method = "logistic",
    per_class: int | None = None,
    settings: Settings | None = None,
    out: Path | str | None = None,
) -> TransferResult:
    """Put a trained network to the classes of some data.

    Args:
        data: a named set, a path, or data that is open.
        start: a run folder, or published weights.
        how: `linear`, `head`, `last`, `all` or `scratch`; `auto` measures, and follows the table.
        compare: try all five ways, on the same data with the same budget; `auto` does unless told
            otherwise, so that its choice can be held against the others.
        layer: whose features a linear classifier takes; the last ones unless given.
        method: logistic regression or a linear support vector machine.
        per_class: take no more training images of each class.
        settings: of the trained ways.
        out: the run folder of what `how` is; the others stand beside it, with the way's name added.

    Raises:
        DataError: the data cannot be used.
        RunError, WeightsError: the network cannot be.
        UsageError: no such layer.
    """
    made = _Transfer(data, start, layer, method, per_class, settings or Settings())
    probed: tuple[Probe, ...] = ()
    why, chosen = "", how
    if chosen == "auto":
        probed = made.probes()
        choice = choose(probed, made.images / len(made.dataset.classes))
        chosen, why = choice.how, choice.why
        made.layer = layer or choice.layer
        progress.say(why)
    ways = ALL if compare or (compare is None and how == "auto") else (chosen,)
    base = Path(out) if out is not None else runs.new_path("runs", f"{made.dataset.name}-transfer")
    rows = []
    for way in ways:
        place = base if way == chosen else base.with_name(f"{base.name}-{way}")
        rows.append(made.row(way, place))
        progress.say(f"{way}: {_percent(rows[-1].accuracy)}")
    made.notes += _ahead(rows, chosen)
    return TransferResult(
        data=made.dataset.spec,
        source=str(made.model.path),
        images=made.images,
        classes=len(made.dataset.classes),
        how=chosen,
        why=why,
        run=str(base),
        probes=probed,
        rows=tuple(rows),
        notes=tuple(made.notes),
    )


def _ahead(rows: Sequence[Row], chosen: How) -> list[str]:
    """Say where another way did better than the one that was chosen."""
    (own,) = (each for each in rows if each.how == chosen)
    best = max(rows, key=lambda each: each.accuracy or 0.0)
    if own.accuracy is None or best.accuracy is None or best.accuracy <= own.accuracy:
        return []
    return [
        f"{best.how} did better here than {chosen}, {_percent(best.accuracy)} against "
        f"{_percent(own.accuracy)}: its run is {best.run}."
    ]


def _percent(share: float | None) -> str:
    return "no test part" if share is None else f"{100 * share:.2f}%"


class _Transfer:
    """One network and one set of images, and every way between them."""

    def __init__(
        self,
        data: str | Dataset,
        start: Model | Path | str,
        layer: str | None,
        method: Method,
        per_class: int | None,
        settings: Settings,
    ) -> None:
        self.start, self.method, self.settings = start, method, settings
        self.model = inference.open_model(start)
        self.paper = _plain(self.model.network())
        self.layer = layer or penultimate(self.paper)
        opened = sources.open(data) if isinstance(data, str) else data
        self.dataset = few(opened, per_class, settings.seed)
        self.train = self.dataset.parts["train"]
        self.notes: list[str] = []

    @property
    def images(self) -> int:
        """How many there are to learn from."""
        return len(self.train)

    def probes(self) -> tuple[Probe, ...]:
        """Measure a linear classifier on the features of each depth."""
        found = self._features(probe_layers(self.paper))
        labels, classes = self.train.labels, len(self.dataset.classes)
        return probes(
            self.paper, found, labels, classes, method=self.method, seed=self.settings.seed
        )

    def _features(self, layers: Sequence[str]) -> dict[str, np.ndarray]:
        device = choose_device(self.settings.device)
        return features(self.model, self.train, layers, device=device)

    def row(self, how: How, place: Path) -> Row:
        """Go one way, and measure it on the test part."""
        began = time.monotonic()
        network = self._linear(place) if how == "linear" else self._tune(how, place)
        seconds = time.monotonic() - began
        test = (runs.open(place).results() or {}).get("test")
        n = test["n"] if test else 0
        return Row(
            how=how,
            accuracy=test["accuracy"] if test else None,
            interval=wilson(round(test["accuracy"] * n), n) if test else None,
            n=n,
            moving=sum(each.size for each in network.parameters() if each.trainable),
            seconds=round(seconds, 3),
            run=str(place),
        )

    # -- a linear classifier

    def _linear(self, place: Path) -> Network:
        classes = len(self.dataset.classes)
        network = cut_at(self.paper, self.layer, classes)
        began = time.monotonic()
        found = self._features((self.layer,))[self.layer]
        fitted = fit_linear(
            found, self.train.labels, classes, method=self.method, seed=self.settings.seed
        )
        recipe = self._recipe("linear", network, anew=(HEAD,))
        leave(
            recipe,
            self._tensors(network, fitted),
            out=place,
            dataset=self.dataset,
            seconds=time.monotonic() - began,
        )
        moving = tuple(
            each.replace(trainable=True) if each.name == HEAD else each for each in network.layers
        )
        return network.replace(layers=moving)

    def _tensors(self, network: Network, fitted: Linear) -> dict[str, torch.Tensor]:
        given = inference.load(self.model).state_dict()
        own = build(network, seed=None).state_dict()
        tensors = {name: given[name] for name in own if name in given}
        tensors[f"{HEAD}.weight"] = torch.from_numpy(fitted.weight)
        tensors[f"{HEAD}.bias"] = torch.from_numpy(fitted.bias)
        return tensors

    # -- training

    def _tune(self, how: How, place: Path) -> Network:
        """Train the way's network, in stages where asked for; returns it."""
        chosen = self.settings
        network, anew = self._tuned(how)
        ways: tuple[How, ...] = (how,)
        if chosen.gradual and how in ("last", "all"):
            ways = cast(tuple[How, ...], ("head", "last", "all")[: 2 if how == "last" else 3])
        shares = _shares(chosen.epochs, len(ways))
        before: Path | None = None
        for way, epochs in zip(ways, shares, strict=True):
            network, anew = self._tuned(way)
            recipe = self._recipe(way, network, anew=anew, epochs=epochs, after=before)
            out = place if way == how else place.with_name(f"{place.name}-stage-{way}")
            # Five short trainings: measuring each one's convolutions takes longer than it saves.
            train(recipe, out=out, dataset=self.dataset, plan="default")
            before = out
        return network

    def _tuned(self, how: How) -> tuple[Network, tuple[str, ...]]:
        classes, chosen = len(self.dataset.classes), self.settings
        if how == "scratch":
            return thawed(self.paper.with_classes(classes)[0]), ()
        last = {"head": 0, "last": min(chosen.last, len(blocks(self.paper))), "all": None}[how]
        return tuned(
            self.paper,
            classes,
            last,
            rates=chosen.rates,
            layer_decay=chosen.layer_decay,
            freeze_norm=chosen.freeze_norm,
        )

    def _recipe(
        self,
        how: How,
        network: Network,
        *,
        anew: tuple[str, ...] = (),
        epochs: int | None = None,
        after: Path | None = None,
    ) -> Recipe:
        chosen, contract = self.settings, self.model.contract()
        given = start_from(self.start, anew) if after is None else start_from(after)
        return Recipe(
            name=f"transfer-{how}",
            reason=f"{how} of {self.model.network().name} for {len(self.dataset.classes)} classes",
            network=network,
            start=None if how in ("scratch", "linear") else given,
            data=DataChoice(path=self.dataset.spec),
            preprocessing=preprocessing(contract),
            augmentation=() if how == "linear" else augmentation(contract),
            optimiser=SGD(rate=chosen.rate, momentum=0.9, nesterov=True, decay=5e-4),
            schedule=Cosine(),
            warmup_epochs=min(1.0, (epochs or chosen.epochs) / 2),
            epochs=epochs or chosen.epochs,
            batch=chosen.batch,
            clip=5.0,
            choose_by="loss",
            seed=chosen.seed,
            device=chosen.device,
        )


def _plain(network: Network) -> Network:
    """Return the network without heads for training only, which stand at other classes."""
    heads = [output for output in network.outputs if not output.train_only]
    wanted = {output.source for output in heads}
    kept: list[Layer] = []
    for layer in reversed(network.layers):
        if layer.name in wanted:
            kept.insert(0, layer)
            wanted.update(layer.inputs)
    return network.replace(layers=tuple(kept), outputs=tuple(heads))


def _shares(epochs: int, stages: int) -> list[int]:
    """Cut a number of epochs into stages, the last one the longest; each has one at least."""
    each = max(epochs // (stages + 1), 1)
    return [each] * (stages - 1) + [max(epochs - each * (stages - 1), 1)]
