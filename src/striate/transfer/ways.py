"""One network and one set of images, and every way between them; each leaves a run folder.

A run that an interrupted transfer left is gone on with, and one that it finished is taken as it is,
as long as it is of the same recipe and images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from striate import data as sources
from striate import inference, runs
from striate.data import Dataset
from striate.design import Layer, Network
from striate.errors import RunError
from striate.inference import Model
from striate.inference.metrics import wilson
from striate.layers import build
from striate.ops import choose_device
from striate.records import decode, to_builtins
from striate.runs import Run
from striate.train import SGD, Cosine, DataChoice, Recipe, leave, resume, start_from, train
from striate.train.interrupt import Interrupt
from striate.train.prepare import prepare_again
from striate.transfer.choose import How
from striate.transfer.features import features
from striate.transfer.linear import Linear, Method, fit_linear
from striate.transfer.material import augmentation, few, layout, preprocessing
from striate.transfer.probe import Probe, probe_layers, probes
from striate.transfer.result import Row, Settings
from striate.transfer.tuning import HEAD, blocks, cut_at, penultimate, thawed, tuned


class Interrupted(Exception):
    """The user wants an end; what was being trained is saved."""


class Ways:
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
        settings.check()
        self.start, self.method, self.settings = start, method, settings
        self.model = inference.open_model(start)
        self.paper = _plain(self.model.network())
        self.layer = layer or penultimate(self.paper)
        opened = sources.open(data) if isinstance(data, str) else data
        self.dataset = few(opened, per_class, settings.seed)
        self.train = self.dataset.parts["train"]
        self.notes: list[str] = []
        self.interrupt = Interrupt()

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
        """Go one way, and measure it on the test part.

        Raises:
            Interrupted: ctrl-C or SIGTERM asked for an end.
            RunError: there is another run at the place.
        """
        if how == "linear":
            network, seconds = self._linear(place)
        else:
            network, seconds = self._tune(how, place)
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

    def _linear(self, place: Path) -> tuple[Network, float]:
        """Fit the classifier, unless it is there; returns network and seconds."""
        classes = len(self.dataset.classes)
        network = cut_at(self.paper, self.layer, classes)
        recipe = self._recipe("linear", network, anew=(HEAD,))
        moving = tuple(
            each.replace(trainable=True) if each.name == HEAD else each for each in network.layers
        )
        found = self._left(place, recipe)
        if found is None or found.state != "finished":
            began = time.monotonic()
            seen = self._features((self.layer,))[self.layer]
            fitted = fit_linear(
                seen, self.train.labels, classes, method=self.method, seed=self.settings.seed
            )
            found = leave(
                recipe,
                self._tensors(network, fitted),
                out=place,
                dataset=self.dataset,
                seconds=time.monotonic() - began,
                overwrite=found is not None,
            )
        return network.replace(layers=moving), _seconds(found)

    def _tensors(self, network: Network, fitted: Linear) -> dict[str, torch.Tensor]:
        given = inference.load(self.model).state_dict()
        own = build(network, seed=None).state_dict()
        tensors = {name: given[name] for name in own if name in given}
        tensors[f"{HEAD}.weight"] = torch.from_numpy(fitted.weight)
        tensors[f"{HEAD}.bias"] = torch.from_numpy(fitted.bias)
        return tensors

    # -- training

    def _tune(self, how: How, place: Path) -> tuple[Network, float]:
        """Train the way's network, in stages where asked for; returns it and the seconds."""
        chosen = self.settings
        network, anew = self._tuned(how)
        ways: tuple[How, ...] = (how,)
        if chosen.gradual and how in ("last", "all"):
            ways = cast(tuple[How, ...], ("head", "last", "all")[: 2 if how == "last" else 3])
        shares = _shares(chosen.epochs, len(ways))
        before: Path | None = None
        seconds = 0.0
        for way, epochs in zip(ways, shares, strict=True):
            network, anew = self._tuned(way)
            recipe = self._recipe(way, network, anew=anew, epochs=epochs, after=before)
            out = place if way == how else place.with_name(f"{place.name}-stage-{way}")
            seconds += self._train(recipe, out)
            before = out
        return network, seconds

    def _train(self, recipe: Recipe, out: Path) -> float:
        """Train, or go on with what was begun; returns the seconds of all of it."""
        held, dataset = self.interrupt, self.dataset
        if self._left(out, recipe) is not None:
            result = resume(out, dataset=dataset, interrupt=held)
        else:
            # Five short trainings: measuring each one's convolutions takes longer than it saves.
            result = train(recipe, out=out, dataset=dataset, plan="default", interrupt=held)
        if result.state == "interrupted" or held.asked:
            raise Interrupted
        return result.seconds

    def _left(self, place: Path, recipe: Recipe) -> Run | None:
        """Return the run that an earlier transfer of the same kind left, if there is one.

        Raises:
            RunError: what is there is another run, or something else.
        """
        if not (place / "run.json").is_file():
            runs.check_free(place)
            return None
        run = runs.open(place)
        there = decode(Recipe, run.recipe_document())
        theirs, ours = to_builtins(there), to_builtins(recipe)
        differing = [name for name in ours if theirs.get(name) != ours[name]]
        if differing:
            raise RunError(
                f"{place} is already a run, another than this would leave: "
                f"its {', '.join(differing)} differ. Choose another --out."
            )
        prepare_again(recipe, run, self.dataset)
        return run

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

    def _called(self, how: How) -> str:
        return f"{how} ({self.method})" if how == "linear" else how

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
        data = DataChoice(path=self.dataset.spec)
        if how == "linear":  # whose regularisation is chosen by folds of all that there is
            data = data.replace(validation=0.0)
        return Recipe(
            name=f"transfer-{how}",
            reason=f"{self._called(how)} of {self.model.network().name} "
            f"for {len(self.dataset.classes)} classes",
            network=network,
            start=None if how in ("scratch", "linear") else given,
            data=data,
            preprocessing=preprocessing(contract),
            augmentation=() if how == "linear" else augmentation(contract),
            optimiser=SGD(rate=chosen.rate, momentum=0.9, nesterov=True, decay=5e-4),
            schedule=Cosine(),
            warmup_epochs=min(1.0, (epochs or chosen.epochs) / 2),
            epochs=epochs or chosen.epochs,
            batch=chosen.batch,
            clip=5.0,
            choose_by="loss",
            precision=chosen.precision,
            layout=layout(contract),
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


def _seconds(run: Run) -> float:
    """Return how long a finished run took."""
    ends = [line for line in run.history("event") if line["event"] == "finished"]
    return float(ends[-1]["seconds"])
