"""The number of images while a module is followed: an integer that remembers what was made of it.

A forward that writes `x.view(x.shape[0] * 4, -1)` gives torch a number; whoever makes that call
again for another number of images has to know how the number came about.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


class Rows(int):
    """An integer that depends on the number of images.

    Args:
        value: as long as the module is followed.
        how: a function and its arguments, some of them Rows; empty for the number of images itself.

    Example:
        >>> images = Rows(13)
        >>> (4 * images + 1).at(2)
        9
    """

    how: tuple[Any, ...]

    def __new__(cls, value: int, how: tuple[Any, ...] = ()) -> Rows:
        """Make one."""
        made = super().__new__(cls, value)
        made.how = how
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (int(self), self.how)

    def at(self, images: int) -> int:
        """Return what it is for so many images."""
        if not self.how:
            return images
        function, *arguments = self.how
        return int(function(*(resolved(each, images) for each in arguments)))


def resolved(value: Any, images: int) -> Any:
    """Return a value, or what it is for so many images."""
    if isinstance(value, Rows):
        return value.at(images)
    if isinstance(value, slice):
        return slice(*(resolved(each, images) for each in (value.start, value.stop, value.step)))
    return value


def depends(value: Any) -> bool:
    """Tell whether a value depends on the number of images."""
    if isinstance(value, slice):
        return any(map(depends, (value.start, value.stop, value.step)))
    return isinstance(value, Rows)


def _forward(name: str, function: Callable[..., Any], reflected: bool) -> None:
    def method(self: Rows, *other: Any) -> Any:
        arguments = (*other, self) if reflected else (self, *other)
        plain = [int(each) if isinstance(each, Rows) else each for each in arguments]
        made = function(*plain)
        return Rows(made, (function, *arguments)) if type(made) is int else made

    setattr(Rows, name, method)


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    _forward(f"__{_name}__", getattr(operator, _name), False)
    _forward(f"__r{_name}__", getattr(operator, _name), True)
_forward("__neg__", operator.neg, False)
