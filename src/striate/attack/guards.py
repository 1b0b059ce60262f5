"""Guards: what has to hold of any attack's figures, and what it means where it does not.

A network looks robust for many reasons: its normalisation is applied twice or not at all, its
gradient is zero or random, its attack is too weak. Each has a sign that costs little to look for.

Source: Athalye, Carlini, Wagner, "Obfuscated gradients give a false sense of security", ICML 2018,
section 3.1; Carlini et al., "On evaluating adversarial robustness", 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, wrongness
from striate.attack.pgd import pgd
from striate.contract import Contract
from striate.inference.metrics import wilson
from striate.records import Record

Line = tuple[str, float, int, float]  # attack, eps, steps, accuracy

_SLACK = 0.02  # accuracy may rise by so much by chance
_PROBED = 64  # images that are attacked again for a guard


class Guard(Record, frozen=True, kw_only=True):
    """One thing that has to hold.

    Args:
        name: what is guarded.
        passed: whether it holds.
        found: what was measured, in words.
        meaning: what it would mean if it did not hold.
    """

    name: str
    passed: bool
    found: str
    meaning: str


def inspect(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    clean: Sequence[Attacked],
    table: Sequence[Line],
    inputs: Tensor | None = None,
    expected: tuple[int, int] | None = None,
    seed: int = 0,
) -> tuple[Guard, ...]:
    """Check an attack's figures.

    Args:
        net, contract, images, labels: what was attacked.
        clean: the result of attacking with eps = 0.
        table: (attack, eps, steps, accuracy), `clean` first, then by eps.
        inputs: the same images as the loader prepares them.
        expected: (right, all) of an earlier evaluation.
        seed: of random starts.
    """
    some, right = images[:_PROBED], labels[:_PROBED]
    guards = [
        _deterministic(net, contract, some),
        _nothing_is_clean(net, contract, images, clean, inputs),
    ]
    if expected is not None:
        guards.append(_as_recorded(table[0][3], len(images), expected))
    guards.append(_gradients(net, contract, some, right))
    guards += _monotone(table)
    guards.append(_unbounded(net, contract, some, right, seed))
    return tuple(guards)


def _deterministic(net: nn.Module, contract: Contract, images: Tensor) -> Guard:
    with attacking(net, contract) as seen, torch.no_grad():
        first, again = seen(images), seen(images)
    apart = float((first - again).abs().max())
    return Guard(
        name="the same image gets the same answer",
        passed=apart == 0,
        found=f"logits differ by up to {apart:.3g} between two passes",
        meaning="The network is random, so that one gradient says little: average over passes.",
    )


def _nothing_is_clean(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    clean: Sequence[Attacked],
    inputs: Tensor | None,
) -> Guard:
    unmoved = all(float(each.largest.max()) == 0 for each in clean)
    found = "images are unchanged" if unmoved else "images are changed"
    same = True
    if inputs is not None:
        with attacking(net, contract) as seen, torch.no_grad():
            parts = zip(torch.split(inputs, 128), torch.split(images, 128), strict=True)
            apart = [
                float((seen.logits(seen.net(one)) - seen(other)).abs().max())
                for one, other in parts
            ]
        same = max(apart) == 0
        found += f", logits differ by {max(apart):.3g} from those of the loader's images"
    return Guard(
        name="eps = 0 equals clean",
        passed=unmoved and same,
        found=found,
        meaning="The attack sees another preparation than evaluation does.",
    )


def _as_recorded(accuracy: float, count: int, expected: tuple[int, int]) -> Guard:
    low, high = wilson(*expected)
    ours = wilson(round(accuracy * count), count)
    return Guard(
        name="clean accuracy is the recorded one",
        passed=ours.low <= high and low <= ours.high,
        found=f"{100 * accuracy:.2f}% here, {100 * expected[0] / expected[1]:.2f}% on record",
        meaning="A normalisation mistake is likely: the network sees other numbers than it was "
        "trained on (normalised twice, or not at all).",
    )


def _gradients(net: nn.Module, contract: Contract, images: Tensor, labels: Tensor) -> Guard:
    with attacking(net, contract) as seen:
        pixels = images.clone().requires_grad_()
        loss = wrongness(seen, labels)(pixels)
        slope = (
            torch.autograd.grad(loss, pixels)[0] if loss.requires_grad else torch.zeros_like(pixels)
        )
    flat = slope.flatten(1)
    dead = ((flat == 0).all(1) | ~flat.isfinite().all(1)).float().mean()
    return Guard(
        name="gradients are there",
        passed=float(dead) <= 0.1,
        found=f"{100 * float(dead):.0f}% of images have no gradient, or none that is finite",
        meaning="Masked gradients suspected: attacks that follow them find nothing, which says "
        "nothing about robustness.",
    )


def _monotone(table: Sequence[Line]) -> Iterator[Guard]:
    """Accuracy has to fall with eps and with steps, and attacks have to beat noise."""
    rises = [
        f"{name} {100 * before:.1f}% at {low:.3g}, {100 * after:.1f}% at {high:.3g}"
        for name in dict.fromkeys(line[0] for line in table[1:])
        if name != "noise"
        for (low, before), (high, after) in _pairs(table, name)
        if after > before + _SLACK
    ]
    yield Guard(
        name="accuracy falls with eps",
        passed=not rises,
        found="; ".join(rises) or "it never rises",
        meaning="Masked gradients suspected: a larger eps allows all that a smaller one does.",
    )
    weak, chance = [], []
    for eps in sorted({line[1] for line in table[1:]}):
        by_steps = sorted((line for line in table if line[1] == eps), key=lambda line: line[2])
        noisy = [line for line in by_steps if line[2] == 0]
        sharp = [line for line in by_steps if line[2] > 0]
        if len(sharp) > 1 and sharp[-1][3] > sharp[0][3] + _SLACK:
            weak.append(
                f"{sharp[-1][0]} {100 * sharp[-1][3]:.1f}% at {eps:.3g}, {sharp[0][0]} "
                f"{100 * sharp[0][3]:.1f}%"
            )
        if noisy and sharp and min(line[3] for line in sharp) > noisy[0][3] + _SLACK:
            chance.append(f"noise {100 * noisy[0][3]:.1f}% at {eps:.3g}")
    yield Guard(
        name="accuracy falls with steps",
        passed=not weak,
        found="; ".join(weak) or "more steps are never weaker",
        meaning="Masked gradients suspected: many small steps can do all that one can.",
    )
    yield Guard(
        name="attacks beat noise",
        passed=not chance,
        found="; ".join(chance) or "noise is never stronger",
        meaning="Masked gradients suspected: chance finds what the gradient does not.",
    )


def _pairs(table: Sequence[Line], name: str) -> list[tuple[tuple[float, float], ...]]:
    points = [(0.0, table[0][3])] + [(line[1], line[3]) for line in table[1:] if line[0] == name]
    points.sort()
    return list(zip(points[:-1], points[1:], strict=True))


def _unbounded(
    net: nn.Module, contract: Contract, images: Tensor, labels: Tensor, seed: int
) -> Guard:
    found = pgd(net, contract, images, labels, eps=1.0, steps=40, step=0.05, seed=seed)
    return Guard(
        name="no network survives eps = 1",
        passed=found.accuracy <= 0.1,
        found=f"{100 * found.accuracy:.0f}% of {len(images)} images are still answered right",
        meaning="Masked gradients suspected: with every pixel free, any answer can be reached.",
    )
