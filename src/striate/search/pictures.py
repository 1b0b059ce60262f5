"""The two pictures of a search: parallel coordinates, and its score over each parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from striate import draw
from striate.draw.axes import Axis, linear_axis, logarithmic_axis
from striate.draw.figure import Point
from striate.search.slot import Entry, ranked
from striate.search.space import Numbers, Parameter, Space, Value

_EACH = 12  # integers that are all written at their axis


def paint(
    folder: Path,
    name: str,
    asked: Space,
    space: Space,
    entries: Sequence[Entry],
    won: Mapping[str, Value] | None = None,
) -> dict[str, str]:
    """Write both pictures, each as SVG and PNG; nothing where no run has a score.

    Args:
        folder: where to.
        name: of the study.
        asked: what was to be searched.
        space: what was in the end; parts of it that were not asked for are marked.
        entries: all runs; those of further seeds and those without a score are not drawn.
        won: the settings to be marked; None marks the best of the longest runs.

    Returns:
        The SVGs' paths by name.
    """
    shown = [each for each in entries if each.score is not None and each.slot.stage != "seeds"]
    if not shown:
        return {}
    runs = sum(each.state not in ("void", "running") for each in entries)
    title = f"{name}: {runs} runs"
    few = f"{len(shown)} are drawn: no further seeds, none without a score. "
    axes = [_axis(parameter, shown) for parameter in space.parameters]
    added = [_added(asked[each.key], each) for each in space.parameters]
    note = (few if len(shown) < runs else "") + "The best is orange."
    note += " Shaded: what was added to a range." if any(added) else ""
    scores = sorted(cast(float, each.score) for each in shown)
    low = scores[len(scores) // 20]  # what blew up would press all others together
    up = linear_axis(low, scores[-1])
    names = [parameter.key.rpartition(".")[2] for parameter in space.parameters]
    rows = [
        [*(_at(p, each.values[p.key]) for p in space.parameters), cast(float, each.score)]
        for each in shown
    ]
    groups = sorted({each.slot.epochs for each in shown})
    top = _marked(shown, won)
    panels = []
    for parameter, name, axis in zip(space.parameters, names, axes, strict=True):
        grouped: dict[str, list[Point]] = {
            f"{epochs} epoch{'s' if epochs > 1 else ''}": [
                (_at(parameter, each.values[parameter.key]), max(cast(float, each.score), up.low))
                for each in shown
                if each.slot.epochs == epochs
            ]
            for epochs in groups
        }
        place = _at(parameter, top.values[parameter.key])
        mark = (place, max(cast(float, top.score), up.low))
        panels.append((name, axis, grouped, mark))
    made = {
        "parallel": draw.parallel(
            [*zip(names, axes, strict=True), ("score", up)],
            rows,
            title=title,
            note=f"{note} The bluer a line the better.",
            added=added,
            best=shown.index(top),
        ),
        "scatter": draw.points(
            panels,
            up,
            title=title,
            note=note,
            added=added,
        ),
    }
    for name, figure in made.items():
        figure.save(folder / f"{name}.svg")
        figure.save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.svg") for name in made}


def _marked(shown: Sequence[Entry], won: Mapping[str, Value] | None) -> Entry:
    """Return the longest run of the settings that won, the same in both pictures."""
    won_too = [each for each in shown if each.values == won] or shown
    longest = max(each.slot.epochs for each in won_too)
    return ranked([each for each in won_too if each.slot.epochs == longest])[0]


def _added(asked: Parameter, searched: Parameter) -> list[tuple[float, float]]:
    """Return the parts of a range that were not asked for."""
    if not isinstance(asked, Numbers) or not isinstance(searched, Numbers):
        return []
    parts = [(searched.low, asked.low), (asked.high, searched.high)]
    return [(low, high) for low, high in parts if low < high]


def _at(parameter: Parameter, value: Value) -> float:
    if isinstance(parameter, Numbers):
        return float(value)
    return float(parameter.options.index(str(value)))


def _axis(parameter: Parameter, shown: Sequence[Entry]) -> Axis:
    if isinstance(parameter, Numbers):
        values = [float(each.values[parameter.key]) for each in shown]
        low, high = min(parameter.low, *values), max(parameter.high, *values)
        if parameter.log:
            return logarithmic_axis(low, high)
        high = high if high > low else low + 1
        if parameter.whole and high - low <= _EACH:
            return Axis(low, high, tuple(range(round(low), round(high) + 1)))
        return linear_axis(low, high)
    options = parameter.options
    return Axis(
        -0.5,
        len(options) - 0.5,
        tuple(map(float, range(len(options)))),
        label=lambda place: options[round(place)][:14],
    )
