"""The text form of protocol buffers: messages of fields, each with its place in the text.

Only what prototxt files hold: `name: value`, `name { ... }`, lists in brackets, strings, numbers,
words, comments. No schema: what a field means is asked with `integer`, `number`, `word`, which say
what was expected where the value is another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from striate.design.pointing import Text
from striate.errors import NotationError, did_you_mean
from striate.records import nearest

_MOST_DEPTH = 40  # of messages in messages
_MOST_FIELDS = 400_000
_MOST_SIZE = 10_000_000  # of any integer read

_SPACE = re.compile(r"(?:\s+|#[^\n]*)+")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')
_SCALAR = re.compile(r"[-+]?\s*[\w.][\w.+-]*", re.ASCII)
_END = re.compile(r"\s*[,;]?")
_CLOSING = {"{": "}", "<": ">"}


class Scalar(NamedTuple):
    """A value as written: the text of a number or word, or of a string without its quotes."""

    text: str
    quoted: bool
    position: int


class Field(NamedTuple):
    """A name and its value."""

    name: str
    value: Scalar | Message
    position: int


class Message:
    """Fields in order; a name may stand several times.

    Args:
        text: that errors point into.
        position: where it begins.
    """

    def __init__(self, text: Text, position: int) -> None:
        self.text, self.position = text, position
        self.fields: list[Field] = []

    def error(self, position: int, message: str) -> NotationError:
        """Return the error that points at a position."""
        return self.text.error(position, message)

    def check(self, what: str, known: Sequence[str]) -> None:
        """Refuse fields that are not known, which would otherwise be missed in silence."""
        for field in self.fields:
            if field.name not in known:
                meant = did_you_mean(nearest(field.name, known))
                raise self.error(field.position, f"{what} has no field {field.name!r}.{meant}")

    def all(self, name: str) -> list[Scalar]:
        """Return every plain value of a name, in order."""
        found = [field for field in self.fields if field.name == name]
        return [self._scalar(field) for field in found]

    def one(self, name: str) -> Scalar | None:
        """Return the plain value of a name; the last one counts, as for every reader of these."""
        values = self.all(name)
        return values[-1] if values else None

    def messages(self, name: str) -> list[Message]:
        """Return every message of a name."""
        return list(self._messages(name))

    def message(self, name: str) -> Message:
        """Return the message of a name, an empty one where there is none."""
        found = self.messages(name)
        return found[-1] if found else Message(self.text, self.position)

    def integers(self, name: str, least: int = 0) -> list[int]:
        """Return every value of a name as an integer of at least `least`."""
        return [self._integer(each, name, least) for each in self.all(name)]

    def integer(self, name: str, default: int, least: int = 0) -> int:
        """Return the value of a name as an integer."""
        values = self.integers(name, least)
        return values[-1] if values else default

    def number(self, name: str, default: float) -> float:
        """Return the value of a name as a finite number."""
        values = self.numbers(name)
        return values[-1] if values else default

    def numbers(self, name: str) -> list[float]:
        """Return every value of a name as a finite number."""
        return [self._number(each, name) for each in self.all(name)]

    def string(self, name: str, default: str = "") -> str:
        """Return the value of a name as text, quoted or not."""
        value = self.one(name)
        return value.text if value else default

    def flag(self, name: str, default: bool) -> bool:
        """Return the value of a name as true or false."""
        value = self.one(name)
        if value is None:
            return default
        if value.quoted or value.text.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise self.error(
                value.position, f"expected true or false, received {name}: {value.text}."
            )
        return value.text.lower() in ("true", "1", "t")

    def choice(self, name: str, default: str, known: Sequence[str]) -> str:
        """Return the value of a name, one of several words."""
        value = self.one(name)
        if value is None:
            return default
        if value.text not in known:
            raise self.error(
                value.position,
                f"expected {name} to be {' or '.join(known)}, received {value.text}.",
            )
        return value.text

    def place(self, name: str) -> int:
        """Return where a name stands, or the message's own place."""
        found = [field.position for field in self.fields if field.name == name]
        return found[-1] if found else self.position

    def has(self, *names: str) -> bool:
        """Tell whether any of the names is there."""
        return any(field.name in names for field in self.fields)

    def _messages(self, name: str) -> Iterator[Message]:
        for field in self.fields:
            if field.name == name:
                if not isinstance(field.value, Message):
                    raise self.error(field.position, f"expected {name} {{ ... }}.")
                yield field.value

    def _scalar(self, field: Field) -> Scalar:
        if isinstance(field.value, Message):
            raise self.error(field.position, f"expected {field.name}: with a plain value.")
        return field.value

    def _integer(self, value: Scalar, name: str, least: int) -> int:
        try:
            number = None if value.quoted else int(value.text, 0)
        except ValueError:
            number = None
        if number is None or not least <= number <= _MOST_SIZE:
            raise self.error(
                value.position,
                f"expected {name} to be a whole number from {least} to {_MOST_SIZE:,}, received "
                f"{_as_written(value)}.",
            )
        return number

    def _number(self, value: Scalar, name: str) -> float:
        try:
            number = math.nan if value.quoted else float(value.text.rstrip("fF") or "x")
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(
                value.position, f"expected {name} to be a number, received {_as_written(value)}."
            )
        return number


def _as_written(value: Scalar) -> str:
    return f'"{value.text:.20}"' if value.quoted else f"{value.text:.20}"


def read_message(text: Text) -> Message:
    """Return the whole text as one message.

    Raises:
        NotationError: something else than a field; points at it.
    """
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: Text) -> None:
        self.text, self.content, self.at, self.count = text, text.content, 0, 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.content, self.at)
        if found:
            self.at = found.end()
        return found

    def space(self) -> str:
        """Skip spaces and comments, and return the character then."""
        self.take(_SPACE)
        return self.content[self.at : self.at + 1]

    def whole(self) -> Message:
        message = Message(self.text, 0)
        self._fields(message, "", 0)
        return message

    def _fields(self, message: Message, closing: str, depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise self.text.error(self.at, f"expected at most {_MOST_DEPTH} braces in one another.")
        while True:
            char = self.space()
            if not char and closing:
                raise self.text.error(message.position, f"expected {closing!r} to close this.")
            if not char:
                return
            if char == closing:
                self.at += 1
                return
            self._field(message, depth)

    def _field(self, message: Message, depth: int) -> None:
        start, name = self.at, self.take(_NAME)
        if name is None:
            raise self.text.error(
                start, f"expected the name of a field, received {self.content[start]!r}."
            )
        self.count += 1
        if self.count > _MOST_FIELDS:
            raise self.text.error(start, f"expected at most {_MOST_FIELDS:,} fields.")
        char = self.space()
        colon = char == ":"
        if colon:
            self.at += 1
            char = self.space()
        if char == "[" and colon:
            self._list(message, name[0], depth)
        elif char in _CLOSING:
            message.fields.append(Field(name[0], self._nested(depth), start))
        elif colon:
            message.fields.append(Field(name[0], self._value(), start))
        else:
            raise self.text.error(
                self.at, f"expected ':' or '{{' after {name[0]}, received {char or 'the end'!r}."
            )
        self.take(_END)

    def _nested(self, depth: int) -> Message:
        made = Message(self.text, self.at)
        closing = _CLOSING[self.content[self.at]]
        self.at += 1
        self._fields(made, closing, depth + 1)
        return made

    def _list(self, message: Message, name: str, depth: int) -> None:
        start = self.at
        self.at += 1
        while True:
            char = self.space()
            if char == "]":
                self.at += 1
                return
            if not char:
                raise self.text.error(start, "expected ']' to close this list.")
            value = self._nested(depth) if char in _CLOSING else self._value()
            message.fields.append(Field(name, value, self.at))
            char = self.space()
            if char == ",":
                self.at += 1
            elif char and char != "]":
                raise self.text.error(self.at, "expected ',' or ']' in this list.")

    def _value(self) -> Scalar:
        start = self.at
        found = self.take(_STRING)
        if found:
            parts = []
            while found:
                parts.append(found[1] if found[1] is not None else found[2])
                self.space()
                found = self.take(_STRING)
            return Scalar(re.sub(r"\\(.)", r"\1", "".join(parts)), True, start)
        found = self.take(_SCALAR)
        if found is None:
            rest = self.content[start : start + 1]
            if rest in ('"', "'"):
                raise self.text.error(start, f"expected a closing {rest} on the same line.")
            raise self.text.error(start, f"expected a value, received {rest or 'the end'!r}.")
        return Scalar("".join(found[0].split()), False, start)
