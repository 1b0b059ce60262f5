"""A page of boxes as SVG, readable on light and dark paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from striate.design.drawing.compose import HEIGHT, Page, Point, compose, text_width
from striate.design.drawing.graph import Box, Graph, graph
from striate.design.sheet import Sheet
from striate.design.table import spell_bytes

# family: what the legend calls it, and fill and rim on light and on dark paper
_COLOURS: dict[str, tuple[str, str, str, str, str]] = {
    "input": ("input", "#f1f5f9", "#64748b", "#1e293b", "#94a3b8"),
    "conv": ("convolution", "#dbeafe", "#2563eb", "#172f5c", "#60a5fa"),
    "fc": ("fully connected", "#fde2e4", "#d6336c", "#4d1a2c", "#f783ac"),
    "pool": ("pooling", "#dcfce7", "#15803d", "#143524", "#4ade80"),
    "norm": ("normalisation", "#ede9fe", "#7c3aed", "#2e2252", "#a78bfa"),
    "activation": ("activation", "#ffedd5", "#ea7a0c", "#47290c", "#fb923c"),
    "dropout": ("dropout", "#f5f0e8", "#8a6d3b", "#332b1e", "#c9a96a"),
    "join": ("add, concatenate", "#fef9c3", "#a16207", "#3d340d", "#facc15"),
    "shape": ("shape", "#f1f5f9", "#64748b", "#252b36", "#94a3b8"),
    "scope": ("folded layers", "#e7edf3", "#475569", "#232b38", "#94a3b8"),
    "opaque": ("other", "#f3f4f6", "#374151", "#2a2f38", "#9ca3af"),
}
_MARGIN, _TOP = 28.0, 108.0
_FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"


def drawing(sheet: Sheet, *, depth: int | None = None, every: bool = False) -> str:
    """Return the graph of a network as one SVG document.

    Args:
        sheet: of the network.
        depth: parts of a name that stay; deeper scopes are boxes. Chosen for legibility unless
            given.
        every: draw every layer.
    """
    shown = graph(sheet, depth=depth, every=every)
    page = compose(shown)
    legend = _legend(shown)
    sums = _sums(sheet)
    width = max(page.width, _width(legend), text_width(sums, 11), text_width(sheet.network, 20))
    width, height = width + 2 * _MARGIN, page.height + _TOP + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="striate" viewBox="0 0 {width:.0f} '
        f'{height:.0f}" width="{width:.0f}" height="{height:.0f}" font-family="{_FONT}" '
        f'role="img" aria-label="{escape(sheet.network)}">',
        f"<style>{_style()}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text class="title" x="{_MARGIN}" y="34">{escape(sheet.network)}</text>',
        f'<text class="ink" x="{_MARGIN}" y="53" font-size="11">{escape(sums)}</text>',
        *_legend_marks(legend),
        f'<g transform="translate({_MARGIN + (width - 2 * _MARGIN - page.width) / 2:.1f} {_TOP})">',
        *_frames(page),
        *_lines(page),
        *_frame_names(page),
        *(_box(*each) for each in page.boxes),
        *(
            f'<text class="volume" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
            for text, x, y in page.labels
        ),
        "</g>",
        "</svg>\n",
    ]
    return "\n".join(parts)


def _sums(sheet: Sheet) -> str:
    total = sheet.totals
    return (
        f"{total.parameters:,} parameters, {total.macs:,} multiply-adds, "
        f"{spell_bytes(total.activation_bytes)} of activations an image"
    )


def _style() -> str:
    light = [
        ".striate .paper{fill:#fff}.striate text{fill:#1f2937}",
        ".striate .title{font-size:20px;font-weight:600}",
        ".striate .name{font-size:9px;fill:#4b5563}",
        ".striate .what{font-size:11.5px;font-weight:600}",
        ".striate .volume{font-size:9px;fill:#64748b}.striate .label{font-size:10px;fill:#475569}",
        ".striate .times{font-size:12px;font-weight:700;fill:#b45309}",
        ".striate .label{paint-order:stroke;stroke:#f8fafc;stroke-width:3px}",
        ".striate .frame{fill:#f8fafc;stroke:#cbd5e1}.striate .line{stroke:#64748b;fill:none}",
        ".striate .head{fill:#64748b}",
    ]
    light += [
        f".striate .{family} {{fill:{fill};stroke:{rim}}}.striate .s-{family} {{fill:{rim}}}"
        for family, (_, fill, rim, _, _) in _COLOURS.items()
    ]
    dark = [
        ".striate .paper{fill:#0f172a}.striate text{fill:#e2e8f0}",
        ".striate .name,.striate .volume,.striate .label{fill:#a8b3c4}",
        ".striate .times{fill:#fbbf24}.striate .frame{fill:#152036;stroke:#3b4a63}",
        ".striate .label{stroke:#152036}.striate .line{stroke:#8fa0b8}.striate .head{fill:#8fa0b8}",
    ]
    dark += [
        f".striate .{family} {{fill:{fill};stroke:{rim}}}.striate .s-{family} {{fill:{rim}}}"
        for family, (*_, fill, rim) in _COLOURS.items()
    ]
    return "".join(light) + "@media (prefers-color-scheme:dark){" + "".join(dark) + "}"


def _legend(shown: Graph) -> list[tuple[str, str]]:
    families = {family for box in shown.boxes for family in (box.family, *box.stripes, *box.inside)}
    return [
        (family, words[0])
        for family, words in _COLOURS.items()
        if family in families and family != "input"
    ]


def _width(legend: Sequence[tuple[str, str]]) -> float:
    return sum(text_width(words, 10) + 34 for _, words in legend)


def _legend_marks(legend: Sequence[tuple[str, str]]) -> Iterator[str]:
    x = _MARGIN
    for family, words in legend:
        yield f'<rect class="{family}" x="{x:.1f}" y="63" width="12" height="10" rx="2"/>'
        yield f'<text x="{x + 17:.1f}" y="72" font-size="10">{escape(words)}</text>'
        x += text_width(words, 10) + 34


def _frames(page: Page) -> Iterator[str]:
    for _, _, x, y, width, height, optional in page.frames:
        dashed = ' stroke-dasharray="4 3"' if optional else ""
        yield (
            f'<rect class="frame" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="8"{dashed}/>'
        )


def _frame_names(page: Page) -> Iterator[str]:
    """Yield what stands at the head of each frame, clear of the edges that enter there."""
    for label, times, x, y, width, _, optional in page.frames:
        words = escape(label) + (" (training only)" if optional else "")
        yield f'<text class="label" x="{x + 8:.1f}" y="{y + 12:.1f}">{words}</text>'
        if times > 1:
            yield (
                f'<text class="times" x="{x + width - 8:.1f}" y="{y + 15:.1f}" '
                f'text-anchor="end">\u00d7{times}</text>'
            )


def _box(box: Box, x: float, y: float, width: float) -> str:
    stripes = "".join(
        f'<rect class="s-{family}" x="{x + width - 5 * (len(box.stripes) - index) - 1:.1f}" '
        f'y="{y + 1:.1f}" width="4" height="{HEIGHT - 2:.1f}" rx="1"/>'
        for index, family in enumerate(box.stripes)
    )
    behind = (
        f'<rect class="{box.family}" x="{x + 4:.1f}" y="{y + 4:.1f}" width="{width:.1f}" '
        f'height="{HEIGHT}" rx="5"/>'
        if box.family == "scope"
        else ""
    )
    cell = min(6.0, (width - 10) / max(len(box.inside), 1))
    first = x + (width - cell * len(box.inside)) / 2
    stripes += "".join(
        f'<rect class="s-{family}" x="{first + cell * index:.1f}" y="{y + HEIGHT - 5:.1f}" '
        f'width="{cell * 0.75:.1f}" height="3"/>'
        for index, family in enumerate(box.inside)
    )
    middle = x + (width - 5 * len(box.stripes)) / 2
    up = 2 if box.inside else 0
    dashed = ' stroke-dasharray="4 3"' if box.optional else ""
    return (
        f"<g><title>{escape(f'{box.key}: {box.title}, output {box.volume}')}</title>{behind}"
        f'<rect class="{box.family}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{HEIGHT}" '
        f'rx="5"{dashed}/>{stripes}<text class="what" x="{middle:.1f}" y="{y + 15 - up:.1f}" '
        f'text-anchor="middle">{escape(box.title)}</text><text class="name" x="{middle:.1f}" '
        f'y="{y + 27 - 1.5 * up:.1f}" text-anchor="middle">{escape(box.below)}</text></g>'
    )


def _lines(page: Page) -> Iterator[str]:
    for line in page.lines:
        dashed = ' stroke-dasharray="4 3"' if line.optional else ""
        yield f'<path class="line" d="{_path(line.points)}" stroke-width="1.2"{dashed}/>'
    for x, y in dict.fromkeys(line.points[-1] for line in page.lines):
        yield f'<path class="head" d="M{x:.1f} {y:.1f}l-3.4 -6.5h6.8z"/>'


def _path(points: Sequence[Point], radius: float = 6.0) -> str:
    """Return a path through points with rounded corners."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for index, (px, py) in enumerate(rest):
        if index + 1 == len(rest):
            path.append(f"L{px:.1f} {py:.1f}")
            break
        nx, ny = rest[index + 1]
        into, out = abs(px - x) + abs(py - y), abs(nx - px) + abs(ny - py)
        r = min(radius, into / 2, out / 2)
        if into == 0 or out == 0:
            continue
        ax, ay = px - (px - x) / into * r, py - (py - y) / into * r
        bx, by = px + (nx - px) / out * r, py + (ny - py) / out * r
        path.append(f"L{ax:.1f} {ay:.1f}Q{px:.1f} {py:.1f} {bx:.1f} {by:.1f}")
        x, y = px, py
    return "".join(path)
