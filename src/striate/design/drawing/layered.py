"""A layered layout of a small graph: ranks downwards, few crossings, straight lines.

Edges longer than one rank pass through points of their own, so that a shortcut gets a lane beside
what it goes around; those of one source share a lane, as in DenseNet's blocks. Places along a rank
minimise the squared distance to their neighbours in the ranks before and after, the order and the
gaps kept (pooled adjacent violators).

Source: Sugiyama, Tagawa, Toda, IEEE Trans. Systems, Man, Cybernetics, 1981.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

_LANE = 12.0  # width that a passing edge takes
_SWEEPS = 12

Edge = tuple[str, str]


class Placed(NamedTuple):
    """Where everything stands.

    Args:
        rank: of each node, from 0.
        middle: horizontal centre of each node.
        lanes: for each edge its horizontal places in the ranks it passes.
        crossings: how many edges pass between each rank and the next.
    """

    rank: dict[str, int]
    middle: dict[str, float]
    lanes: dict[Edge, tuple[float, ...]]
    crossings: tuple[int, ...]


def place(
    widths: Mapping[str, float], edges: Sequence[Edge], gap: float, last: Sequence[str] = ()
) -> Placed:
    """Place nodes.

    Args:
        widths: of nodes by name, in an order in which edges go forward.
        edges: (from, to), once each; a node's first edge in each direction is its main one.
        gap: between neighbours in a rank.
        last: nodes that stand in the last rank, below all others.
    """
    rank = _ranks(widths, edges, last)
    passing = {edge: _passed(edge, rank) for edge in edges}
    wide = dict(widths)
    above: dict[str, list[str]] = {name: [] for name in widths}
    below: dict[str, list[str]] = {name: [] for name in widths}
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name in widths:
        rows[rank[name]].append(name)
    for edge, points in passing.items():
        for offset, point in enumerate(points, start=1):
            if point not in wide:
                wide[point] = _LANE
                above[point], below[point] = [], []
                rows[rank[edge[0]] + offset].append(point)
        for upper, lower in pairwise([edge[0], *points, edge[1]]):
            if lower not in below[upper]:
                below[upper].append(lower)
                above[lower].append(upper)
    _order(rows, above, below)
    middle = _places(rows, wide, above, below, gap)
    _straighten(rows, passing, middle)
    crossings = [0] * len(rows)
    for source, target in edges:
        for each in range(rank[source], rank[target]):
            crossings[each] += 1
    lanes = {edge: tuple(middle[point] for point in points) for edge, points in passing.items()}
    return Placed(rank, {name: middle[name] for name in widths}, lanes, tuple(crossings))


def _ranks(
    widths: Mapping[str, float], edges: Sequence[Edge], last: Sequence[str]
) -> dict[str, int]:
    """Return each node's longest way from a source."""
    sources: dict[str, list[str]] = {name: [] for name in widths}
    for source, target in edges:
        sources[target].append(source)
    rank: dict[str, int] = {}
    for name in widths:
        rank[name] = max((rank[source] + 1 for source in sources[name]), default=0)
    bottom = max(value for name, value in rank.items() if name not in last) + 1
    return rank | dict.fromkeys(last, bottom)


def _passed(edge: Edge, rank: Mapping[str, int]) -> list[str]:
    """Return a point in each rank that an edge passes; edges of one source share them."""
    return [f"{edge[0]}@{each}" for each in range(rank[edge[0]] + 1, rank[edge[1]])]


def _order(
    rows: list[list[str]], above: Mapping[str, list[str]], below: Mapping[str, list[str]]
) -> None:
    """Order each rank by the mean place of the neighbours in the one before, then after."""
    for sweep in range(4):
        near, ranks = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for before, row in pairwise(ranks):
            at = {name: index for index, name in enumerate(before)}
            keys = {
                name: sum(at[each] for each in near[name]) / len(near[name])
                if near[name]
                else float(index)
                for index, name in enumerate(row)
            }
            row.sort(key=keys.__getitem__)


def _places(
    rows: list[list[str]],
    wide: Mapping[str, float],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
    gap: float,
) -> dict[str, float]:
    middle: dict[str, float] = {}
    for row in rows:
        total = sum(wide[name] for name in row) + gap * (len(row) - 1)
        at = -total / 2
        for name in row:
            middle[name] = at + wide[name] / 2
            at += wide[name] + gap
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 1
        near, back = (above, below) if down else (below, above)
        for row in rows if down else rows[::-1]:
            wanted = [_wanted(name, near[name], middle) for name in row]
            weights = [_weight(name, near[name], back) for name in row]
            apart = [(wide[a] + wide[b]) / 2 + gap for a, b in pairwise(row)]
            middle |= zip(row, spread(wanted, weights, apart), strict=True)
    return middle


def _wanted(name: str, near: Sequence[str], middle: Mapping[str, float]) -> float:
    """Return where a node wants to be: below its main neighbour, or amid three and more."""
    if not near:
        return middle[name]
    if len(near) <= 2:
        return middle[near[0]]
    places = [middle[each] for each in near]
    return (min(places) + max(places)) / 2


def _weight(name: str, near: Sequence[str], back: Mapping[str, list[str]]) -> float:
    """Return how firmly a node stays at its place: on the main way of its neighbour, very much."""
    if not near or "@" in name:
        return 0.5
    others = back[near[0]]
    return 1000.0 if others[0] == name and len(others) <= 2 else 1.0


def _straighten(
    rows: list[list[str]], passing: Mapping[Edge, list[str]], middle: dict[str, float]
) -> None:
    """Give an edge that passes outside of everything one place in all its ranks."""
    for points in passing.values():
        homes = [row for row in rows if any(point in row for point in points)]
        if points and all(row[-1] in points for row in homes):
            middle |= dict.fromkeys(points, max(middle[point] for point in points))
        elif points and all(row[0] in points for row in homes):
            middle |= dict.fromkeys(points, min(middle[point] for point in points))


def spread(
    wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]
) -> list[float]:
    """Return places nearest to those wanted, in squares, at least `apart` from their neighbours.

    Example:
        >>> spread([0, 0, 10], [1, 1, 1], [4, 4])
        [-2.0, 2.0, 10.0]
    """
    offsets = [0.0]
    for each in apart:
        offsets.append(offsets[-1] + each)
    groups: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        groups.append((want - offset, weight, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (a, wa, na), (b, wb, nb) = groups[-2:]
            groups[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    means = [mean for mean, _, count in groups for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
