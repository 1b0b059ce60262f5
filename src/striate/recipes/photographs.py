"""The recipe for photographs: objects somewhere in the picture, at any scale."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import ColourJitter, Flip, RandomResizedCrop
from striate.design import Network
from striate.errors import DesignError
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
    images are seen four times as often. A network asked for that takes one size only is trained and
    used at 128 pixels; one that takes nothing so small, at the smallest it takes.

    Hardware: any CPU; a graphics card is not needed.
    Time: 5 to 7 min for any 500 to 5,000 images on two cores of an EPYC with AVX-512 (33 TFLOP).
    Accuracy: 70.3% (68.9 to 71.7 over 3 seeds) on 933 photographs of groceries in 24 classes from
    shops that none of the 1,153 training images is from, from scratch
    (benchmarks/results/defaults_2cores_202611.json). Not measured on a graphics card.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016; the stem and the
    averaging shortcuts of He et al., "Bag of tricks for image classification", CVPR 2019, section
    4; growing sizes as explained at `train.SizeUntil`.
    """
    more = 2 if wish.gpu else 1
    side = max(128 * more, wish.least_side())
    size = wish.size or (side, side)
    network = wish.build(_NETWORK.format(32 * more), facts.classes, facts.channel_count, size)
    sizes = _growing(network, size)
    crops = " and later ".join(str(min(each.size)) for each in sizes)
    epochs = _epochs(facts.count, _STEPS * more**2)
    return Recipe(
        name="photographs",
        reason=(
            f"{facts.count:,} images of {facts.size[0]}x{facts.size[1]}: "
            f"{wish.called('a thin ResNet-18')} from scratch, "
            f"on random crops of {crops or min(size)} pixels"
            + (f", used at {min(size)}" if crops else "")
        ),
        network=network,
        data=DataChoice(path=facts.path),
        preprocessing=Preprocessing(
            channels=facts.channels,
            size=size,
            resize=Resize(rule="short_side", size=size),
            crop="centre",
        ),
        augmentation=(
            RandomResizedCrop(scale=(0.25, 1.0)),
            Flip(),
            ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.04),
        ),
        sizes=sizes,
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


def _growing(network: Network, size: tuple[int, int]) -> tuple[SizeUntil, ...]:
    """Return half the size and then three quarters, or nothing for a network of one size."""
    height, width = size
    stages = ((0.6, (height // 2, width // 2)), (1.0, (height * 3 // 4, width * 3 // 4)))
    if not all(_takes(network, each) for _, each in stages):
        return ()
    return tuple(SizeUntil(until=until, size=each) for until, each in stages)


def _takes(network: Network, size: tuple[int, int]) -> bool:
    """Tell whether images of another size go through a network with the same parameters."""
    try:
        other = network.with_input((network.input_shape[0], *size))
    except DesignError:
        return False
    return other.parameters() == network.parameters()


def _epochs(count: int, steps: int) -> int:
    """Return how many epochs make so many steps, 20 to 200."""
    return min(max(round(steps * _BATCH / max(0.9 * count, 1)), 20), 200)
