"""The wire form of protocol buffers, as Caffe's and ONNX's files have it; no schema, no dependency.

A message is a run of fields: a key (number and wire type), then a varint, 4 or 8 bytes, or a
length and so many bytes. Which number means what is said where a message is read. Nothing in such a
file is ever called; the worst that a hostile one can do is to be refused.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from striate.errors import WeightsError

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class Field(NamedTuple):
    """A field: its number, and its value as an integer or as bytes."""

    number: int
    value: int | memoryview


def fields(data: memoryview) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        WeightsError: it ends early, or is no such message.

    Example:
        >>> message = memoryview(bytes([10, 2, 104, 105]))
        >>> [(number, bytes(value)) for number, value in fields(message)]
        [(1, b'hi')]
    """
    place, end = 0, len(data)
    while place < end:
        key, place = varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = varint(data, place)
            yield Field(number, value)
            continue
        if wire == _BYTES:
            length, place = varint(data, place)
        else:
            length = {_EIGHT: 8, _FOUR: 4}.get(wire, -1)
        if number == 0 or length < 0 or place + length > end:
            raise WeightsError(f"a field at byte {place} of {end} is cut short or of no known kind")
        yield Field(number, data[place : place + length])
        place += length


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return the integer at a place, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise WeightsError("a number at the end is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise WeightsError(f"a number before byte {place} is too long")


class Message:
    """A message read whole: what each of its fields holds, in order.

    Example:
        >>> message = Message(memoryview(bytes([10, 2, 104, 105, 16, 3])))
        >>> message.text(1), message.integer(2), message.integer(9)
        ('hi', 3, None)
    """

    def __init__(self, data: memoryview) -> None:
        self._held: dict[int, list[int | memoryview]] = {}
        for number, value in fields(data):
            self._held.setdefault(number, []).append(value)

    def bytes(self, number: int) -> list[memoryview]:
        """Return a field's values that are bytes."""
        return [each for each in self._held.get(number, []) if isinstance(each, memoryview)]

    def messages(self, number: int) -> list[Message]:
        """Return a field's values as messages."""
        return [Message(each) for each in self.bytes(number)]

    def texts(self, number: int) -> tuple[str, ...]:
        """Return a field's values as texts."""
        return tuple(str(each, "utf-8", "replace") for each in self.bytes(number))

    def text(self, number: int) -> str:
        """Return the last text of a field; empty where there is none."""
        return next(iter(reversed(self.texts(number))), "")

    def integers(self, number: int) -> list[int]:
        """Return a repeated field of signed integers, packed or not."""
        return [signed(each) for value in self._held.get(number, []) for each in integers(value)]

    def integer(self, number: int) -> int | None:
        """Return the last signed integer of a field; None where there is none."""
        plain = [each for each in self._held.get(number, []) if isinstance(each, int)]
        return signed(plain[-1]) if plain else None


def integers(value: int | memoryview) -> Iterator[int]:
    """Yield the integers of a repeated field: one, or a packed run of them, not yet signed."""
    if isinstance(value, int):
        yield value
        return
    place = 0
    while place < len(value):
        each, place = varint(value, place)
        yield each


def signed(value: int) -> int:
    """Return a varint as the signed 64-bit integer that it stands for.

    Example:
        >>> signed(2**64 - 1), signed(5)
        (-1, 5)
    """
    return value - (1 << 64) if value >= 1 << 63 else value
