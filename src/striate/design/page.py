"""The sheet as one HTML file that needs nothing else: totals, remarks, drawing, table."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from striate.design.drawing import drawing
from striate.design.folding import Fold, fold
from striate.design.linear import by
from striate.design.sheet import Sheet
from striate.design.table import HEADER, WORDS, cells, folded, spell_bytes

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2937;--soft:#6b7280;--paper:#fff;--card:#f6f8fb;
--rule:#e3e8ef;--bar:#cfe0fd}
@media(prefers-color-scheme:dark){:root{--ink:#e2e8f0;--soft:#94a3b8;--paper:#0f172a;
--card:#17223a;--rule:#2c3a54;--bar:#23437a}}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 Inter,system-ui,"Helvetica Neue",Arial,sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:30px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 10px}
p.on{color:var(--soft);margin:0 0 20px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:19px;font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:13px}
ul{padding-left:20px;margin:20px 0 0}li{margin:3px 0}
.drawing{border:1px solid var(--rule);border-radius:10px;overflow-x:auto;width:max-content;
max-width:calc(100vw - 64px);min-width:100%;box-sizing:border-box;position:relative;left:50%;
transform:translateX(-50%)}
.drawing svg{display:block;margin:auto;max-width:100%;height:auto;min-width:860px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--rule)}
th,td{padding:4px 10px;white-space:nowrap}td{border-bottom:1px solid var(--rule)}
.n{text-align:right}
td.bar{background:linear-gradient(var(--bar),var(--bar)) right/var(--share) 100% no-repeat}
summary{cursor:pointer;color:var(--soft);margin:20px 0 8px}
"""


def html(sheet: Sheet, *, depth: int | None = None, every: bool = False) -> str:
    """Return the page.

    Args:
        sheet: of the network.
        depth: parts of a layer's name that stay, in table and drawing.
        every: show every layer in both.
    """
    lines = folded(sheet.layers, depth, every)
    title = escape(sheet.network)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>",
        f'<h1>{title}</h1><p class="on">on an input of {by(sheet.input)}</p>',
        f'<div class="cards">{"".join(_cards(sheet))}</div>',
        "<ul>",
        *(f"<li>{escape(note)}</li>" for note in sheet.notes),
        "</ul>",
        f'<h2>Graph</h2><div class="drawing">{drawing(sheet, depth=depth, every=every)}</div>',
        f"<h2>Layers</h2>{_table(lines)}",
    ]
    if len(lines) < len(sheet.layers):
        parts.append(
            f"<details><summary>All {len(sheet.layers)} layers</summary>"
            f"{_table(fold(sheet.layers))}</details>"
        )
    return "\n".join([*parts, "</main></body></html>\n"])


def _cards(sheet: Sheet) -> Iterator[str]:
    total, memory = sheet.totals, sheet.memory
    field = total.receptive_field
    images = "one image" if memory.batch == 1 else f"{memory.batch} images"
    shown = [
        (f"{total.parameters:,}", f"parameters, {spell_bytes(memory.parameters)}"),
        (f"{total.macs:,}", "multiply-adds an image"),
        (f"{total.flops:,}", "FLOPs an image"),
        (f"{total.activations:,}", f"activations, {spell_bytes(total.activation_bytes)} an image"),
        (spell_bytes(memory.forward), f"at once forward, {images}"),
        (spell_bytes(memory.kept), f"kept in training, {images}"),
        (f"{total.neurons:,}", "neurons (conv and fc outputs)"),
        (
            "everything" if field.whole else by(tuple(axis.size for axis in field.axes)),
            "pixels of receptive field",
        ),
    ]
    if total.evaluation_parameters != total.parameters:
        shown.insert(1, (f"{total.evaluation_parameters:,}", "without heads for training"))
    for number, words in shown:
        yield f'<div class="card"><b>{number}</b><span>{words}</span></div>'


def _table(lines: tuple[Fold, ...]) -> str:
    head = "".join(f"<th{_right(index)}>{escape(name)}</th>" for index, name in enumerate(HEADER))
    most = [max(1, *(_sum(each, key) for each in lines)) for key in _BARS.values()]
    body = "".join(f"<tr>{''.join(_cells(each, most))}</tr>" for each in lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


_BARS = {3: "parameters", 4: "macs", 5: "activation_bytes"}


def _cells(each: Fold, most: list[int]) -> Iterator[str]:
    """Yield a line's cells; numbers have a bar as long as their share of the largest."""
    for index, text in enumerate(cells(each)):
        if index in _BARS and text:
            share = _sum(each, _BARS[index]) / most[list(_BARS).index(index)]
            yield f'<td class="n bar" style="--share:{share:.1%}">{escape(text)}</td>'
        else:
            yield f"<td{_right(index)}>{escape(text)}</td>"


def _sum(each: Fold, key: str) -> int:
    return sum(int(getattr(row, key)) for row in each.every)


def _right(index: int) -> str:
    return ' class="n"' if index >= WORDS else ""
