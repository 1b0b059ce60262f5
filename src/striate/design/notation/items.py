"""What a notation says, before any size is worked out: layers as written, groups, volumes."""

from __future__ import annotations

from typing import NamedTuple

Sizes = tuple[int, ...]
Value = int | float | str | bool | Sizes | tuple[tuple[int, int], ...] | tuple[float, ...]

MOST_LAYERS = 2_000
MOST_SIZE = 1_000_000  # of any number written: features, window, image
MOST_TEXT = 100_000  # characters
MOST_DEPTH = 30  # of groups in groups


class Item(NamedTuple):
    """One layer as written.

    Args:
        kind: `conv`, `max_pool`, `fc`, ...
        position: where it stands in the text.
        values: what was written of it: `features`, `kernel`, `stride`, `padding`, ...
        name: its label, in the form a layer's name has; empty where it has none.
        volume: (height, width, channels) or (features,) that the text says it gives.
        optional: written with a question mark.
    """

    kind: str
    position: int
    values: dict[str, Value]
    name: str = ""
    volume: Sizes = ()
    optional: bool = False
