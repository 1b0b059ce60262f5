"""Recipes for networks that are hard to fool: every batch is attacked before it is learnt from."""

from __future__ import annotations

from striate.recipes.facts import DataFacts
from striate.recipes.photographs import photographs
from striate.recipes.registry import Wish, register
from striate.recipes.small import small_images, tiny_images
from striate.train import Adam, Adversarial, Linear, Recipe

# Two strided convolutions of 16 and 32 filters: the thin net of fast adversarial training.
_THIN = "conv4-16/2p1 conv4-32/2p1 FC-100 FC-10"
_BATCH = 100  # of the thin net
_INKED, _PHOTOGRAPHED = 0.3, 8 / 255  # how far a pixel of a drawing, of a photograph, may move


@register
def fast_adversarial(facts: DataFacts, wish: Wish) -> Recipe:
    """One step of attack a batch, from a random start: twice the cost of ordinary training.

    Command: `striate train mnist --recipe fast_adversarial`.

    Hardware: any CPU for MNIST.
    Time: 8 minutes for MNIST on one thread of an EPYC with AVX-512, other work beside it.
    Accuracy: MNIST's test images 97.77%, and 86.26% under PGD-40 within 0.3; one seed. Another
    collapsed, and said so (docs/log.md): `pgd_adversarial` is the safer one.

    Source: Wong, Rice, Kolter, "Fast is better than free", ICLR 2020 (network, rate and step of
    its MNIST program; there 10 epochs and 88.8%).
    """
    return _adversarial(facts, wish, "fast_adversarial", steps=1)


@register
def pgd_adversarial(facts: DataFacts, wish: Wish) -> Recipe:
    """Seven steps of attack a batch: eight times the cost, and no catastrophic overfitting.

    Command: `striate train mnist --recipe pgd_adversarial`.

    Hardware: any CPU for MNIST; a graphics card for photographs.
    Time: 5.6 minutes of one core of an EPYC with AVX-512 for MNIST (29 by the clock, the machine
    busy with eight times what it can do).
    Accuracy: MNIST's test images 98.69%, and 92.89% under PGD-40 (step 0.01, one random start)
    within 0.3; one seed (docs/log.md).

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018.
    """
    return _adversarial(facts, wish, "pgd_adversarial", steps=7)


def _adversarial(facts: DataFacts, wish: Wish, name: str, steps: int) -> Recipe:
    """Write what both share: the recipe for such images, with its loss under attack."""
    inked = facts.channels == "grey"
    thin = inked and facts.short_side > 16
    thin = thin and wish.network == "auto"
    if thin:
        wish = wish._replace(network=_THIN)
    own = tiny_images if facts.short_side <= 16 else small_images
    base = (own if facts.short_side <= 40 else photographs)(facts, wish)
    eps = _INKED if inked else _PHOTOGRAPHED
    times = "once" if steps == 1 else f"{steps} times"
    called = f"{facts.count:,} images of {facts.size[0]}x{facts.size[1]}: a thin net"
    recipe = base.replace(
        name=name,
        reason=f"{called if thin else base.reason}; attacked within {eps:.3g} of a pixel, {times}",
        objective=Adversarial(eps=eps, steps=steps),
        choose_by="accuracy",
    )
    if not thin:
        return recipe
    recipe = recipe.replace(
        preprocessing=recipe.preprocessing.replace(mean=(0.0,), std=(1.0,)),
        augmentation=(),
        schedule=Linear(),
        batch=_BATCH,
        ema=None,
    )
    if steps == 1:
        return recipe.replace(optimiser=Adam(rate=0.005), warmup_epochs=4.0, epochs=12)
    # Three epochs for the box to grow: at its full size at once, and at the rate above, nothing was
    # learnt in two epochs (docs/log.md).
    ramp = round(2.75 * facts.count / _BATCH)
    objective = Adversarial(eps=eps, steps=steps, ramp=ramp)
    adam = Adam(rate=0.002)
    return recipe.replace(objective=objective, optimiser=adam, warmup_epochs=1.0, epochs=8)
