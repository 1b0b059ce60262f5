"""From text to the layers that it writes: words, groups, repetitions, volumes."""

from __future__ import annotations

import re
from collections.abc import Callable

from striate.design.notation import words
from striate.design.notation.items import (
    MOST_DEPTH,
    MOST_LAYERS,
    MOST_SIZE,
    MOST_TEXT,
    Item,
    Sizes,
    Value,
)
from striate.design.pointing import Text
from striate.errors import NotationError, did_you_mean
from striate.records import nearest

_PROSE_SIZES = {"slash": ["stride"], "more features": ["features"]}
_MOST_LABEL = 100  # characters
_WINDOWED = ("conv", "max_pool", "avg_pool")
_DROPOUTS = ("dropout", "plain_dropout", "gaussian_dropout")
_SIZED = (*_WINDOWED, *_DROPOUTS, "fc", "gaussian_noise", "pad", "input")  # by a number on the word


def items_of(text: Text) -> list[Item]:
    """Return the layers of a notation in order, repetitions written out.

    Raises:
        NotationError: something that is no layer, number or bracket where one is expected, or more
            layers than a network on paper may have; points at it.
    """
    if len(text.content) > MOST_TEXT:
        raise text.error(MOST_TEXT, f"expected at most {MOST_TEXT:,} characters of notation.")
    return _Parser(text).whole()


def _plain(content: str) -> str:
    """Return a text of the same length with LaTeX and bold marks as plain characters."""
    for mark, plain in ((r"\times", "\u00d7"), (r"\rightarrow", "\u2192"), (r"\to", "\u2192")):
        content = re.sub(re.escape(mark) + r"(?![a-z])", plain.ljust(len(mark)), content)
    content = re.sub(r"\\(?:text|left|right|mathrm)(?![a-z])", lambda m: " " * len(m[0]), content)
    return content.replace("**", "  ").translate(dict.fromkeys(map(ord, "${}\\"), " "))


class _Parser:
    def __init__(self, text: Text) -> None:
        self.text, self.content, self.at = text, _plain(text.content), 0
        self.depth = 0

    # -- characters

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Return what a pattern matches here, and go behind it."""
        found = pattern.match(self.content, self.at)
        if found:
            self.at = found.end()
        return found

    def space(self) -> None:
        self.take(words.SPACE)

    def error(self, message: str, position: int | None = None) -> NotationError:
        return self.text.error(self.at if position is None else position, message)

    def number(self, digits: str, position: int) -> int:
        if len(digits) > 7 or int(digits) > MOST_SIZE:
            raise self.error(
                f"expected numbers up to {MOST_SIZE:,}, received {digits:.20}.", position
            )
        return int(digits)

    def numbers(self, found: re.Match[str], first: int = 1) -> Sizes:
        groups = found.groups()[first - 1 :]
        return tuple(self.number(each, found.start()) for each in groups if each is not None)

    def rest(self) -> str:
        """Return the word here, for an error."""
        found = re.compile(r"[^\s,;()\[\]]+|.", re.DOTALL).match(self.content, self.at)
        return repr(self.text.content[self.at : found.end()][:24]) if found else "the end"

    # -- structure

    def whole(self) -> list[Item]:
        items = self.chain("")
        if not items:
            raise self.error("expected a layer, received nothing.", 0)
        return items

    def chain(self, closing: str) -> list[Item]:
        items: list[Item] = []
        while True:
            self.space()
            while self.take(words.SEPARATOR):
                self.space()
            if self.at >= len(self.content) or self.content[self.at] == closing:
                return items
            if self.content[self.at] in ")]":
                expected = f"{closing!r} to close the group" if closing else "a layer"
                raise self.error(f"expected {expected}, received {self.content[self.at]!r}.")
            items += self.element()
            if len(items) > MOST_LAYERS:
                raise self.error(f"expected at most {MOST_LAYERS:,} layers.")

    def element(self) -> list[Item]:
        found = self.take(words.VOLUME)
        if found:
            volume = self.numbers(found)
            self.space()
            return self.item(volume)
        if self.content[self.at] in "([":
            return self.group()
        return self.item(())

    def group(self) -> list[Item]:
        start, closing = self.at, {"(": ")", "[": "]"}[self.content[self.at]]
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.error(f"expected at most {MOST_DEPTH} groups in one another.")
        self.at += 1
        items = self.chain(closing)
        if self.at >= len(self.content):
            raise self.error(f"expected {closing!r} to close this group.", start)
        self.at += 1
        self.depth -= 1
        if not items:
            raise self.error("expected a layer in the group, received an empty one.", start)
        if self.content[self.at : self.at + 1] == "?":
            raise self.error("expected '?' behind a single layer, as in POOL?, not a group.")
        return self.repeated(items, words.REPEAT)

    def repeated(self, items: list[Item], sign: re.Pattern[str]) -> list[Item]:
        if not self.take(sign):
            return items
        self.space()
        start, found = self.at, self.take(words.COUNT)
        if not found:
            raise self.error(
                f"expected how many times, received {self.rest()}: write the number, for example "
                "*2."
            )
        count = self.number(found[0], start)
        if count * len(items) > MOST_LAYERS:
            raise self.error(
                f"expected at most {MOST_LAYERS:,} layers, received {len(items):,} x {count:,}.",
                start,
            )
        return items * count

    # -- one layer

    def item(self, volume: Sizes) -> list[Item]:
        start = self.at
        label = self.label()
        values: dict[str, Value] = {}
        if found := self.take(words.SIZE_FIRST):
            values["kernel"] = _pair(self.numbers(found))
        elif found := self.take(words.WIDTH_FIRST):
            values["features"] = self.number(found[1], start)
        position = self.at
        kind = self.word()
        if values and kind not in (*_WINDOWED, "fc"):
            raise self.error(f"a {kind} takes no size before it.", position)
        indices = self.index(kind)
        if not (kind == "input" and volume):
            self.sizes(kind, values)
        if not volume and (found := self.take(words.GIVES)):
            found = self.take(words.VOLUME)
            if found is None:
                raise self.error("expected a volume such as [55x55x96].")
            volume = self.numbers(found)
        remark = words.REMARK.match(self.content, self.at)
        if remark and not words.REMARK_LAYER.search(remark[0].lower()):
            self.at = remark.end()
        optional = self.content[self.at : self.at + 1] == "?"
        self.at += optional
        self.ended()
        made = Item(kind, start if label else position, values, label, volume, optional)
        if indices:
            base = words.NAMES.get(kind, kind)
            return [made._replace(name=label or f"{base}{index}") for index in indices]
        return self.repeated([made], words.REPEAT_ITEM)

    def label(self) -> str:
        """Return the name before a colon, unless it is itself the layer, as in `FC6: 4096`."""
        found = words.LABEL.match(self.content, self.at)
        if not found:
            return ""
        after = re.compile(r"\s*").match(self.content, found.end())
        behind = after.end() if after else found.end()
        sized = words.SIZE_FIRST.match(self.content, behind) or words.WIDTH_FIRST.match(
            self.content, behind
        )
        if not words.WORD.match(self.content, sized.end() if sized else behind):
            return ""
        if words.WORD.match(self.content, self.at) and re.match(
            r"normali[sz]ation layer", self.content[behind : behind + 20], re.IGNORECASE
        ):
            return ""  # `NORM1: Normalization layer` says what NORM1 is
        label = self.text.content[self.at : found.end(1)]
        if len(label) > _MOST_LABEL:
            raise self.error(f"expected a name of at most {_MOST_LABEL} characters.")
        self.at = behind
        named = words.WORD.fullmatch(label.rstrip("0123456789"))
        number = label[len(label.rstrip("0123456789")) :]
        if named and number and label.isupper():
            return f"{words.NAMES.get(str(named.lastgroup), named.lastgroup)}{number}"
        return label

    def word(self) -> str:
        found = self.take(words.WORD)
        if found:
            return str(found.lastgroup)
        rest = self.rest()
        meant = did_you_mean(nearest(rest.strip("'"), words.KNOWN))
        raise self.error(
            f"expected a layer (conv3-64, maxpool, FC-4096, relu, LRN, soft-max ...), received "
            f"{rest}.{words.CHAINS_ONLY if words.BRANCH.match(rest, 1) else meant}"
        )

    def index(self, kind: str) -> list[int]:
        """Return the numbers that name a layer: 6 of `FC6: 4096 neurons`, 2 to 12 of `2..12:`."""
        if kind == "pad" and words.UNEVEN.match(self.content, self.at):
            return []  # `zeropad1:0` pads one pixel before and none after; it is no layer pad1
        found = self.take(words.INDEX) or self.take(words.INDEX_OF_PROSE)
        if found is None and kind not in _SIZED:
            found = self.take(words.INDEX_PLAIN)
        if found is None:
            return []
        first = self.number(found[1], found.start())
        last = self.number(found[2], found.start()) if found.re.groups > 1 and found[2] else first
        if not first <= last < first + MOST_LAYERS:
            raise self.error(f"expected a range such as 2..12, received {first}..{last}.")
        return list(range(first, last + 1))

    def sizes(self, kind: str, values: dict[str, Value]) -> None:
        readers: dict[str, Callable[[dict[str, Value]], None]] = {
            "conv": self.window,
            "max_pool": self.window,
            "avg_pool": self.window,
            "fc": self.width,
            "input": self.image,
            "pad": self.padded,
            "lrn": self.constants,
            "tanh": self.constants,
            "leaky_relu": self.constants,
            "gaussian_noise": self.constants,
            **dict.fromkeys(_DROPOUTS, self.probability),
        }
        if kind in readers:
            readers[kind](values)
        if kind != "conv":
            for key in ("features", "dilation", "groups", "bias") if kind in _WINDOWED else ():
                if key in values:
                    raise self.error(f"a pooling layer has no {key}.")
        elif extra := {"ceil", "exclude", "to"} & values.keys():
            raise self.error(f"a convolution has no {min(extra)!r}; that is pooling's.")

    def window(self, values: dict[str, Value]) -> None:
        """Read the sizes of a convolution or pooling, on the word or in words behind it."""
        if "kernel" not in values:
            attached = self.content[self.at - 1].isalpha()
            found = self.take(words.WINDOW if attached else words.WINDOW_APART)
            if found or (found := self.take(words.WINDOW_APART)):
                values["kernel"] = _pair(self.numbers(found))
        while any(self.compact(key, pattern, values) for key, pattern in words.COMPACT.items()):
            pass
        while any(self.prose(key, pattern, values) for key, pattern in words.PROSE.items()):
            pass

    def compact(self, key: str, pattern: re.Pattern[str], values: dict[str, Value]) -> bool:
        found = None if key in values else self.take(pattern)
        if found is None:
            return False
        if key == "padding":
            values[key] = self.paddings(found[1], found.start())
        elif key == "bias":
            values[key] = {"0": "none", "xy": "position"}[found[1].lower()]
        elif key in ("ceil", "exclude"):
            values[key] = True
        elif key in ("features", "groups"):
            values[key] = self.number(found[1], found.start())
        else:
            values[key] = _pair(self.numbers(found))
        return True

    def prose(self, keys: str, pattern: re.Pattern[str], values: dict[str, Value]) -> bool:
        names = _PROSE_SIZES.get(keys) or keys.split()
        if any(name in values for name in names):
            return False
        if keys == "more features" and "kernel" not in values:
            return False
        found = self.take(pattern)
        if found is None:
            return False
        if names == ["padding"]:
            values["padding"] = self.paddings(found[1], found.start())
            return True
        numbers = self.numbers(found)
        if names == ["features", "kernel"]:
            values["features"], values["kernel"] = numbers[0], numbers[1:]
        elif names == ["kernel", "features"]:
            values["kernel"], values["features"] = numbers[:2], numbers[2]
        elif names[0] in ("features", "groups"):
            values[names[0]] = numbers[0]
        else:
            values[names[0]] = _pair(numbers)
        self.take(words.FILLER)
        return True

    def paddings(self, written: str, position: int) -> Value:
        """Read `same`, or (before, after) of each axis: 1, 1x2, 0:1, 0:1x0:1."""
        if not written[0].isdigit():
            return written.lower()
        axes = re.split("[x\u00d7X]", written)
        ends = [tuple(self.number(end, position) for end in axis.split(":")) for axis in axes]
        pairs = [(axis[0], axis[-1]) for axis in ends]
        return tuple(pairs * 2 if len(pairs) == 1 else pairs)

    def width(self, values: dict[str, Value]) -> None:
        found = None if "features" in values else self.take(words.WIDTH)
        if found:
            values["features"] = self.numbers(found)[0]
        if self.take(words.NO_BIAS):
            values["bias"] = "none"

    def image(self, values: dict[str, Value]) -> None:
        """Read (224 x 224 RGB image), [227x227x3] or 227x227x3."""
        if found := self.take(words.IMAGE):
            sizes = (self.number(found[group], found.start()) for group in (1, 2))
            values["shape"] = (*sizes, 3 if str(found[3]).lower() == "rgb" else 1)
            return
        before = self.at
        self.take(re.compile(r"[ \t:]*"))
        found = self.take(words.VOLUME) or self.take(words.DIMS)
        if found:
            values["shape"] = self.numbers(found)
        else:
            self.at = before

    def padded(self, values: dict[str, Value]) -> None:
        self.take(re.compile(r"[ -]"))
        start, found = self.at, self.take(words.PADDING)
        if found is None or not found[0][0].isdigit():
            raise self.error("expected how many pixels, for example zeropad1.", start)
        values["padding"] = self.paddings(found[0], start)

    def constants(self, values: dict[str, Value]) -> None:
        self.take(words.DESCRIPTION)
        start, found = self.at, self.take(words.NUMBERS)
        if found is None:
            return
        if found[2]:
            raise self.error("expected numbers, not per cent.", start)
        try:
            values["constants"] = tuple(float(each) for each in found[1].split(","))
        except ValueError:
            raise self.error("expected numbers, for example LRN(5, 1e-4, 0.75, 2).") from None

    def probability(self, values: dict[str, Value]) -> None:
        start, found = self.at, self.take(words.NUMBERS) or self.take(words.NUMBER)
        if found is None:
            return
        try:
            p = float(found[1]) / (100 if found[2] else 1)
        except ValueError:
            raise self.error("expected one number, for example dropout(0.5).", start) from None
        if not 0 <= p < 1:
            raise self.error(f"expected a probability below 1, received {p:g}.", start)
        values["p"] = p

    def ended(self) -> None:
        """Check that the layer's sizes end here."""
        if self.at < len(self.content) and re.match(r"[\w./=.]", self.content[self.at]):
            before = self.content[self.at - 1 : self.at]
            if not before.isspace():
                raise self.error(
                    f"expected the next layer or a size such as -64, /2 or p1, received "
                    f"{self.rest()}."
                )


def _pair(sizes: Sizes) -> Sizes:
    return sizes * 2 if len(sizes) == 1 else sizes
