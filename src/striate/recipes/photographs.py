"""The recipe for photographs: objects somewhere in the picture, at any scale."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import ColourJitter, Flip, RandomResizedCrop
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, register
from striate.train import (
    SGD,
    Cosine,
    CrossEntropy,
    DataChoice,
    Ema,
    Preprocessing,
    Recipe,
    SizeUntil,
)

_NETWORK = "resnet18(width={}, stem='deep', average=True, zero_last_scale=True)"
_STEPS = 2_900  # of 32 images, on a CPU: some five minutes on two cores
_BATCH = 32


@register
def photographs(facts: DataFacts, wish: Wish) -> Recipe:
    """Images above 40 pixels: a thin ResNet-18 trained on 64, then 96, used at 128 pixels.

    Command: `striate train FOLDER`. On a graphics card all sizes and widths are doubled and the
    images are seen four times as often.
    """
    more = 2 if wish.gpu else 1
    side = 128 * more
    epochs = _epochs(facts.count, _STEPS * more**2)
    return Recipe(
        name="photographs",
        reason=(
            f"{facts.count:,} images of {facts.size[0]}x{facts.size[1]}: a thin ResNet-18 from "
            f"scratch, on random crops of {64 * more} and later {96 * more} pixels, used at {side}"
        ),
        network=wish.build(
            _NETWORK.format(32 * more), facts.classes, (facts.channel_count, side, side)
        ),
        data=DataChoice(path=facts.path),
        preprocessing=Preprocessing(
            channels=facts.channels,
            size=(side, side),
            resize=Resize(rule="short_side", size=(side, side)),
            crop="centre",
        ),
        augmentation=(
            RandomResizedCrop(scale=(0.25, 1.0)),
            Flip(),
            ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.04),
        ),
        sizes=(
            SizeUntil(until=0.6, size=(64 * more, 64 * more)),
            SizeUntil(until=1.0, size=(96 * more, 96 * more)),
        ),
        objective=CrossEntropy(label_smoothing=0.1),
        optimiser=SGD(rate=0.05, momentum=0.9, nesterov=True, decay=2e-3),
        schedule=Cosine(),
        warmup_epochs=0.05 * epochs,
        epochs=epochs,
        batch=_BATCH,
        clip=5.0,
        ema=Ema(decay=1 - 25 / max(_STEPS * more**2, 250)),
        choose_by="loss",
        precision="bfloat16" if wish.gpu else "float32",
        layout="channels_last",
    )


def _epochs(count: int, steps: int) -> int:
    """Return how many epochs make so many steps, 20 to 200."""
    return min(max(round(steps * _BATCH / max(0.9 * count, 1)), 20), 200)
