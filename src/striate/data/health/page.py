"""The data doctor's page: one file of HTML with the pictures it speaks of inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
import simplejpeg

from striate.data.dataset import Dataset
from striate.data.health.report import Fact, Finding, Health
from striate.data.prepare import resample_8bit

_SHOWN = 40  # groups of pictures of a finding
_TOGETHER = 8  # pictures of a group
_SIDE = 96

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937}
body{max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left}
.pass{color:#047857}.warn{color:#b45309}.fail{color:#b91c1c}
.group{display:inline-block;border:1px solid #e5e7eb;border-radius:4px;padding:.4rem;margin:.3rem}
td{vertical-align:top}
figure{display:inline-block;margin:.2rem;max-width:16rem;vertical-align:top}
figcaption,p.note{font-size:.7rem;color:#6b7280;overflow-wrap:break-word;margin:0}
"""


def page(health: Health, dataset: Dataset, more: Sequence[str] = ()) -> str:
    """Write what was found as a page of HTML that needs nothing else.

    Args:
        health: of this data set.
        dataset: for the pictures.
        more: sections of HTML on something else, which come after what was found.
    """
    places = {
        f"{part}/{id.removeprefix(f'{part}/')}": (part, index)
        for part, samples in dataset.parts.items()
        for index, id in enumerate(samples.ids)
    }
    counts = ", ".join(f"{part} {number:,}" for part, number in health.images.items())
    sound = [each for each in health.findings if each.verdict == "pass" and not each.items]
    sections = [_section(each, places, dataset) for each in health.findings if each not in sound]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(health.name)}: data</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(health.name)}: <span class={health.verdict}>{health.verdict}</span></h1>",
            f"<p>{escape(health.spec)}<br>Images: {counts}. "
            f"Looked at in {health.seconds:.0f} seconds.</p>",
            f"<p><span class=pass>pass</span> {', '.join(map(_title, sound))}</p>" if sound else "",
            *sections,
            *more,
            _classes(health),
            _table("How pixels are stored", health.modes),
            _table("Sizes (width x height)", health.sizes),
            _table("Width over height", health.aspects),
            "</body></html>",
        ]
    )


def _section(finding: Finding, places: dict[str, tuple[str, int]], dataset: Dataset) -> str:
    lines = [f"<h2><span class={finding.verdict}>{finding.verdict}</span> {_title(finding)}"]
    lines.append(f": {finding.count:,}</h2>" if finding.count else "</h2>")
    if finding.verdict != "pass":
        said = f"{finding.meaning[:1].upper()}{finding.meaning[1:]}. To do: {finding.fix}."
        lines.append(f"<p>{escape(said)}</p>")
    for number, group in enumerate(finding.items[:_SHOWN]):
        note = finding.notes[number] if finding.notes else ""
        lines.append(f"<div class=group><p class=note>{escape(note)}</p>")
        lines += [_figure(name, places, dataset) for name in group[:_TOGETHER]]
        lines.append("</div>")
    beyond = len(finding.items) - _SHOWN
    if beyond > 0:
        lines.append(f"<p>and {beyond:,} more: see the JSON document.</p>")
    return "".join(lines)


def _title(finding: Finding) -> str:
    return escape(finding.check.replace("_", " "))


def _figure(name: str, places: dict[str, tuple[str, int]], dataset: Dataset) -> str:
    short = name.removeprefix(f"{dataset.spec}/")
    broken = escape(short).replace("/", "/<wbr>")  # between folders, and nowhere else
    caption = f'<figcaption title="{escape(name)}">{broken}</figcaption></figure>'
    if name not in places:
        return f"<figure>{caption}"
    part, index = places[name]
    pixels = dataset.parts[part].stored(index)
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    small = np.ascontiguousarray(resample_8bit(pixels, size, "bilinear"))
    kinds = ("RGB", "444") if small.shape[2] == 3 else ("GRAY", "Gray")
    content = base64.b64encode(simplejpeg.encode_jpeg(small, 85, *kinds)).decode()
    return f'<figure><img alt="" src="data:image/jpeg;base64,{content}">{caption}'


def _classes(health: Health) -> str:
    parts = list(health.images)
    head = "".join(f"<th>{escape(part)}</th>" for part in parts)
    rows = [
        f"<tr><td>{escape(one.id)}</td>"
        + "".join(f"<td>{one.images[part]:,}</td>" for part in parts)
        + f"<td>{'' if one.weight is None else f'{one.weight:.2f}'}</td></tr>"
        for one in health.classes
    ]
    return (
        f"<h2>Classes</h2><table><tr><th>class</th>{head}<th>weight</th></tr>"
        + "".join(rows)
        + "</table><p class=note>Weight: the mean number of training images of a class over that "
        "of this one. The loss of its images is multiplied by it where rare classes are to count "
        "as much as others (--set objective=weighted_cross_entropy --set objective.balanced=true)."
        "</p>"
    )


def _table(title: str, facts: Sequence[Fact]) -> str:
    rows = "".join(f"<tr><td>{escape(one.what)}</td><td>{one.count:,}</td></tr>" for one in facts)
    return f"<h2>{escape(title)}</h2><table>{rows}</table>"
