"""Faults to inject and healthy runs to leave alone, as recipes on the digits.

A fault is a change to a healthy recipe (or to its data) and the names by which it counts as found:
those of checks before training, and of findings after it. Odd but healthy runs are changes that an
eager doctor would complain about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from striate import data, train
from striate.data import Affine, Dataset
from striate.data.samples import ArraySamples
from striate.design import Constant, Network, Normal, Sketch
from striate.design.init import Init
from striate.design.pointwise import Sigmoid
from striate.train import Recipe


def plain(start: Init | None = None, bias: Init | None = None, squash: bool = False) -> Network:
    """Return LeNet's kind: two convolutions, two fully connected layers, no normalisation."""
    pen = Sketch("plain", (1, 8, 8))
    for index, features in enumerate((16, 32), 1):
        pen.conv(f"conv{index}", features, 3, padding=1)
        _squash(pen, f"act{index}", squash)
        pen.max_pool(f"pool{index}", 2)
    pen.flatten()
    pen.linear("fc1", 64)
    _squash(pen, "act3", squash)
    pen.linear("classifier", 10)
    return _started(pen.finish(), start, bias)


def vgg(start: Init | None = None, bias: Init | None = None, squash: bool = False) -> Network:
    """Return VGG's kind: pairs of convolutions with batch-norm."""
    pen = Sketch("vgg", (1, 8, 8))
    for block, features in enumerate((12, 24), 1):
        for index in (1, 2):
            pen.conv(f"conv{block}_{index}", features, 3, padding=1)
            pen.batch_norm(f"norm{block}_{index}")
            _squash(pen, f"act{block}_{index}", squash)
        pen.max_pool(f"pool{block}", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    return _started(pen.finish(), start, bias)


def resnet(start: Init | None = None, bias: Init | None = None, squash: bool = False) -> Network:
    """Return ResNet's kind: a stem and two residual blocks."""
    pen = Sketch("resnet", (1, 8, 8))
    pen.conv("stem", 16, 3, padding=1)
    pen.batch_norm("stem_norm")
    last = _squash(pen, "stem_act", squash)
    for block in (1, 2):
        pen.conv(f"conv{block}_1", 16, 3, padding=1, of=last)
        pen.batch_norm(f"norm{block}_1")
        _squash(pen, f"act{block}_1", squash)
        pen.conv(f"conv{block}_2", 16, 3, padding=1)
        end = pen.batch_norm(f"norm{block}_2")
        pen.add(f"add{block}", last, end)
        last = pen.relu(f"act{block}_2")
    pen.adaptive_avg_pool("average")
    pen.flatten()
    pen.linear("classifier", 10)
    return _started(pen.finish(), start, bias)


def _squash(pen: Sketch, name: str, squash: bool) -> str:
    if squash:
        return pen.put(Sigmoid(name=name, inputs=(pen.last,)))
    return pen.relu(name)


def _started(network: Network, start: Init | None, bias: Init | None) -> Network:
    changes = {"weight_init": start, "bias_init": bias}
    wanted = {key: value for key, value in changes.items() if value is not None}
    layers = [
        each.replace(**wanted) if hasattr(each, "features") and each.name != "classifier" else each
        for each in network.layers
    ]
    return network.replace(layers=tuple(layers))


NETWORKS: dict[str, Callable[..., Network]] = {"plain": plain, "vgg": vgg, "resnet": resnet}


def healthy(network: Network, seed: int) -> Recipe:
    """Return a recipe that trains each of the networks well in a few seconds."""
    return Recipe(
        name="corpus",
        network=network,
        data=train.DataChoice(path="digits", test=0.3, validation=0.2),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.05, momentum=0.9, decay=5e-4),
        epochs=8,
        batch=32,
        seed=seed,
        workers=0,
        device="cpu",
        checkpoint_minutes=60.0,
    )


@dataclass(frozen=True)
class Case:
    """A run of the corpus.

    Args:
        name: of the fault, or of the healthy oddity.
        change: makes a recipe of a healthy one, given the network's maker.
        names: checks and findings that name it; none for a healthy run.
        spoil: changes the data.
    """

    name: str
    change: Callable[[Recipe, Callable[..., Network]], Recipe]
    names: tuple[str, ...] = ()
    spoil: Callable[[Dataset, int], Dataset] | None = None


def _same(recipe: Recipe, make: Callable[..., Network]) -> Recipe:
    return recipe


def _rate(factor: float) -> Callable[[Recipe, Callable[..., Network]], Recipe]:
    def change(recipe: Recipe, make: Callable[..., Network]) -> Recipe:
        optimiser = recipe.optimiser
        return recipe.replace(optimiser=optimiser.replace(rate=optimiser.rate * factor))

    return change


def _with(**changes: object) -> Callable[[Recipe, Callable[..., Network]], Recipe]:
    return lambda recipe, make: recipe.replace(**changes)


def _net(**knobs: object) -> Callable[[Recipe, Callable[..., Network]], Recipe]:
    return lambda recipe, make: recipe.replace(network=make(**knobs))


def _relabelled(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    whole = dataset.parts["all"]
    if not isinstance(whole, ArraySamples):
        raise TypeError("the corpus works on images in memory")
    spoilt = ArraySamples(whole.images, change(whole.labels), whole.ids)
    return replace(dataset, parts={"all": spoilt})


def shuffled_labels(dataset: Dataset, seed: int) -> Dataset:
    """Order labels apart from images."""
    return _relabelled(dataset, lambda y: np.random.default_rng(seed).permutation(y))


def few_labels_wrong(dataset: Dataset, seed: int) -> Dataset:
    """Give 10% of the images a random label: noise, as declared."""

    def change(labels: np.ndarray) -> np.ndarray:
        random = np.random.default_rng(seed)
        wrong = random.random(len(labels)) < 0.1
        return np.where(wrong, random.integers(0, 10, len(labels)), labels)

    return _relabelled(dataset, change)


def copies(dataset: Dataset, seed: int) -> Dataset:
    """Have every image three times, so that a random split puts copies on both sides."""
    whole = dataset.parts["all"]
    few = whole.subset(np.arange(600))
    if not isinstance(few, ArraySamples):
        raise TypeError("the corpus works on images in memory")
    images, labels = np.concatenate([few.images] * 3), np.concatenate([few.labels] * 3)
    ids = [f"{name}-{copy}" for copy in range(3) for name in few.ids]
    return replace(dataset, parts={"all": ArraySamples(images, labels, ids)})


_LOW, _HIGH = ("rate_too_low",), ("rate_too_high", "exploding", "not_finite")

FAULTS: tuple[Case, ...] = (
    Case("rate a 10,000th", _rate(1e-4), _LOW),
    Case("rate 300 times", _rate(300.0), (*_HIGH, "dead_rectifiers")),
    Case("rate a million times", _rate(1e6), _HIGH),
    Case(
        "labels shuffled", _same, ("labels_look_shuffled", "beats_shuffled_labels"), shuffled_labels
    ),
    Case("copies on both sides of the split", _same, ("validation_leak",), copies),
    Case(
        "pixels of 0 to 255",
        lambda recipe, make: recipe.replace(
            preprocessing=recipe.preprocessing.replace(mean=(0.0,), std=(1 / 255,))
        ),
        ("image_statistics",),
    ),
    Case("weights of zero", _net(start=Constant()), ("gradients_arrive", "regularised_loss")),
    Case(
        "rectifiers dead from the start",
        _net(bias=Constant(value=-20.0)),
        ("dead_rectifiers", "dead_units", "gradients_arrive"),
    ),
    Case(
        "sigmoids started wide",
        lambda recipe, make: recipe.replace(network=make(start=Normal(std=10.0), squash=True)),
        ("saturation",),
    ),
    Case(
        "signal that fades",
        lambda recipe, make: recipe.replace(network=make(start=Normal(std=1e-4), squash=True)),
        ("activation_scale", "vanishing_gradients"),
    ),
    Case("batches of one image", _with(batch=1), ("small_batches_for_norm", "last_batch")),
    Case(
        "decay of a half",
        lambda recipe, make: recipe.replace(optimiser=recipe.optimiser.replace(decay=0.5)),
        ("underfitting",),
    ),
)

_TURNED = (Affine(rotate_degrees=25.0, translate=1 / 8, scale=(0.8, 1.25), shear=0.2),)

HEALTHY: tuple[Case, ...] = (
    Case("plain", _same),
    Case("adam", _with(optimiser=train.AdamW(rate=2e-3))),
    Case("batch of 8", lambda r, m: r.replace(batch=8, optimiser=train.SGD(rate=0.01, decay=5e-4))),
    Case("high but stable rate", _rate(3.0)),
    Case("long warm-up", _with(warmup_epochs=4.0)),
    Case("heavy augmentation", _with(augmentation=_TURNED)),
    Case("noisy labels, declared", _same, (), few_labels_wrong),
    Case("dropped at epochs", _with(schedule=train.Step(at=(4.0, 6.0)))),
    Case("label smoothing", _with(objective=train.CrossEntropy(label_smoothing=0.1))),
    Case("averaged weights", _with(ema=train.Ema(decay=0.95))),
)


def dataset_of(case: Case, seed: int) -> Dataset:
    """Return the digits, spoilt as the case says."""
    dataset = data.open("digits")
    return dataset if case.spoil is None else case.spoil(dataset, seed)
