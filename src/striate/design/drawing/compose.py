"""Boxes and frames placed on a page: each frame laid out by itself, then all of them together.

A long graph is broken into columns where a single edge passes, so that it fills a page instead of a
strip; the edge goes on at the top of the next column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from striate.design.drawing.graph import Box, Graph
from striate.design.drawing.layered import Edge, Placed, place

HEIGHT = 34.0  # of a box
_GAP = 40.0  # between ranks: a volume, and room for edges to turn
_PORT_GAP = 26.0  # between a frame's rim and what stands in it
_APART = 18.0  # between neighbours
_RIM = 12.0  # of a frame
_HEAD = 16.0  # of a frame, for its name
_GUTTER = 56.0  # between columns
_ASPECT = 1.45  # of the page

Point = tuple[float, float]


class Line(NamedTuple):
    """An edge as a path with right angles."""

    points: tuple[Point, ...]
    optional: bool


class Page(NamedTuple):
    """Everything with its place, in points from the top left.

    Args:
        width, height: of the page.
        boxes: (box, left, top, width).
        frames: (label, how many it stands for, left, top, width, height, optional).
        lines: edges.
        labels: (text, x, y): volumes, left-aligned.
    """

    width: float
    height: float
    boxes: tuple[tuple[Box, float, float, float], ...]
    frames: tuple[tuple[str, int, float, float, float, float, bool], ...]
    lines: tuple[Line, ...]
    labels: tuple[tuple[str, float, float], ...]


class _Block(NamedTuple):
    """A frame or a lone box around its main entry at x = 0, from y = 0 downwards."""

    width: float
    height: float
    boxes: list[tuple[Box, float, float, float]]
    lines: list[Line]
    labels: list[tuple[str, float, float]]
    entry: dict[str, float]
    leave: dict[str, float]
    frame: tuple[str, int] | None
    optional: bool


def compose(graph: Graph) -> Page:
    """Place a graph on a page."""
    holder = {box.key: box.frame or box.key for box in graph.boxes}
    members: dict[str, list[Box]] = {}
    for box in graph.boxes:
        members.setdefault(holder[box.key], []).append(box)
    read = {
        source for box in graph.boxes for source in box.inputs if holder[source] != holder[box.key]
    }
    blocks = {
        name: _framed(boxes, graph.frames[name], read) if name in graph.frames else _alone(boxes[0])
        for name, boxes in members.items()
    }
    wires = list(
        dict.fromkeys(
            (holder[source], holder[box.key], source)
            for box in graph.boxes
            for source in box.inputs
            if holder[source] != holder[box.key]
        )
    )
    wires.sort(key=lambda wire: blocks[wire[1]].optional)  # the main way goes straight on
    edges = list(dict.fromkeys((source, target) for source, target, _ in wires))
    placed = place({name: block.width for name, block in blocks.items()}, edges, _APART + 8)
    return _page(blocks, placed, wires)


def box_width(box: Box) -> float:
    """Return how wide a box must be for its words."""
    words = max(1.1 * text_width(box.title, 11.5), text_width(box.below, 9.0), 70.0)
    return round(min(words, 260.0) + 16 + 5 * len(box.stripes))


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is in a sans serif."""
    thin = sum(letter in "iljt.,:;|()[]!' " for letter in text)
    return size * (0.34 * thin + 0.64 * (len(text) - thin))


# -- one frame -------------------------------------------------------------------------------------


def _alone(box: Box) -> _Block:
    width = box_width(box)
    label = (box.volume, 5.0, HEIGHT + 12)
    boxes = [(box, -width / 2, 0.0, width)]
    entry = dict.fromkeys(box.inputs, 0.0)
    return _Block(width, HEIGHT, boxes, [], [label], entry, {box.key: 0.0}, None, box.optional)


def _framed(boxes: Sequence[Box], label: tuple[str, int], read: set[str]) -> _Block:
    own = {box.key for box in boxes}
    sources = list(dict.fromkeys(s for box in boxes for s in box.inputs if s not in own))
    leaving = [box.key for box in boxes if box.key in read]
    width = max(map(box_width, boxes))
    widths = {f"<{source}": 8.0 for source in sources}
    widths |= {box.key: width for box in boxes}
    widths |= {f">{key}": 8.0 for key in leaving}
    edges = [
        (source if source in own else f"<{source}", box.key)
        for box in boxes
        for source in box.inputs
    ]
    edges += [(key, f">{key}") for key in leaving]
    placed = place(widths, edges, _APART, [f">{key}" for key in leaving])
    ranks = max(placed.rank.values()) + 1
    tops, y = [], 0.0
    for rank in range(ranks):
        inside = [name for name, r in placed.rank.items() if r == rank]
        ports = all(name[0] in "<>" for name in inside)
        port_next = rank + 2 == ranks and bool(leaving)
        tops.append((y, y if ports else y + HEIGHT))
        y = tops[-1][1] + (_PORT_GAP + _HEAD if ports else _PORT_GAP if port_next else _GAP)
    height = tops[-1][1] + (0.0 if leaving else 30.0)
    if not sources:
        height += _HEAD
    shift = placed.middle[f"<{sources[0]}"] if sources else 0.0
    middle = {name: x - shift for name, x in placed.middle.items()}
    for name, x in middle.items():
        alone = sum(rank == placed.rank[name] for rank in placed.rank.values()) == 1
        if alone and abs(x) < 16:  # on the way straight through
            middle[name] = 0.0
    lanes = {edge: tuple(x - shift for x in xs) for edge, xs in placed.lanes.items()}
    moved = placed._replace(middle=middle, lanes=lanes)
    optional = {box.key: box.optional for box in boxes}
    lines = [
        Line(points, optional.get(edge[1], optional.get(edge[0], False)))
        for edge, points in _routes(edges, moved, tops).items()
    ]
    kept = [
        (box, middle[box.key] - width / 2, tops[placed.rank[box.key]][0], width) for box in boxes
    ]
    labels = [
        (box.volume, middle[box.key] + 5, tops[placed.rank[box.key]][1] + 12) for box in boxes
    ]
    reach = [abs(x) + 14 for xs in lanes.values() for x in xs]
    reach += [max(-left, left + width) for _, left, _, _ in kept]
    reach += [x + text_width(text, 9) - 10 for text, x, _ in labels]
    half = max([*reach, (text_width(label[0], 10) + 60) / 2]) + _RIM
    return _Block(
        2 * half,
        height,
        kept,
        lines,
        labels,
        {source: middle[f"<{source}"] for source in sources},
        {key: middle[f">{key}"] for key in leaving},
        label,
        all(optional.values()),
    )


def _routes(
    edges: Sequence[Edge], placed: Placed, tops: Sequence[tuple[float, float]]
) -> dict[Edge, tuple[Point, ...]]:
    """Return each edge's path: downwards, aside between two ranks, downwards."""
    fans = {source for source, _ in edges if sum(each[0] == source for each in edges) > 1}
    routes = {}
    for edge in edges:
        source, target = edge
        rank = placed.rank[source]
        xs = [placed.middle[source], *placed.lanes[edge], placed.middle[target]]
        points: list[Point] = [(xs[0], tops[rank][1])]
        for step, (x1, x2) in enumerate(zip(xs, xs[1:], strict=False)):
            above, below = tops[rank + step][1], tops[rank + step + 1][0]
            if abs(x1 - x2) > 0.5:
                turn = _turn(above, below, early=step == 0 and source in fans)
                points += [(x1, turn), (x2, turn)]
            points.append((x2, below))
        routes[edge] = tuple(points)
    return routes


def _turn(above: float, below: float, *, early: bool) -> float:
    """Return the height at which edges turn: those that part at once, those that meet late."""
    room = below - above
    return above + (0.42 * room if early else 0.6 * room)


# -- all together ----------------------------------------------------------------------------------


class _Ranks(NamedTuple):
    """Where the ranks lie on a page.

    Args:
        middle: x of each, of what stands in its middle.
        spans: top and bottom of each.
        gutters: x beside a column where edges go up to the next one, by the column's last rank.
    """

    middle: list[float]
    spans: list[tuple[float, float]]
    gutters: dict[int, float]


def _page(blocks: dict[str, _Block], placed: Placed, wires: Sequence[tuple[str, str, str]]) -> Page:
    ranks = max(placed.rank.values()) + 1
    heights = [
        max(blocks[name].height for name, rank in placed.rank.items() if rank == each)
        for each in range(ranks)
    ]
    extents = _extents(blocks, placed, ranks)
    columns = _columns(heights, extents, placed.crossings)
    lie = _Ranks([0.0] * ranks, [(0.0, 0.0)] * ranks, {})
    left = bottom = 0.0
    for column in columns:
        low = min(extents[rank][0] for rank in column)
        high = max(extents[rank][1] for rank in column)
        y = 0.0
        for rank in column:
            lie.middle[rank], lie.spans[rank] = left - low, (y, y + heights[rank])
            y += heights[rank] + _GAP
        left += high - low
        lie.gutters[column[-1]] = left + _GUTTER / 2
        left += _GUTTER
        bottom = max(bottom, y)
    return _gather(blocks, placed, wires, lie, (left - _GUTTER, bottom))


def _extents(blocks: dict[str, _Block], placed: Placed, ranks: int) -> list[tuple[float, float]]:
    """Return how far left and right each rank reaches."""
    reach: list[list[float]] = [[] for _ in range(ranks)]
    for name, block in blocks.items():
        x = placed.middle[name]
        label = max((text_width(text, 9) + 6 for text, *_ in block.labels), default=0.0)
        half = max(block.width / 2, label if block.frame is None else 0.0)
        reach[placed.rank[name]] += [x - block.width / 2, x + half]
    for (source, _), lanes in placed.lanes.items():
        for step, x in enumerate(lanes, start=placed.rank[source] + 1):
            reach[step] += [x - 10, x + 10]
    return [(min(each), max(each)) for each in reach]


def _columns(
    heights: Sequence[float], extents: Sequence[tuple[float, float]], crossings: Sequence[int]
) -> list[list[int]]:
    """Break the ranks into columns where one edge passes, for a page of good proportions."""
    total = sum(heights) + _GAP * len(heights)
    best: tuple[float, list[list[int]]] = (math.inf, [])
    for count in range(1, 9):
        columns = _broken(heights, crossings, count, total)
        tall = max(sum(heights[rank] + _GAP for rank in column) for column in columns)
        wide = sum(
            max(extents[r][1] for r in column) - min(extents[r][0] for r in column) + _GUTTER
            for column in columns
        )
        empty = 1 - total / (tall * len(columns))
        miss = abs(math.log(max(wide, 300) / tall / _ASPECT)) + 1.5 * empty
        best = min(best, (miss, columns), key=lambda each: each[0])
    return best[1]


def _broken(
    heights: Sequence[float], crossings: Sequence[int], count: int, total: float
) -> list[list[int]]:
    """Break into at most so many columns, the tallest as short as can be."""
    columns: list[list[int]] = []
    for step in range(41):
        most = total / count * (1 + 0.04 * step)
        columns, filled = [[]], 0.0
        for rank, height in enumerate(heights):
            if columns[-1] and crossings[rank - 1] == 1 and filled + height + _GAP > most:
                columns.append([])
                filled = 0.0
            columns[-1].append(rank)
            filled += height + _GAP
        if len(columns) <= count:
            break
    return columns


def _gather(
    blocks: dict[str, _Block],
    placed: Placed,
    wires: Sequence[tuple[str, str, str]],
    lie: _Ranks,
    size: Point,
) -> Page:
    boxes, frames, lines, labels = [], [], [], []
    for name, block in blocks.items():
        rank = placed.rank[name]
        x, y = lie.middle[rank] + placed.middle[name], lie.spans[rank][0]
        boxes += [(box, x + left, y + top, width) for box, left, top, width in block.boxes]
        labels += [(text, x + dx, y + dy) for text, dx, dy in block.labels]
        lines += [
            Line(tuple((x + px, y + py) for px, py in line.points), line.optional)
            for line in block.lines
        ]
        if block.frame is not None:
            frames.append(
                (*block.frame, x - block.width / 2, y, block.width, block.height, block.optional)
            )
    fans = {s for s, _, value in wires if sum(w[2] == value for w in wires) > 1}
    for source, target, value in wires:
        points = _wire((source, target, value), blocks, placed, lie, source in fans)
        optional = blocks[target].optional or blocks[source].optional
        lines.append(Line(tuple(points), optional))
    return Page(*size, tuple(boxes), tuple(frames), tuple(lines), tuple(labels))


def _wire(
    wire: tuple[str, str, str], blocks: dict[str, _Block], placed: Placed, lie: _Ranks, fans: bool
) -> list[Point]:
    """Return the path of an edge between two blocks, over the end of a column if need be."""
    source, target, value = wire
    rank, lanes = placed.rank[source], placed.lanes[source, target]
    xs = [placed.middle[source] + blocks[source].leave.get(value, 0.0), *lanes]
    xs.append(placed.middle[target] + blocks[target].entry.get(value, 0.0))
    points: list[Point] = [(lie.middle[rank] + xs[0], lie.spans[rank][0] + blocks[source].height)]
    for step, (before, after) in enumerate(zip(xs, xs[1:], strict=False), start=rank):
        x1, x2 = lie.middle[step] + before, lie.middle[step + 1] + after
        above, below = lie.spans[step][1], lie.spans[step + 1][0]
        if step in lie.gutters:
            aside = lie.gutters[step]
            points += [(x1, above + 22), (aside, above + 22), (aside, below - 18)]
            points += [(x2, below - 18), (x2, below)]
            continue
        if abs(x1 - x2) > 0.5:
            turn = _turn(above, below, early=fans and step == rank)
            points += [(x1, turn), (x2, turn)]
        points.append((x2, below))
    return points
