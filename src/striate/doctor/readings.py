"""How a check is read: what was measured, in what, and what was expected; as text and as a page.

A check's document keeps plain numbers and the sentence of what is expected; a table has room for a
number with its unit and the ends of the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, Literal, NamedTuple

from striate.doctor.subject import Check

_Kind = Literal["number", "count", "share", "lead"]


class Reading(NamedTuple):
    """What was measured, and what was expected, in the same unit; empty where nothing was."""

    measured: str
    expected: str


class _Unit(NamedTuple):
    """How a check's number is written, the words around it, and what is expected without a band."""

    kind: _Kind
    words: str
    expected: str = ""


_UNITS: Final[dict[str, _Unit]] = {
    "all_finite": _Unit("count", "{} values not finite"),
    "labels_differ": _Unit("count", "{} classes seen"),
    "image_statistics": _Unit("number", "off by {}"),
    "initial_loss": _Unit("number", "{} nats"),
    "regularised_loss": _Unit("number", "{} nats of penalty"),
    "activation_scale": _Unit("number", "{} of the first layer's"),
    "layer_gain": _Unit("number", "{} times a layer"),
    "dead_units": _Unit("share", "{} of features silent"),
    "gradients_arrive": _Unit("count", "{} parameters without"),
    "features_differ": _Unit("share", "{} of features alike"),
    "scores_not_probabilities": _Unit("number", "sums {} away from 1", "above 0"),
    "all_trained": _Unit("count", "{} weights stay"),
    "loaded_whole": _Unit("count", "{} layers at random", "0"),
    "images_matter": _Unit("number", "answers {} apart", "0 only at a zero start"),
    "no_leak": _Unit("number", "a gradient of {}"),
    "modes_agree": _Unit("number", "{} apart, relative"),
    "overfits_few": _Unit("share", "{} of images right"),
    "beats_shuffled_labels": _Unit("lead", "{} more right"),
    "beats_shuffled_pixels": _Unit("lead", "{} more right"),
    "validation_is_plain": _Unit("number", "pixels {} apart"),
    "augmentation_varies": _Unit("share", "{} of images changed"),
    "order_varies": _Unit("number", "{} of chance's classes"),
    "classes_drawn": _Unit("count", "{} classes never"),
    "start_fits": _Unit("number", "{} apart"),
    "last_batch": _Unit("count", "{} images", "8 where it matters"),
    "parts_alike": _Unit("count", "{} figures apart"),
    "validation_tells": _Unit("count", "{} lacking"),
    "levels_used": _Unit("count", "{} levels lacking"),
}


def reading(check: Check) -> Reading:
    """Return what a check measured and what was expected, as a table has room for.

    A check that somebody registered has no unit here: its number stands alone, beside its own words
    for what is expected.

    Example:
        >>> reading(Check(check="dead_units", measured=0.083, expected="few", band=(0.0, 0.4),
        ...               verdict="pass", meaning="most features live"))
        Reading(measured='8% of features silent', expected='at most 40%')
    """
    unit = _UNITS.get(check.check)
    if check.measured is None:
        return Reading("", "")
    if unit is None:
        return Reading(f"{check.measured:.4g}", check.expected)
    return Reading(unit.words.format(_number(check.measured, unit.kind)), _expected(check, unit))


def section(title: str, verdict: str, checks: Sequence[Check]) -> str:
    """Return checks as a section of the data doctor's page."""
    lines = [
        f"<h2><span class={verdict}>{verdict}</span> {escape(title)}</h2><table>"
        "<tr><th></th><th>check</th><th>measured</th><th>expected</th><th>meaning</th></tr>"
    ]
    for each in checks:
        measured, expected = reading(each)
        fix = f" To do: {each.fix}." if each.verdict in ("warn", "fail") else ""
        cells = (each.check.replace("_", " "), measured, expected, f"{each.meaning}.{fix}")
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr><td class={each.verdict}>{each.verdict}</td>{row}</tr>")
    return "\n".join([*lines, "</table>"])


def _number(value: float, kind: _Kind) -> str:
    if kind == "count":
        return f"{value:,.0f}"
    return f"{value:.4g}" if kind == "number" else f"{value:.0%}"


def _expected(check: Check, unit: _Unit) -> str:
    if check.band is None:
        return unit.expected
    low, high = check.band
    if unit.kind == "lead" and low is not None:
        return f"over {_number(low, unit.kind)}, which is luck"
    if high is None:
        return "" if low is None else f"at least {_number(low, unit.kind)}" if low else "above 0"
    if low == high:
        return _number(high, unit.kind)
    if not low:
        return f"at most {_number(high, unit.kind)}"
    if unit.kind == "share" and high == 1:
        return f"at least {_number(low, unit.kind)}"
    return f"{_number(low, unit.kind)} to {_number(high, unit.kind)}"
