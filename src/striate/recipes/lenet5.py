"""LeNet-5 of 1998, trained with the distance loss of its paper."""

from __future__ import annotations

from striate.contract import Resize
from striate.design import Network
from striate.recipes.facts import DataFacts
from striate.recipes.registry import Wish, on_paper, register
from striate.train import AdamW, DataChoice, DistanceLoss, Linear, Preprocessing, Recipe

# Pixels of 0 become -0.1 and those of 255 become 1.175, so that their mean is about 0 and their
# variance about 1.
_BACKGROUND, _FOREGROUND = -0.1, 1.175
_STD = 1 / (_FOREGROUND - _BACKGROUND)


@register
def lenet5_1998(facts: DataFacts, wish: Wish) -> Recipe:
    """LeNet-5 on MNIST: 0.95% error in the paper, without distortions (figure 9).

    Command: `striate train mnist --net lenet5_1998`.

    Hardware: any CPU; a graphics card is not needed.
    Time: 6 min on one thread of an EPYC with AVX-512, with other work beside it.
    Accuracy: 99.04% on the test part of MNIST (98.96 to 99.12 over 3 seeds; docs/log.md).

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE
    1998, section II and III. Deviations: AdamW on batches for their diagonal Levenberg-Marquardt on
    single images; the weights are those of the best validation, on 5,000 images held out.
    """
    size = wish.size or on_paper(_network(wish)).input_shape[-2:]
    network = wish.build("lenet5_1998", facts.classes, facts.channel_count, (size[0], size[1]))
    channels = facts.channel_count
    framed = 4 * facts.short_side >= 3 * min(size)  # smaller ones would be lost in it
    return Recipe(
        name="lenet5_1998",
        reason=(
            f"{wish.called('LeNet-5')}: {facts.count:,} images of {facts.size[0]}x{facts.size[1]} "
            f"{'in a frame of' if framed else 'scaled to'} {size[0]}x{size[1]}, as in the paper"
        ),
        network=network,
        data=DataChoice(path=facts.path),
        preprocessing=Preprocessing(
            channels=facts.channels,
            size=(size[0], size[1]),
            resize=Resize(rule="frame" if framed else "pad", size=(size[0], size[1])),
            background=(0, 0, 0),
            mean=(-_BACKGROUND * _STD,) * channels,
            std=(_STD,) * channels,
        ),
        objective=DistanceLoss(),
        optimiser=AdamW(rate=0.002, decay=0.01),
        schedule=Linear(),
        warmup_epochs=0.5,
        epochs=min(max(15 * 60_000 // max(facts.count, 1), 15), 120),
        batch=64,
    )


def _network(wish: Wish) -> str | Network:
    return "lenet5_1998" if wish.network == "auto" else wish.network
