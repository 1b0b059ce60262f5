"""The zoo as a picture: published accuracy against multiply-adds, area by parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.errors import UsageError
from striate.zoo import registry

if TYPE_CHECKING:
    from striate.draw.bubbles import Bubble
    from striate.draw.figure import Figure

_TITLES = {
    "imagenet": "ImageNet, top-1 accuracy in %, as published",
    "cifar10": "CIFAR-10, accuracy in %, as published",
}


def plot(names: Sequence[str] = ()) -> Figure:
    """Draw the registered networks with a published top-1 accuracy, a panel for each data set.

    Args:
        names: only these; all unless given.

    Raises:
        UsageError: none of them has one.
        UnknownName: a name that is not registered.
    """
    from striate.draw.bubbles import bubbles

    found: dict[str, list[Bubble]] = {data: [] for data in _TITLES}
    for name in names or registry.names():
        for data, bubble in _bubbles(name):
            found[data].append(bubble)
    panels = [(_TITLES[data], points) for data, points in found.items() if points]
    if not panels:
        raise UsageError(f"No accuracy is published for {', '.join(names)}: nothing to plot.")
    return bubbles(panels, "multiply-adds (MACs) an image", "parameters", spell)


def _bubbles(name: str) -> list[tuple[str, Bubble]]:
    from striate.draw.bubbles import Bubble

    entry = registry.entry(name)
    top1 = {each.data: each.top1 for each in reversed(entry.accuracy) if each.top1 is not None}
    shown = [(data, value) for data, value in top1.items() if data in _TITLES]
    if not shown:
        return []
    network = registry.network(name)
    family = re.split(r"[\d_]", name, maxsplit=1)[0]
    x, size = float(network.macs()), float(network.parameter_count(train=False))
    return [(data, Bubble(name, x, value, size, family)) for data, value in shown]


def published(name: str) -> str:
    """Return a registered network's published accuracy in a few words; empty where none is known.

    Example:
        >>> published("vgg16")
        '71.6% top-1, 90.4% top-5 (imagenet)'
    """
    accuracy = registry.entry(name).accuracy if name in registry.names() else ()
    if not accuracy:
        return ""
    first = accuracy[0]
    shares = (("top-1", first.top1), ("top-5", first.top5))
    known = ", ".join(f"{value:.1f}% {what}" for what, value in shares if value is not None)
    return f"{known} ({first.data})"


def spell(value: float) -> str:
    """Spell a count in short: 25M, 1.8G."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.0f}"
