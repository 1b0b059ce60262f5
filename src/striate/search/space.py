"""What is searched: a range or a list of options for each key, and how it is written in one line.

    optimiser.rate=1e-4..1e-1    a range; in log space where it spans a factor of 20 or more
    optimiser.decay=1e-5..1:log  in log space whatever it spans; :linear says the opposite
    momentum=0.8..0.99:fixed     a range that is not extended when the best lies at its edge
    optimiser=sgd,adamw          options

Values are drawn and compared by their *place*: 0 at a range's low end, 1 at its high end, on its
own scale. A part of a space is a space.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from striate.errors import UsageError
from striate.records import Record, expect

Value = float | int | str
Values = Mapping[str, Value]
Side = Literal["low", "high"]

EDGE: Final = 0.1  # of a range: nearer to its end than that is at its edge
_LOG_FROM: Final = 20.0  # a range over such a factor is searched in log space
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?::[a-z]+)*)")


class Numbers(Record, frozen=True, kw_only=True):
    """A range of numbers.

    Args:
        key: what it is a value of.
        low, high: its ends, both included.
        log: whether equal factors count the same, or equal differences.
        whole: whether only integers count.
        fixed: whether the range may not be extended.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    fixed: bool = False

    def __post_init__(self) -> None:
        expect(self.low <= self.high, "a range that ends above its start", range=self.spelled())
        expect(self.low > 0 or not self.log, "a range above 0 in log space", low=self.low)

    def place(self, value: Value) -> float:
        """Return where a value lies; below 0 and above 1 outside of the range."""
        low, high = self._ends()
        at = self._scaled(float(value))
        return (at - low) / (high - low) if high > low else 0.5

    def at(self, place: float) -> Value:
        """Return the value at a place; between 0 and 1, one inside the range."""
        low, high = self._ends()
        value = low + place * (high - low)
        value = math.exp(value) if self.log else value
        value = round(value) if self.whole else value
        if 0 <= place <= 1:
            value = min(max(value, self.low), self.high)
        return int(value) if self.whole else float(f"{value:.6g}")

    def edge(self, value: Value) -> Side | None:
        """Return the end that a value lies at, if it does."""
        place = self.place(value)
        if self.whole:  # with three values at most each is at an end, or between two that are
            return "low" if value == self.low else "high" if value == self.high else None
        return "low" if place < EDGE else "high" if place > 1 - EDGE else None

    def narrowed(self, low: float, high: float) -> Numbers:
        """Return the part between two places."""
        ends = float(self.at(max(low, 0.0))), float(self.at(min(high, 1.0)))
        return self.replace(low=min(ends), high=max(ends))

    def beyond(self, side: Side, share: float) -> Numbers:
        """Return what lies outside at one end, `share` of this range wide on its own scale."""
        place = 1 + share if side == "high" else -share
        end = float(self.at(place))
        if self.whole and end in (self.low, self.high):
            end += 1 if side == "high" else -1
        return (
            self.replace(low=self.high, high=end)
            if side == "high"
            else self.replace(low=end, high=self.low)
        )

    def joined(self, other: Numbers) -> Numbers:
        """Return the range that covers both."""
        return self.replace(low=min(self.low, other.low), high=max(self.high, other.high))

    def spelled(self) -> str:
        """Return the range as it is written."""
        return f"{self.low:.3g}..{self.high:.3g}"

    def _ends(self) -> tuple[float, float]:
        half = 0.5 if self.whole else 0.0  # so that each integer has an equal share
        if not self.log:
            return self.low - half, self.high + half
        return math.log(self.low - half if self.low > half else self.low), math.log(
            self.high + half
        )

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


class Options(Record, frozen=True, kw_only=True):
    """A list of options without an order."""

    key: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        several = len(set(self.options)) == len(self.options) > 0
        expect(several, "options that differ", options=self.options)

    def place(self, value: Value) -> float:
        """Return the middle of an option's share of 0 to 1."""
        return (self.options.index(str(value)) + 0.5) / len(self.options)

    def at(self, place: float) -> Value:
        """Return the option whose share a place is in."""
        return self.options[min(max(int(place * len(self.options)), 0), len(self.options) - 1)]

    def spelled(self) -> str:
        """Return the options as they are written."""
        return ",".join(self.options)


Parameter = Numbers | Options


class Edge(NamedTuple):
    """A parameter whose best value lies at an end of its range."""

    key: str
    side: Side
    value: Value


class Space(Record, frozen=True, kw_only=True):
    """All that is searched, in order."""

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        keys = [each.key for each in self.parameters]
        twice = [key for key in keys if keys.count(key) > 1]
        expect(len(keys) > 0, "something to search", space=())
        expect(not twice, "each key once", twice=twice)

    def __getitem__(self, key: str) -> Parameter:
        return next(each for each in self.parameters if each.key == key)

    @property
    def keys(self) -> tuple[str, ...]:
        """What is searched."""
        return tuple(each.key for each in self.parameters)

    def at(self, places: Mapping[str, float]) -> dict[str, Value]:
        """Return the values at places."""
        return {each.key: each.at(places[each.key]) for each in self.parameters}

    def with_(self, parameter: Parameter) -> Space:
        """Return the space with another range for one key."""
        return self.replace(
            parameters=tuple(
                parameter if each.key == parameter.key else each for each in self.parameters
            )
        )

    def edges(self, values: Values, others: Sequence[Values] = ()) -> tuple[Edge, ...]:
        """Return the ranges at whose end some values lie, or beyond which nothing was tried.

        Args:
            values: the best ones.
            others: all that were tried, where that shall count.
        """
        found = []
        for each in self.parameters:
            if isinstance(each, Numbers) and each.low < each.high:
                best = float(values[each.key])
                side = each.edge(best) or _outermost(best, [float(o[each.key]) for o in others])
                found += [Edge(each.key, side, values[each.key])] if side else []
        return tuple(found)

    def about(self, leaders: Iterable[Values], margin: float = EDGE) -> Space:
        """Return the part that some values span, and a margin beyond them."""
        rows = list(leaders)
        parts: list[Parameter] = []
        for each in self.parameters:
            if isinstance(each, Options):
                kept = tuple(o for o in each.options if o in {str(row[each.key]) for row in rows})
                parts.append(each.replace(options=kept or each.options))
            else:
                places = [each.place(row[each.key]) for row in rows]
                parts.append(each.narrowed(min(places) - margin, max(places) + margin))
        return Space(parameters=tuple(parts))


def _outermost(best: float, tried: Sequence[float]) -> Side | None:
    """Return the side on which nothing beyond the best was tried."""
    if len(set(tried)) < 3:
        return None
    return "high" if best >= max(tried) else "low" if best <= min(tried) else None


def read(text: str, whole: bool | None = None, log: bool | None = None) -> Parameter:
    """Read `KEY=LOW..HIGH[:log|:linear][:fixed]` or `KEY=ONE,OTHER`.

    Args:
        text: what the user wrote.
        whole: whether the key takes integers only; None goes by how its ends are written.
        log: whether it is searched in log space where the text does not say; None goes by its span.

    Raises:
        UsageError: neither of them.

    Example:
        >>> read("rate=1e-4..1e-1").log, read("optimiser=sgd,adamw").options
        (True, ('sgd', 'adamw'))
    """
    key, equals, body = (part.strip() for part in text.partition("="))
    if not equals or not key or not body:
        raise _unreadable(text)
    matched = _RANGE.fullmatch(body)
    try:
        if matched is None:
            if ".." in body:
                raise _unreadable(text)
            return Options(key=key, options=_split(body))
        return _numbers(key, matched, whole, log, text)
    except ValueError as error:
        raise UsageError(f"--space {text}: {error}.") from error


def _numbers(
    key: str, matched: re.Match[str], whole: bool | None, log: bool | None, text: str
) -> Numbers:
    low, high = float(matched[1]), float(matched[2])
    words = [word for word in matched[3].split(":") if word]
    if not set(words) <= {"log", "linear", "fixed"}:
        raise _unreadable(text)
    if whole is None:
        whole = all(re.fullmatch(r"[-+]?\d+", end) is not None for end in matched.groups()[:2])
    if whole and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"--space {text}: {key} takes integers, received {matched[0]}.")
    if log is None:
        log = low > 0 and high / low >= _LOG_FROM
    log = ("log" in words or log) and "linear" not in words
    return Numbers(
        key=key, low=low, high=high, log=log and (low > 0 or "log" in words), whole=whole,
        fixed="fixed" in words,
    )  # fmt: skip


def _split(body: str) -> tuple[str, ...]:
    """Split at commas outside of brackets."""
    parts, depth = [""], 0
    for letter in body:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


def _unreadable(text: str) -> UsageError:
    return UsageError(
        "Expected --space KEY=LOW..HIGH (with :log, :linear or :fixed after it) or KEY=ONE,OTHER, "
        f"received {text!r}."
    )
