"""A question about a lone layer, as the lectures ask it: W=32 F=5 S=2 P=?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from striate.design.arithmetic import (
    Padding,
    output_size,
    remainder,
    same_padding,
    strided_same_padding,
)
from striate.design.fit import (
    Fit,
    any_paddings,
    equal_paddings,
    fits,
    smallest_padding,
    spell_padding,
)
from striate.errors import UsageError
from striate.records import Record

_LETTERS = {
    "W": "pixels of the input along one axis",
    "F": "extent of the filter",
    "S": "stride",
    "P": "zero padding on each side, or before+after",
    "D": "channels of the input",
    "K": "number of filters",
    "O": "pixels of the output",
}


_ASKED = re.compile(r"[A-Za-z]=\S*")


class Question(Record, frozen=True, kw_only=True):
    """A lone layer as the lectures write it: `W=32 F=5 S=2 P=?`; None is what is asked.

    Args:
        size: W. kernel: F. stride: S. padding: P (before, after). depth: D. filters: K. output: O.
    """

    size: int | None = None
    kernel: int
    stride: int | None = None
    padding: Padding | None = None
    depth: int | None = None
    filters: int | None = None
    output: int | None = None


class Answer(Record, frozen=True, kw_only=True):
    """What fits.

    Args:
        question: as it was read.
        output: pixels along the axis where stride and padding are given, rounded down; 0: none.
        exact: whether the windows end with the last pixel.
        shape: (filters, output, output), where the number of filters is given.
        parameters, macs: of the layer, where depth and filters are given.
        fits: strides and paddings that do.
        text: the same for a reader.
    """

    question: Question
    output: int | None
    exact: bool | None
    shape: tuple[int, ...] | None
    parameters: int | None
    macs: int | None
    fits: tuple[Fit, ...]
    text: str


def is_question(words: Sequence[str]) -> bool:
    """Tell whether words on a command line are a question and no networks."""
    return bool(_split(words)) and all(re.fullmatch(_ASKED, word) for word in _split(words))


def read_question(words: Sequence[str]) -> Question:
    """Read `W=32 F=5 S=2 P=?`, letters as the lectures have them.

    Raises:
        UsageError: an unknown letter, one given twice, no number, or no F.
    """
    given: dict[str, str] = {}
    for word in _split(words):
        letter, _, value = word.partition("=")
        if letter.upper() not in _LETTERS:
            known = ", ".join(f"{name} ({what})" for name, what in _LETTERS.items())
            raise UsageError(f"Expected {known}; received {word}.")
        if letter.upper() in given:
            before = f"{letter}={given[letter.upper()]}"
            raise UsageError(f"Expected {letter} once, received {before} and {word}.")
        given[letter.upper()] = value
    numbers = {letter: _number(letter, value) for letter, value in given.items() if letter != "P"}
    if numbers.get("F") is None:
        raise UsageError(
            "Expected F, the extent of the filter, as a number; W, S and P may be asked for: "
            f"W=32 F=5 S=2 P=?; received {' '.join(_split(words))}."
        )
    return Question(
        size=numbers.get("W"),
        kernel=numbers["F"] or 1,
        stride=numbers.get("S"),
        padding=_padding(given.get("P", "?")),
        depth=numbers.get("D"),
        filters=numbers.get("K"),
        output=numbers.get("O"),
    )


def _split(words: Sequence[str]) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", " ".join(words)) if word]


def answer(question: Question) -> Answer:
    """Say what a layer gives, and which strides and paddings fit."""
    q = question
    known = q.size is not None and q.stride is not None and q.padding is not None
    size = output_size(q.size, q.kernel, q.stride, q.padding) if known else None  # type: ignore[arg-type]
    exact = None
    if known and size:
        exact = remainder(q.size, q.kernel, q.stride, q.padding) == 0  # type: ignore[arg-type]
    found = _search(q, exact)
    pixels = size if known else next((fit.output for fit in found if q.output), None)
    volume = (q.filters, pixels, pixels) if q.filters and pixels else None
    parameters = q.filters * (q.kernel**2 * q.depth + 1) if q.filters and q.depth else None
    macs = q.filters * pixels**2 * q.kernel**2 * q.depth if volume and parameters else None  # type: ignore[operator]
    made = Answer(
        question=q,
        output=size,
        exact=exact,
        shape=volume,
        parameters=parameters,
        macs=macs,
        fits=found,
        text="",
    )
    return made.replace(text="\n".join(_lines(made)))


def _search(q: Question, exact: bool | None) -> tuple[Fit, ...]:
    """Return what fits: the same padding or the same stride first."""
    if q.size is None or exact:
        return ()
    strides = range(1, max(q.kernel, q.stride or 1) + 1)
    same_stride = [q.stride] if q.stride else strides
    if q.padding is not None and q.stride is None:
        found = fits(q.size, q.kernel, strides, [q.padding])
    else:
        found = fits(q.size, q.kernel, same_stride, equal_paddings(q.kernel))
        found = found or fits(q.size, q.kernel, same_stride, any_paddings(q.kernel))
        if q.padding is not None:
            found += fits(q.size, q.kernel, strides, [q.padding])
    wanted = (each for each in found if q.output in (None, each.output))
    return tuple(dict.fromkeys(wanted))


def _lines(made: Answer) -> Iterator[str]:
    q = made.question
    if q.size is None:
        yield from _widths(q)
        return
    if q.stride is not None and q.padding is not None:
        total = q.size - q.kernel + sum(q.padding)
        sum_ = f"({q.size} - {q.kernel} + {sum(q.padding)}) / {q.stride} + 1"
        if not made.output:
            lack = spell_padding(smallest_padding(q.size, q.kernel))
            yield (
                f"No output: a filter of {q.kernel} is larger than {q.size} + {sum(q.padding)} "
                f"pixels; it takes at least P={lack}."
            )
        elif made.exact:
            yield f"Fits: {sum_} = {made.output}."
        else:
            yield (
                f"Does not fit: {sum_} = {total / q.stride + 1:.4g}. Rounded down it gives "
                f"{made.output} and no window reaches the last {total % q.stride} of "
                f"{q.size + sum(q.padding)} pixels, padding included."
            )
    yield from _sizes(made)
    if made.fits:
        yield "These fit:" if made.exact is None else "These would fit:"
        uneven = [fit for fit in made.fits if fit.padding[0] != fit.padding[1]]
        if len(uneven) == len(made.fits):
            yield "  (no padding alike on both sides does; before+after, or rounded down:)"
            alike = same_padding(q.kernel)[0]
            stride, pads = uneven[0].stride, (alike, alike)
            size = output_size(q.size, q.kernel, stride, pads)
            lost = remainder(q.size, q.kernel, stride, pads)
            what = "only padding" if lost <= alike else f"{lost - alike} of {q.size} pixels"
            yield f"  S={stride} P={alike}: output {size}, leaves out {what} at the end"
        yield from (
            f"  S={fit.stride} P={spell_padding(fit.padding)}: output {fit.output}" + _named(q, fit)
            for fit in made.fits
        )
    elif not made.exact:
        yield "No stride up to F and no padding below F fits."


def _sizes(made: Answer) -> Iterator[str]:
    if made.shape:
        yield f"Output volume: {'x'.join(map(str, made.shape))}."
    if made.parameters is not None:
        q = made.question
        each = made.parameters // (q.filters or 1)
        yield f"Parameters: {made.parameters:,} ({each:,} a filter, its bias with them)."
    if made.macs is not None:
        yield f"Multiply-adds: {made.macs:,} an image ({2 * made.macs:,} FLOPs)."


def _widths(q: Question) -> Iterator[str]:
    """Say which images fit, where no size is given."""
    stride = q.stride or 1
    keeps = spell_padding(same_padding(q.kernel))
    yield f"P={keeps} keeps the size at stride 1: (W - {q.kernel} + {q.kernel - 1}) / 1 + 1 = W."
    paddings = [q.padding] if q.padding else equal_paddings(q.kernel)
    rests: dict[int, list[str]] = {}
    for padding in paddings if stride > 1 else []:
        rests.setdefault((q.kernel - sum(padding)) % stride, []).append(spell_padding(padding))
    for rest, which in rests.items():
        yield (
            f"S={stride}, P={' or '.join(which)}: fits where W divided by {stride} leaves {rest} "
            f"(W = {', '.join(map(str, _examples(q.kernel, rest, stride)))}, ...)."
        )


def _examples(kernel: int, rest: int, stride: int) -> list[int]:
    first = kernel + (rest - kernel) % stride
    return [first + index * stride for index in range(3)]


def _named(q: Question, fit: Fit) -> str:
    if q.size is None:
        return ""
    if fit.output == q.size:
        return " (keeps the size)"
    if fit.stride > 1 and fit.padding == strided_same_padding(q.size, q.kernel, fit.stride):
        return f" (a {fit.stride}th of the size)" if fit.stride > 3 else _PART[fit.stride]
    return ""


_PART = {2: " (half the size)", 3: " (a third of the size)"}


def _number(letter: str, value: str) -> int | None:
    if value in ("?", ""):
        return None
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"Expected a whole number or ? for {letter}, received {letter}={value}.")
    return int(value)


def _padding(value: str) -> Padding | None:
    if value in ("?", ""):
        return None
    parts = value.split("+")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise UsageError(f"Expected P as 2, 1+2 or ?, received P={value}.")
    return (int(parts[0]), int(parts[-1]))
