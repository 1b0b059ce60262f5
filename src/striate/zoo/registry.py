"""The registry of named networks: a name, the function that writes it, what its paper declares."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, get_type_hints

from striate.design import Network, Sheet
from striate.design.caption import caption
from striate.errors import UnknownName, UsageError
from striate.records import Record, decode, nearest
from striate.zoo.declared import Accuracy, Figure, agreements, corrections

Shape = tuple[int, int, int]
Write = Callable[..., Network]


class Entry(Record, frozen=True, kw_only=True):
    """A registered network.

    Args:
        name: torchvision's where it has the same network.
        summary: one line.
        citation: the paper, or whose table it follows.
        input: default input, (channels, height, width).
        classes: default number of classes.
        per_position: whether it answers with one value a position, so that the input decides how
            many classes there are.
        parameters: the exact count for the defaults, where one is known from elsewhere; heads for
            training are in it.
        macs: the same for multiply-adds of one image in evaluation.
        deviations: how it is known to differ from its source.
        declared: figures as its paper and the lectures print them, right or wrong.
        accuracy: as published.
    """

    name: str
    summary: str
    citation: str
    input: Shape
    classes: int
    per_position: bool = False
    parameters: int | None = None
    macs: int | None = None
    deviations: str = ""
    declared: tuple[Figure, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()


_entries: dict[str, Entry] = {}
_writers: dict[str, Write] = {}


def register(
    *,
    name: str,
    summary: str,
    citation: str,
    input: Shape,
    classes: int = 1000,
    per_position: bool = False,
    parameters: int | None = None,
    macs: int | None = None,
    deviations: str = "",
    declared: tuple[Figure, ...] = (),
    accuracy: tuple[Accuracy, ...] = (),
) -> Callable[[Write], Write]:
    """Register the function below under a name, in this process.

    The function is called with keywords only: name, classes, input, and its own knobs, each with a
    default; it returns the Network. A file of `striate/zoo` that is imported in its `__init__.py`
    has it registered in every process; `network.save` writes it down for those that are without.

    Args:
        name: torchvision's where it has the same network.
        summary: one line, for `striate models`.
        citation: the paper, or whose table it follows.
        input: default input, (channels, height, width).
        classes: default number of classes.
        per_position: whether it answers with one value a position.
        parameters: the exact count for the defaults, where one is known from elsewhere; heads for
            training are in it.
        macs: the same for multiply-adds of one image in evaluation.
        deviations: how it is known to differ from its source.
        declared: what its paper prints, right or wrong: `Figure(what="parameters", printed="60M")`.
            `printed` has the paper's digits, with K, M or G behind them, a thousand (`kilo=1024`
            for the other) and its powers, and no other suffix; a figure holds where it is less than
            one unit of its last digit off. `scope="conv1"` is about one layer, `why` explains one
            that is wrong.
        accuracy: as published: `Accuracy(data="imagenet", top1=69.8, top5=89.1)`, in per cent.

    Raises:
        ValueError: the name is taken.
    """
    entry = Entry(
        name=name,
        summary=summary,
        citation=citation,
        input=input,
        classes=classes,
        per_position=per_position,
        parameters=parameters,
        macs=macs,
        deviations=deviations,
        declared=declared,
        accuracy=accuracy,
    )

    def keep(write: Write) -> Write:
        if name in _entries:
            raise ValueError(f"expected a new name, received name={name!r}, which is taken")
        _entries[name], _writers[name] = entry, write
        return write

    return keep


def names() -> tuple[str, ...]:
    """Return the registered names in order of registration."""
    return tuple(_entries)


def entry(name: str) -> Entry:
    """Return what is registered under a name.

    Raises:
        UnknownName: nothing is; carries the nearest names.
    """
    if name not in _entries:
        raise UnknownName("network", name, nearest(name, _entries), "`striate models` lists all.")
    return _entries[name]


def notes(sheet: Sheet) -> tuple[str, ...]:
    """Return what the registry knows about the network of a sheet, in sentences.

    How it deviates from its source, and, where the sheet is of the network as registered, which
    printed figures agree, and which are wrong with the computed ones; nothing for a network
    unknown here.
    """
    if sheet.network not in _entries:
        return ()
    known = _entries[sheet.network]
    deviation = (f"Deviation: {known.deviations}.",) if known.deviations else ()
    if not known.declared or not _as_registered(sheet, known):
        return deviation
    return (*deviation, *agreements(known.declared, sheet), *corrections(known.declared, sheet))


def _as_registered(sheet: Sheet, known: Entry) -> bool:
    """Return whether a sheet is of the network without any knob, class or pixel changed."""
    if sheet.input != known.input:
        return False
    usual = network(known.name)
    shapes = usual.shapes()
    return [(row.name, row.caption, row.output) for row in sheet.layers] == [
        (layer.name, caption(layer), shapes[layer.name]) for layer in usual.layers
    ]


def knobs(name: str) -> Mapping[str, Any]:
    """Return the knobs of a named network with their defaults, classes and input apart."""
    entry(name)
    parameters = inspect.signature(_writers[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("name", "classes", "input")}


def network(
    spec: str, *, classes: int | None = None, input: tuple[int, ...] | None = None
) -> Network:
    """Write a named network.

    Args:
        spec: a registered name, or one with knobs: `mlp(hidden=(100, 100), batch_norm=True)`.
        classes: number of classes; its paper's unless given.
        input: (channels, height, width); its paper's unless given.

    Raises:
        UnknownName: no such network or knob; carries the nearest names.
        UsageError: the knobs are not written as `name(key=value, ...)`.
        RecordError: a knob's value is not of its type.
        DesignError: the input does not fit; names the layer and the smallest that does.
    """
    name, settings = _parse(spec)
    known = knobs(name)
    for key in settings:
        if key not in known:
            hint = f"Known: {', '.join(known)}." if known else f"{name} has none."
            raise UnknownName(f"knob of {name}", key, nearest(key, known), hint)
    hints = get_type_hints(_writers[name])
    default = entry(name)
    shape = default.input if input is None else tuple(input)
    usual = prod(shape[1:]) if default.per_position else default.classes
    return _writers[name](
        name=name,
        classes=usual if classes is None else classes,
        input=shape,
        **{key: decode(hints[key], value, f"{name}({key}=)") for key, value in settings.items()},
    )


def _parse(spec: str) -> tuple[str, dict[str, Any]]:
    """Split `name(key=value, ...)`, values being Python literals, into name and knobs."""
    name, bracket, _ = spec.partition("(")
    if not bracket:
        return spec.strip(), {}
    try:
        call = ast.parse(spec.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
            raise ValueError("positional or starred arguments")
        settings = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"Expected a network as name(key=value, ...) with plain values, received {spec!r}."
        ) from error
    return name.strip(), settings
