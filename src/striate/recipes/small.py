"""Recipes for images small enough to be taken whole: digits, symbols, thumbnails."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import Affine, Augmentation, Flip, PadAndCrop
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, register
from striate.train import (
    SGD,
    Cosine,
    CrossEntropy,
    DataChoice,
    Preprocessing,
    Recipe,
)

_MOST_STEPS = 6_000  # on a CPU: what trains a small net on small images in some ten minutes


@register
def tiny_images(facts: DataFacts, wish: Wish) -> Recipe:
    """Images of up to 16 pixels, such as the digits of 8x8: a small convolutional net.

    Command: `striate train digits`.
    """
    size = facts.size
    return Recipe(
        name="tiny_images",
        reason=(
            f"{_seen(facts)}: a small convolutional net, shifted and turned a little, "
            "no flips, since symbols have a left and a right"
        ),
        network=wish.build(
            "convnet(stages=((32, 32), (64, 64)))", facts.classes, (facts.channel_count, *size)
        ),
        data=DataChoice(path=facts.path),
        preprocessing=_whole(facts),
        augmentation=(Affine(rotate_degrees=10.0, translate=0.1, scale=(0.9, 1.1)),),
        objective=CrossEntropy(label_smoothing=0.05),
        optimiser=SGD(rate=0.1, momentum=0.9, nesterov=True, decay=5e-4),
        schedule=Cosine(),
        warmup_epochs=1.0,
        epochs=30,
        batch=64,
    )


@register
def small_images(facts: DataFacts, wish: Wish) -> Recipe:
    """Images of 17 to 40 pixels, such as MNIST's and CIFAR's: a small residual net.

    Command: `striate train mnist`, `striate train fashion_mnist`, `striate train cifar10`.
    """
    grey = facts.channels == "grey"
    batch = 128
    epochs = _epochs(facts.count, batch, _MOST_STEPS * (10 if wish.gpu else 1))
    augmentation: tuple[Augmentation, ...] = (PadAndCrop(pad=2 if grey else 4),)
    return Recipe(
        name="small_images",
        reason=(
            f"{_seen(facts)}: a small residual net, shifted "
            + ("but never flipped, since grey ones are often symbols" if grey else "and flipped")
        ),
        network=wish.build("resnet20", facts.classes, (facts.channel_count, *facts.size)),
        data=DataChoice(path=facts.path),
        preprocessing=_whole(facts),
        augmentation=augmentation if grey else (*augmentation, Flip()),
        objective=CrossEntropy(label_smoothing=0.1),
        optimiser=SGD(rate=0.2, momentum=0.9, nesterov=True, decay=5e-4),
        schedule=Cosine(),
        warmup_epochs=1.0,
        epochs=epochs,
        batch=batch,
        precision="bfloat16" if wish.gpu else "float32",
        layout="channels_last",
    )


def _epochs(count: int, batch: int, most_steps: int) -> int:
    """Return how many epochs fit into so many steps, 5 to 100."""
    return min(max(most_steps * batch // max(count, 1), 5), 100)


def _seen(facts: DataFacts) -> str:
    height, width = facts.size
    return f"{facts.count:,} images of {height}x{width}"


def _whole(facts: DataFacts) -> Preprocessing:
    """Take images whole, scaled to the median one's size where they have another."""
    return Preprocessing(
        channels=facts.channels, size=facts.size, resize=Resize(rule="exact", size=facts.size)
    )
