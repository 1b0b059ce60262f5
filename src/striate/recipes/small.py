"""Recipes for images small enough to be taken whole: digits, symbols, thumbnails."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import Affine, Augmentation, Flip, PadAndCrop
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, register
from striate.train import (
    AdamW,
    CrossEntropy,
    DataChoice,
    Ema,
    Linear,
    Preprocessing,
    Recipe,
)

_WARMUP = 0.15  # of all epochs


@register
def tiny_images(facts: DataFacts, wish: Wish) -> Recipe:
    """Images of up to 16 pixels, such as the digits of 8x8: a small net, turned a little.

    Command: `striate train digits`.

    Hardware: any CPU; a graphics card is not needed.
    Time: 7 s for the digits on two cores of an EPYC with AVX-512, 22 s with other work beside it.
    Accuracy: 99.67% (99.16 to 100 over 5 seeds) on the 359 digits held out
    (benchmarks/results/defaults_2cores_202611.json).

    Source: none; the network is a small relative of He et al., "Deep residual learning", CVPR 2016,
    trained with AdamW (Loshchilov and Hutter, "Decoupled weight decay", ICLR 2019).
    """
    return _small(
        facts,
        wish,
        name="tiny_images",
        how="turned, scaled and shifted a little, never flipped, as symbols have a left and right",
        network="convnet(widths=(32, 64), depths=(1, 1))",
        augmentation=(
            Affine(rotate_degrees=10.0, translate=1 / 8, scale=(1 / 1.1, 1.1), shear=0.1),
        ),
        ema=0.99,
        epochs=40,
        batch=32,
    )


@register
def small_images(facts: DataFacts, wish: Wish) -> Recipe:
    """Images of 17 to 40 pixels, such as MNIST's and CIFAR's: a small residual net, shifted.

    Command: `striate train mnist`, `striate train fashion_mnist`, `striate train cifar10`.

    Hardware: any CPU; on a graphics card the images are seen five times as often.
    Time: 7 to 10 min for MNIST, 10 to 14 min for Fashion-MNIST on two cores of an EPYC with
    AVX-512, with other work beside it.
    Accuracy: 99.68% (99.66 to 99.70 over 3 seeds) on the test part of MNIST, 94.04% (93.94 and
    94.13) on that of Fashion-MNIST (benchmarks/results/defaults_2cores_202611.json). Not measured
    on CIFAR-10.

    Source: as for `tiny_images`; the network follows the ResNet-9 of DAWNBench (Page 2018).
    """
    grey = facts.channels == "grey"
    augmentation: tuple[Augmentation, ...] = (PadAndCrop(pad=1),)
    if not grey:
        augmentation = (PadAndCrop(pad=4), Flip())
    return _small(
        facts,
        wish,
        name="small_images",
        how="shifted, never flipped, as grey ones are often symbols"
        if grey
        else "shifted, flipped",
        network="convnet" if grey else "convnet(widths=(64, 128, 256))",
        augmentation=augmentation,
        ema=0.998,
        epochs=_epochs(facts.count, wish.gpu),
        batch=128,
    )


def _small(
    facts: DataFacts,
    wish: Wish,
    *,
    name: str,
    how: str,
    network: str,
    augmentation: tuple[Augmentation, ...],
    ema: float,
    epochs: int,
    batch: int,
) -> Recipe:
    """Write what the recipes for small images share: AdamW, linear fall, averaged weights."""
    size = wish.size or facts.size
    scaled = f" scaled to {size[0]}x{size[1]}" if size != facts.size else ""
    return Recipe(
        name=name,
        reason=(
            f"{facts.count:,} images of {facts.size[0]}x{facts.size[1]}{scaled}: "
            f"{wish.called('a small residual net')}, {how}"
        ),
        network=wish.build(network, facts.classes, facts.channel_count, size),
        data=DataChoice(path=facts.path),
        preprocessing=Preprocessing(
            channels=facts.channels,
            size=size,
            resize=Resize(rule="exact", size=size),
        ),
        augmentation=augmentation,
        objective=CrossEntropy(label_smoothing=0.1),
        optimiser=AdamW(rate=0.004, decay=0.05, betas=(0.9, 0.99)),
        schedule=Linear(),
        warmup_epochs=_WARMUP * epochs,
        epochs=epochs,
        batch=batch,
        ema=Ema(decay=ema),
        precision="bfloat16" if wish.gpu else "float32",
        layout="channels_last",
    )


def _epochs(count: int, gpu: bool) -> int:
    """Return the epochs: 12 for 60,000 images on a CPU, more for fewer or on a GPU."""
    passes = (60 if gpu else 12) * 60_000 // max(count, 1)
    return min(max(passes, 12), 120)
