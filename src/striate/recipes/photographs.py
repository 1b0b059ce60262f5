"""The recipe for photographs: objects somewhere in the picture, at any scale."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import ColourJitter, Flip, RandomResizedCrop
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, register
from striate.train import AdamW, Cosine, CrossEntropy, DataChoice, Preprocessing, Recipe

_FEW = 10_000  # images, below which a net from scratch needs many epochs


@register
def photographs(facts: DataFacts, wish: Wish) -> Recipe:
    """Images above 40 pixels: a thin ResNet-18 on random crops of 64 to 96 pixels (224 on a GPU).

    Command: `striate train FOLDER`.
    """
    side = _side(facts, wish)
    epochs = 90 if facts.count < _FEW else 30
    return Recipe(
        name="photographs",
        reason=(
            f"{facts.count:,} images of {facts.size[0]}x{facts.size[1]}: a thin ResNet-18 on "
            f"random crops of {side} pixels, from scratch"
        ),
        network=wish.build("resnet18(width=32)", facts.classes, (facts.channel_count, side, side)),
        data=DataChoice(path=facts.path),
        preprocessing=Preprocessing(
            channels=facts.channels,
            size=(side, side),
            resize=Resize(rule="short_side", size=(side * 8 // 7, side * 8 // 7)),
            crop="centre",
        ),
        augmentation=(
            RandomResizedCrop(scale=(0.25, 1.0)),
            Flip(),
            ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
        ),
        objective=CrossEntropy(label_smoothing=0.1),
        optimiser=AdamW(rate=2e-3, decay=0.05),
        schedule=Cosine(),
        warmup_epochs=3.0,
        epochs=epochs,
        batch=64,
        precision="bfloat16" if wish.gpu else "float32",
        layout="channels_last",
    )


def _side(facts: DataFacts, wish: Wish) -> int:
    """Return the input's side: what a CPU can bear, or the image itself where it is smaller."""
    most = 224 if wish.gpu else 96
    return min(most, max(facts.short_side // 32 * 32, 64))
