"""What a followed forward pass is made of: records, where they happened, and why it ended."""

from __future__ import annotations

from typing import NamedTuple

from striate.design import Layer


class Frame(NamedTuple):
    """A module in whose forward something happens.

    Args:
        path: its name in the whole.
        visit: how often the module around it has called it in this call, 1 at first.
        leaf: whether it has no modules within.
        number: of the call, unlike every other.
    """

    path: str
    visit: int
    leaf: bool
    number: int


class Step(NamedTuple):
    """A record with a name for the time being, and where it came from.

    Args:
        layer: the record; names are `v0`, `v1`, ...
        frames: modules it happened in, outermost first.
        owned: the module's name of each parameter and buffer, by the record's local name.
    """

    layer: Layer
    frames: tuple[Frame, ...]
    owned: dict[str, str]


class Untraceable(Exception):
    """Something that shapes alone do not decide; the module it happened in becomes opaque."""


class Misfit(Exception):
    """A call that was refused.

    Args:
        step: the call as a record.
        text: what torch, or whoever refused it, said.
        whole: whether that names the place, so that no layer needs to be named before it.
    """

    def __init__(self, step: Step, text: str, *, whole: bool = False) -> None:
        self.step, self.text, self.whole = step, text, whole
        super().__init__(text)
