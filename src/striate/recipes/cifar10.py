"""The CIFAR-10 networks of the residual learning paper, trained as the paper says."""

from __future__ import annotations

from striate.contract import Resize
from striate.data import Flip, PadAndCrop
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, register
from striate.train import SGD, DataChoice, Preprocessing, Recipe, Step

_BATCH = 128
_ITERATIONS, _DROPS = 64_000, (32_000, 48_000)
_VALIDATION = 0.1


@register
def resnet20_cifar10(facts: DataFacts, wish: Wish) -> Recipe:
    """ResNet-20 on CIFAR-10: 8.75% error in the paper (table 6).

    Command: `striate train cifar10 --recipe resnet20_cifar10`.

    Hardware: a graphics card, or a CPU for some hours.
    Time: 182 epochs of 45,000 images are 2,000 TFLOP, by count. Not measured here.
    Accuracy: 91.25% in the paper. Not measured here.

    Source: He, Zhang, Ren, Sun, Deep residual learning for image recognition, CVPR 2016, section
    4.2. Deviations: the mean is one a channel, not one a pixel, and colours are divided by their
    standard deviation; the weights are those of the best validation, not the last.
    """
    return _as_in_the_paper("resnet20", facts, wish)


@register
def resnet56_cifar10(facts: DataFacts, wish: Wish) -> Recipe:
    """ResNet-56 on CIFAR-10: 6.97% error in the paper (table 6).

    Command: `striate train cifar10 --recipe resnet56_cifar10`.

    Hardware: a graphics card, or a CPU for a day.
    Time: 182 epochs of 45,000 images are 6,200 TFLOP, by count. Not measured here.
    Accuracy: 93.03% in the paper. Not measured here.

    Source and deviations: as for `resnet20_cifar10`.
    """
    return _as_in_the_paper("resnet56", facts, wish)


def _as_in_the_paper(network: str, facts: DataFacts, wish: Wish) -> Recipe:
    """SGD 0.9 at 0.1, a tenth after 32k and 48k iterations, 64k in all; batch 128, decay 1e-4.

    The paper counts iterations; a run counts epochs, so these follow from the number of images (182
    epochs on 45,000). Images of another size are scaled to 32x32.
    """
    training = max(round(facts.count * (1 - _VALIDATION)), 1)
    steps_an_epoch = -(-training // _BATCH)
    size = wish.size or (32, 32)
    return Recipe(
        name=f"{network}_cifar10",
        reason=f"{wish.called(network)}, trained as in He et al. 2016, 64,000 iterations",
        network=wish.build(network, facts.classes, 3, size),
        data=DataChoice(path=facts.path, validation=_VALIDATION),
        preprocessing=Preprocessing(
            channels="rgb", size=size, resize=Resize(rule="exact", size=size)
        ),
        augmentation=(PadAndCrop(pad=4), Flip()),
        optimiser=SGD(rate=0.1, momentum=0.9, decay=1e-4),
        decay_on_norms_and_biases=True,
        schedule=Step(at=tuple(drop / steps_an_epoch for drop in _DROPS), drop=0.1),
        epochs=max(round(_ITERATIONS / steps_an_epoch), 1),
        batch=_BATCH,
        layout="channels_last" if wish.gpu else "contiguous",
    )
