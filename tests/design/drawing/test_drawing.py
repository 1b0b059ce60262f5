"""The drawing: well-formed, complete, nothing on top of anything else, small enough to follow."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.networks import NAMES

from striate import design, zoo
from striate.design import Network, Sketch, sheet
from striate.design.caption import caption, family
from striate.design.drawing import drawing
from striate.design.drawing.compose import HEIGHT, Page, compose
from striate.design.drawing.graph import MOST, graph
from striate.design.drawing.layered import place, spread
from striate.records import kinds

SVG = "{http://www.w3.org/2000/svg}"


def page(network: Network, **how: int | bool) -> Page:
    return compose(graph(sheet(network), **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_drawn_legibly(name: str) -> None:
    network = zoo.network(name)
    shown = graph(sheet(network))
    assert len(shown.boxes) <= MOST
    root = ElementTree.fromstring(drawing(sheet(network)))
    titles = [each.text or "" for each in root.iter(f"{SVG}title")]
    assert len(titles) == len(shown.boxes)
    placed = compose(shown)
    rectangles = [(x, y, x + w, y + HEIGHT) for _, x, y, w in placed.boxes]
    for left, top, right, bottom in rectangles:
        assert left >= -0.5 and right <= placed.width + 0.5
        assert top >= -0.5 and bottom <= placed.height + 0.5
    for index, (a, b, c, d) in enumerate(rectangles):
        for e, f, g, h in rectangles[index + 1 :]:
            assert min(c, g) <= max(a, e) or min(d, h) <= max(b, f), "boxes overlap"
    assert 0.2 < placed.width / placed.height < 6


@pytest.mark.parametrize("name", NAMES)
def test_lines_keep_off_boxes(name: str) -> None:
    """No edge crosses a box: it ends on its rim or passes beside."""
    placed = page(zoo.network(name))
    for line in placed.lines:
        for (x1, y1), (x2, y2) in pairwise(line.points):
            for box, left, top, width in placed.boxes:
                inside_x = max(min(x1, x2), left + 1) < min(max(x1, x2), left + width - 1) or (
                    x1 == x2 and left + 1 < x1 < left + width - 1
                )
                inside_y = max(min(y1, y2), top + 1) < min(max(y1, y2), top + HEIGHT - 1) or (
                    y1 == y2 and top + 1 < y1 < top + HEIGHT - 1
                )
                assert not (inside_x and inside_y), f"a line crosses {box.key}"


def test_inception_branches_stand_side_by_side() -> None:
    boxes = {box.key: (x, y) for box, x, y, _ in page(zoo.network("googlenet")).boxes}
    first = [key for key in boxes if key.startswith("inception3a.branch")]
    tops = {boxes[key][1] for key in first if boxes[key][1] == min(boxes[k][1] for k in first)}
    level = [key for key in first if boxes[key][1] in tops]
    assert len(level) == 4 and len({boxes[key][0] for key in level}) == 4


def test_shortcuts_have_a_lane_and_blocks_alike_are_drawn_once() -> None:
    placed = page(zoo.network("resnet50"))
    times = {frame[0]: frame[1] for frame in placed.frames}
    assert times["layer3.1 - 5"] == 5 and times["layer3.0"] == 1
    whole = page(zoo.network("resnet50"), every=True)
    assert len(whole.frames) == 16 and all(frame[1] == 1 for frame in whole.frames)
    adds = [box for box, *_ in placed.boxes if box.title == "add"]
    assert all(len(box.inputs) == 2 for box in adds)


def test_dense_layers_are_drawn_once_with_what_they_add() -> None:
    placed = page(zoo.network("densenet121"))
    assert [frame[1] for frame in placed.frames] == [6, 12, 24, 16]
    joins = [box for box, *_ in placed.boxes if box.title == "concat 2"]
    assert [len(box.inputs) for box in joins] == [2, 2, 2, 2]
    assert joins[0].volume == "96 to 256x56x56"


def test_heads_for_training_are_dashed() -> None:
    svg = drawing(sheet(zoo.network("googlenet")))
    assert "aux1 (training only)" in svg and "stroke-dasharray" in svg
    assert "stroke-dasharray" not in drawing(sheet(zoo.network("resnet18")))


def test_names_cannot_write_markup() -> None:
    net = Sketch("<script>&", (1, 8, 8))
    net.conv("c", 1, 3)
    svg = drawing(sheet(net.finish()))
    assert "<script>" not in svg
    ElementTree.fromstring(svg)


def test_depth_folds() -> None:
    shown = graph(sheet(zoo.network("resnet50")), depth=1)
    assert [box.key for box in shown.boxes if box.family == "scope"] == [
        f"layer{stage}" for stage in (1, 2, 3, 4)
    ]


def test_several_inputs_and_long_edges() -> None:
    net = Sketch("u", (2, 16, 16))
    skips = [net.conv(f"down{level}", 2, 3, padding=1) for level in range(5)]
    for level, skip in enumerate(reversed(skips[:-1])):
        net.add(f"up{level}", net.last, skip)
    placed = page(net.finish())
    assert len(placed.boxes) == 10
    assert sum(len(box.inputs) for box, *_ in placed.boxes) == len(placed.lines)


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=8),
    st.floats(1, 20),
)
def test_spread_keeps_apart_and_in_order(wanted: list[float], gap: float) -> None:
    places = spread(wanted, [1.0] * len(wanted), [gap] * (len(wanted) - 1))
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(places))
    apart = all(b - a >= gap for a, b in pairwise(wanted))
    assert not apart or places == pytest.approx(wanted)


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=10))
def test_edges_go_down(sources: list[list[int]]) -> None:
    names = [f"n{index}" for index in range(len(sources))]
    edges = list(
        dict.fromkeys(
            (names[source], names[index])
            for index, each in enumerate(sources)
            for source in each
            if source < index
        )
    )
    placed = place(dict.fromkeys(names, 50.0), edges, 10.0)
    for source, target in edges:
        assert placed.rank[source] < placed.rank[target]
        assert len(placed.lanes[source, target]) == placed.rank[target] - placed.rank[source] - 1
    for rank in set(placed.rank.values()):
        row = sorted(placed.middle[name] for name in names if placed.rank[name] == rank)
        assert all(b - a >= 59.9 for a, b in pairwise(row))


def test_which_kinds_have_a_colour() -> None:
    """A new kind fails here until somebody decides how it is drawn."""
    without = {
        tag
        for tag, kind in kinds(design.Layer).items()
        if family.dispatch(kind) is family.dispatch(object)
    }
    assert without == {"opaque"}
    own_words = {
        tag
        for tag, kind in kinds(design.Layer).items()
        if caption.dispatch(kind) is caption.dispatch(object)
    }
    assert own_words <= {
        *("relu", "relu6", "tanh", "sigmoid", "gelu", "silu", "softmax"),
        *("batch_norm", "affine", "flatten", "identity"),
        *("log_softmax", "prelu", "multiply"),
    }
