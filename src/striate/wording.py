"""Words for numbers, where a sentence holds one."""

from __future__ import annotations


def count(number: int, one: str) -> str:
    """Spell how many there are.

    Example:
        >>> count(1, "epoch"), count(40_000, "image"), count(2, "class")
        ('1 epoch', '40,000 images', '2 classes')
    """
    ending = "" if number == 1 else "es" if one.endswith("s") else "s"
    return f"{number:,} {one}{ending}"
