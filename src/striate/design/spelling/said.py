"""What a dialect says of a layer, and the shapes of layers that every dialect asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from striate.design.arithmetic import Padding
from striate.design.layer import Layer
from striate.design.network import Network


class Said(NamedTuple):
    """Words, and notes on what they leave out.

    Args:
        code: of one layer or several; empty where a library has nothing for it.
        notes: sentences.
        before: code of a layer that must come first, such as uneven padding.
    """

    code: str
    notes: tuple[str, ...] = ()
    before: str = ""


def lacking(layer: Layer, library: str, hint: str = "") -> Said:
    """Say that a library has no such layer."""
    kind = str(type(layer).__struct_config__.tag).replace("_", " ")
    return Said("", (f"{layer.name}: {library} has no {kind}{': ' + hint if hint else '.'}",))


def is_chain(layers: Sequence[Layer]) -> bool:
    """Tell whether each layer reads just the one before."""
    return all(len(layer.inputs) == 1 for layer in layers) and all(
        after.inputs == (before.name,) for before, after in zip(layers, layers[1:], strict=False)
    )


def variable(name: str) -> str:
    """Return a name that Lua and Python accept: `layer1_0_conv1`."""
    return re.sub(r"\W", "_", name) if name[0].isalpha() else re.sub(r"\W", "_", f"n{name}")


def even(padding: Sequence[Padding]) -> bool:
    """Tell whether padding is alike before and after on each axis."""
    return all(before == after for before, after in padding)


def scalar(sizes: Sequence[int]) -> str:
    """Spell sizes as one number where they are alike: 3, (1, 7)."""
    alike = len(set(sizes)) == 1
    return str(sizes[0]) if alike else f"({', '.join(map(str, sizes))})"


def ends(network: Network, layers: Sequence[Layer]) -> tuple[list[str], list[str]]:
    """Return which values a part of a network reads from outside, and which leave it."""
    inside = {layer.name for layer in layers}
    read = dict.fromkeys(name for layer in layers for name in layer.inputs if name not in inside)
    outside = {
        name for layer in network.layers if layer.name not in inside for name in layer.inputs
    }
    outside |= {output.source for output in network.outputs}
    left = [layer.name for layer in layers if layer.name in outside]
    return list(read), left or [layers[-1].name]
