"""Faults to inject and healthy runs to leave alone, as changes to a healthy recipe.

A fault is a change to the recipe, to its data or to the code (`tamper`), and the names by which it
counts as named: those of checks before training, and of findings after it. Odd but healthy runs are
changes that an eager doctor would complain about. `silent` says beforehand that a fault need not
cost accuracy: it spoils what the figure means, or waits for another day.

Twelve are PYSIASSIST's patterns of silent bugs (Hong et al., SANER 2024); its other two, sharing
the state of a GPU and cuDNN's choice of algorithm, need a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.faults import tamper
from benchmarks.faults.settings import Make, Setting

from striate import train
from striate.data import Affine, Dataset, Flip
from striate.data.samples import ArraySamples
from striate.design import Constant, Normal
from striate.train import Recipe


@dataclass(frozen=True)
class Around:
    """What a change may need.

    Args:
        setting: the run's.
        make: makes its network.
        trained: where a healthy run of the same network is, to begin with.
    """

    setting: Setting
    make: Make
    trained: Callable[[], Path]


Change = Callable[[Recipe, Around], Recipe]


def _same(recipe: Recipe, around: Around) -> Recipe:
    return recipe


@dataclass(frozen=True)
class Case:
    """A run of the corpus.

    Args:
        name: of the fault, or of the healthy oddity.
        change: makes its recipe of a healthy one.
        names: checks and findings that name it; none for a healthy run.
        spoil: changes the data.
        code: a mistake in code, open while the case is checked and trained.
        silent: it counts whatever it costs.
        kinds: networks it makes sense on.
    """

    name: str
    change: Change = _same
    names: tuple[str, ...] = ()
    spoil: Callable[[Dataset, np.random.Generator], Dataset] | None = None
    code: tamper.Tamper = nullcontext
    silent: bool = False
    kinds: tuple[str, ...] = ("plain", "vgg", "resnet")


def _rate(factor: float) -> Change:
    def change(recipe: Recipe, around: Around) -> Recipe:
        optimiser = recipe.optimiser
        return recipe.replace(optimiser=optimiser.replace(rate=optimiser.rate * factor))

    return change


def _optimiser(**changes: object) -> Change:
    return lambda recipe, around: recipe.replace(optimiser=recipe.optimiser.replace(**changes))


def _with(**changes: object) -> Change:
    return lambda recipe, around: recipe.replace(**changes)


def _net(**knobs: object) -> Change:
    return lambda recipe, around: recipe.replace(network=around.make(**knobs))


def _levels(mean: float, std: float) -> Change:
    def change(recipe: Recipe, around: Around) -> Recipe:
        count = around.setting.shape[0]
        shown = recipe.preprocessing.replace(mean=(mean,) * count, std=(std,) * count)
        return recipe.replace(preprocessing=shown)

    return change


def _tuned(anew: tuple[str, ...] = ()) -> Change:
    """Begin with the weights of a healthy run, at a fifth of its rate."""

    def change(recipe: Recipe, around: Around) -> Recipe:
        start = train.start_from(around.trained(), anew)
        return _rate(0.2)(recipe.replace(start=start, epochs=3), around)

    return change


def _then(*changes: Change) -> Change:
    def change(recipe: Recipe, around: Around) -> Recipe:
        for each in changes:
            recipe = each(recipe, around)
        return recipe

    return change


# -- what is done to data


def _part(
    dataset: Dataset, name: str, images: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Dataset:
    """Return the data with other images or labels in one part."""
    old = dataset.parts[name]
    if not isinstance(old, ArraySamples):
        raise TypeError("the corpus works on images in memory")
    new = ArraySamples(
        old.images if images is None else images,
        old.labels if labels is None else labels,
        old.ids,
    )
    return replace(dataset, parts={**dataset.parts, name: new})


def shuffled_labels(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Order labels apart from images, before they are parted."""
    for name, samples in dataset.parts.items():
        dataset = _part(dataset, name, labels=chance.permutation(samples.labels))
    return dataset


def few_labels_wrong(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Give 10% of the training images a random label: noise, as declared."""
    labels = dataset.parts["train"].labels
    wrong = chance.random(len(labels)) < 0.1
    return _part(
        dataset, "train", labels=np.where(wrong, chance.integers(0, 10, len(labels)), labels)
    )


def uneven(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Leave a third of the training images of every other class."""
    train_part = dataset.parts["train"]
    keep = (train_part.labels % 2 == 0) | (chance.random(len(train_part.labels)) < 0.33)
    few = train_part.subset(np.flatnonzero(keep))
    return replace(dataset, parts={**dataset.parts, "train": few})


def copies(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Have half of the validation and test images among those trained on."""
    parts = dict(dataset.parts)
    for name in ("validation", "test"):
        half = len(parts[name]) // 2
        first = 0 if name == "validation" else 400
        seen = parts["train"].subset(np.arange(first, first + half))
        taken = [seen, parts[name].subset(np.arange(half))]
        images = np.concatenate([each.images for each in taken])  # type: ignore[attr-defined]
        labels = np.concatenate([each.labels for each in taken])
        ids = [f"{name}-{number}" for number in range(len(labels))]
        parts[name] = ArraySamples(images, labels, ids)
    return replace(dataset, parts=parts)


def same_validation(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Validate on the test images."""
    return replace(dataset, parts={**dataset.parts, "validation": dataset.parts["test"]})


def shifted_classes(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Count the classes of the test part from one."""
    return _part(dataset, "test", labels=(dataset.parts["test"].labels + 1) % 10)


def counted_from_one(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Count the classes of the training part from one."""
    return _part(dataset, "train", labels=(dataset.parts["train"].labels + 1) % 10)


def two_swapped(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Change two classes of the training part about."""
    names = np.arange(10)
    names[[3, 8]] = 8, 3
    return _part(dataset, "train", labels=names[dataset.parts["train"].labels])


def inverted_test(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Prepare the test images otherwise: as negatives."""
    return _part(dataset, "test", images=255 - dataset.parts["test"].images)  # type: ignore


def sorted_by_class(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Put the training images in the order of their classes, as folders are read."""
    train_part = dataset.parts["train"]
    inorder = train_part.subset(np.argsort(train_part.labels, kind="stable"))
    return replace(dataset, parts={**dataset.parts, "train": inorder})


def hundred(dataset: Dataset, chance: np.random.Generator) -> Dataset:
    """Leave a hundred training images."""
    few = dataset.parts["train"].subset(np.arange(100))
    return replace(dataset, parts={**dataset.parts, "train": few})


_LOW, _HIGH = ("rate_too_low",), ("rate_too_high", "exploding", "not_finite")
_TURNED = (Affine(rotate_degrees=20.0, translate=1 / 8, scale=(0.85, 1.2), shear=0.1),)
_NO_SLOPE = ("no_gradient", "gradients_arrive")

FAULTS: tuple[Case, ...] = (
    Case("rate a 10,000th", _rate(1e-4), _LOW),
    Case("rate 300 times", _rate(300.0), (*_HIGH, "dead_rectifiers")),
    Case("rate a million times", _rate(1e6), _HIGH),
    Case(
        "labels shuffled", _same, ("labels_look_shuffled", "beats_shuffled_labels"), shuffled_labels
    ),
    Case("copies across the split", _same, ("validation_leak",), copies, silent=True),
    Case("pixels of 0 to 255", _levels(0.0, 1 / 255), ("image_statistics",)),
    Case("scaled twice", _levels(0.0, 255.0), ("image_statistics",)),
    Case(
        "weights of zero",
        _net(start=Constant()),
        ("regularised_loss", "features_differ", *_NO_SLOPE),
    ),
    Case("weights all alike", _net(start=Constant(value=0.05)), ("features_differ",)),
    Case(
        "rectifiers dead from the start",
        _net(bias=Constant(value=-20.0)),
        ("dead_rectifiers", "dead_units", *_NO_SLOPE),
    ),
    Case(
        "sigmoids started wide",
        _net(start=Normal(std=10.0), squash=True),
        ("saturation", "layer_gain"),
        kinds=("plain",),
    ),
    Case(
        "signal that fades",
        _net(start=Normal(std=1e-4), squash=True),
        ("activation_scale", "vanishing_gradients"),
        kinds=("plain",),
    ),
    Case(
        "weights too loud",
        _net(start=Normal(std=3.0)),
        ("layer_gain", "activation_scale", "initial_loss", "exploding_gradients", *_HIGH),
    ),
    Case(
        "batches of one image",
        _with(batch=1, epochs=1),
        ("small_batches_for_norm", "last_batch"),
        silent=True,
        kinds=("vgg", "resnet"),
    ),
    Case("decay of a half", _optimiser(decay=0.5), ("too_much_decay", "underfitting")),
    Case("nearly all dropped", _net(drop=0.97), ("too_much_dropout", "underfitting")),
    Case("one feature a layer", _net(width=1), ("underfitting",)),
    Case("a hundred images", _with(epochs=40), ("overfitting",), hundred),
    Case(
        "rate falls after one epoch",
        _with(schedule=train.Step(at=(1.0,), drop=1e-3)),
        ("rate_falls_too_soon", "rate_too_low", "plateau"),
    ),
    Case("momentum of 0.999", _optimiser(momentum=0.999), ("momentum_too_long", *_HIGH)),
    Case("clipped to nothing", _with(clip=1e-4), ("clipped_short", "rate_too_low")),
    Case("gradients never cleared", _same, ("gradients_accumulate",), code=tamper.keeps_gradients),
    Case("optimiser never steps", _same, ("weights_stand_still",), code=tamper.never_steps),
    Case(
        "softmax twice",
        _same,
        ("softmax_twice", "scores_not_probabilities"),
        code=tamper.softmax_twice,
        silent=True,
    ),
    Case("features detached", _same, _NO_SLOPE, code=tamper.detached),
    Case(
        "layers not given to the optimiser",
        _same,
        ("layers_not_trained", "all_trained"),
        code=tamper.not_given,
    ),
    Case(
        "body frozen at random",
        _net(frozen=("conv", "norm")),
        ("layers_not_trained", "all_trained"),
    ),
    Case("images of a batch mixed by a view", _same, ("no_leak",), code=tamper.mixes_batch),
    Case(
        "not shuffled",
        _same,
        ("not_shuffled", "order_varies"),
        sorted_by_class,
        code=tamper.in_order,
    ),
    Case("made anew every epoch", _same, ("starts_again",), code=tamper.made_anew),
    Case("class order shifted", _same, ("class_order",), shifted_classes),
    Case("test prepared otherwise", _same, ("test_differs",), inverted_test),
    Case("first weights kept", _same, ("test_differs",), code=tamper.keeps_the_first),
    Case("divided by zero", _same, ("not_finite",), code=tamper.divides_by_zero),
    Case(
        "wrong normalisation for the weights",
        _then(_tuned(), _levels(0.9, 0.08)),
        ("wrong_normalisation", "start_fits"),
        silent=True,
    ),
    Case("validation is the test", _same, ("chosen_on_test",), same_validation, silent=True),
    Case(
        "validation augmented",
        _same,
        ("validation_is_plain",),
        code=tamper.augments_all,
        silent=True,
    ),
    Case(
        "augmentation repeated",
        _with(augmentation=_TURNED),
        ("augmentation_varies",),
        code=tamper.same_draws,
        silent=True,
    ),
    Case(
        "never in evaluation mode",
        _net(drop=0.3),
        ("modes_agree", "no_leak"),
        code=tamper.never_evaluating,
        silent=True,
    ),
    Case(
        "dropout without its switch",
        _same,
        ("modes_agree",),
        code=tamper.dropout_always,
        silent=True,
    ),
    Case(
        "frozen norms that move",
        _then(_tuned(), _net(frozen=("norm",))),
        ("frozen_norm_moves", "modes_agree"),
        code=tamper.norms_move,
        silent=True,
        kinds=("vgg", "resnet"),
    ),
    Case("slow loader", _with(epochs=2), ("data_starved",), code=tamper.slow, silent=True),
    Case(
        "weights loaded in part",
        _tuned(),
        ("loaded_whole", "loaded_in_part"),
        code=tamper.loads_in_part,
    ),
    Case(
        "training labels counted from one",
        _same,
        ("labels_disagree", "class_order"),
        counted_from_one,
    ),
    Case("two classes changed about", _same, ("classes_swapped",), two_swapped),
)

HEALTHY: tuple[Case, ...] = (
    Case("plain"),
    Case("adam", _with(optimiser=train.AdamW(rate=2e-3))),
    Case("batch of 8", _with(batch=8, optimiser=train.SGD(rate=0.01, decay=5e-4))),
    Case("large batch", _with(batch=128, optimiser=train.SGD(rate=0.1, decay=5e-4))),
    Case("high but stable rate", _rate(2.5)),
    Case("long warm-up", _with(warmup_epochs=3.0)),
    Case("heavy augmentation", _with(augmentation=(*_TURNED, Flip(p=0.5)))),
    Case("noisy labels, declared", spoil=few_labels_wrong),
    Case("dropped at epochs", _with(schedule=train.Step(at=(4.0, 5.0)))),
    Case("label smoothing", _with(objective=train.CrossEntropy(label_smoothing=0.1))),
    Case("averaged weights", _with(ema=train.Ema(decay=0.95))),
    Case("fine-tuning", _tuned()),
    Case(
        "fine-tuning the head of a frozen body",
        _then(_tuned(("classifier",)), _net(frozen=("conv", "norm", "fc")), _rate(5.0)),
    ),
    Case("dropout", _net(drop=0.5)),
    Case("clipped", _with(clip=1.0)),
    Case("pixels of 0 to 1", _levels(0.0, 1.0)),
    Case("uneven classes", spoil=uneven),
    Case("no decay", _optimiser(decay=0.0)),
)
