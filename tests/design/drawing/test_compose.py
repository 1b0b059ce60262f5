"""Boxes and frames on a page: who stands above whom, columns of a long graph, room around words."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Network, Sketch, sheet
from striate.design.drawing.compose import HEIGHT, Page, box_width, compose, text_width
from striate.design.drawing.graph import graph


def page(network: Network, **how: int | bool) -> Page:
    return compose(graph(sheet(network), **how))  # type: ignore[arg-type]


def chain(count: int) -> Network:
    net = Sketch("chain", (3, 400, 400))
    for index in range(count):
        net.conv(f"conv{index}", 4 + index % 2, 3, padding=1)
    return net.finish()


def test_a_chain_stands_in_a_line_with_room_for_volumes() -> None:
    placed = page(chain(3))
    boxes = [(x, y, width) for _, x, y, width in placed.boxes]
    assert [y for _, y, _ in boxes] == [0.0, 74.0, 148.0, 222.0]
    assert len({x + width / 2 for x, _, width in boxes}) == 1
    assert min(x for x, _, _ in boxes) == 0.0
    for (text, x, y), (box, left, top, width) in zip(placed.labels, placed.boxes, strict=True):
        assert (text, y) == (box.volume, top + HEIGHT + 12) and x == left + width / 2 + 5
    for line, (_, x, y, width) in zip(placed.lines, placed.boxes, strict=False):
        middle = x + width / 2
        assert line.points == ((middle, y + HEIGHT), (middle, y + HEIGHT + 40))


@pytest.mark.parametrize(("count", "columns"), [(4, 1), (12, 1), (24, 2), (40, 3)])
def test_a_long_chain_is_broken_into_columns(count: int, columns: int) -> None:
    """All begin at the top, none is much taller than another, and the page is wide, not long."""
    placed = page(chain(count), every=True)
    lefts: dict[float, list[float]] = {}
    for _, x, y, width in placed.boxes:
        lefts.setdefault(round(x + width / 2), []).append(y)
    assert len(lefts) >= columns
    tops = list(lefts.values())
    assert all(column[0] == 0.0 for column in tops)
    assert max(map(len, tops)) - min(map(len, tops)) <= max(map(len, tops)) // 2
    if count >= 24:
        assert 0.6 < placed.width / placed.height < 2.5
    assert placed.height >= max(max(column) for column in tops) + HEIGHT


def test_an_edge_goes_on_at_the_top_of_the_next_column() -> None:
    placed = page(chain(30), every=True)
    boxes = {box.key: (x, y, width) for box, x, y, width in placed.boxes}
    over = [line for line in placed.lines if line.points[-1][1] < line.points[0][1]]
    assert len(over) == len({round(x + w / 2) for x, _, w in boxes.values()}) - 1
    for line in over:
        (x1, y1), down, across, up, above, end = line.points
        assert down == (x1, y1 + 22) and across[1] == down[1]
        assert up[0] == across[0] and above == (end[0], up[1])
        assert (up[1], end[1]) == (-18.0, 0.0)
        rights = [x + w for x, y, w in boxes.values() if x + w < across[0]]
        lefts = [x for x, y, w in boxes.values() if x > across[0]]
        assert rights and lefts and min(lefts) > across[0] > max(rights)


def branches() -> Network:
    net = Sketch("branches", (8, 20, 20))
    stem = net.conv("stem", 8, 3)
    left = net.conv("block.left", 8, 1, of=stem)
    net.conv("block.right.a", 8, 1, of=stem)
    right = net.conv("block.right.b", 8, 3, padding=1)
    net.concat("block.join", left, right)
    net.conv("after", 4, 3)
    return net.finish()


def test_a_frame_holds_its_boxes_its_words_and_its_name() -> None:
    placed = page(branches())
    ((label, times, left, top, width, height, optional),) = placed.frames
    assert (label, times, optional) == ("block", 1, False)
    inside = [each for each in placed.boxes if each[0].key.startswith("block.")]
    assert len(inside) == 4
    for _, x, y, wide in inside:
        assert left + 12 <= x and x + wide <= left + width - 12
        assert top + 16 < y and y + HEIGHT < top + height
        assert wide == max(box_width(each[0]) for each in inside)
    words = [each for each in placed.labels if top < each[2] < top + height]
    for text, x, _ in words:
        assert x + text_width(text, 9) - 10 <= left + width
    outside = [each for each in placed.boxes if not each[0].key.startswith("block.")]
    assert all(y + HEIGHT < top or y > top + height for _, _, y, _ in outside)
    lines = [line for line in placed.lines if line.points[0][1] >= top - 1e-6]
    assert all(not line.optional for line in lines)
    edge = next(line for line in placed.lines if line.points[-1][1] == top)
    assert edge.points[0][1] < top  # what is read comes in at the top


def test_edges_that_part_turn_early_and_those_that_meet_late() -> None:
    """Of the way between two ranks, 0.42 where one value goes to several, 0.6 elsewhere."""
    net = Sketch("t", (4, 9, 9))
    stem = net.conv("stem", 4, 1)
    left = net.conv("left", 4, 1, of=stem)
    right = net.conv("right", 4, 1, of=stem)
    net.add("sum", left, right)
    placed = page(net.finish())
    boxes = {box.key: (x + w / 2, y) for box, x, y, w in placed.boxes}
    turns = {}
    for line in placed.lines:
        if len(line.points) == 4:
            (_, y1), (_, turn), (_, again), (_, y2) = line.points
            assert turn == again
            turns[line.points[0][1]] = (turn - y1) / (y2 - y1)
    below = boxes["stem"][1] + HEIGHT
    assert turns[below] == pytest.approx(0.42)
    assert [share for y, share in turns.items() if y > below] == [pytest.approx(0.6)]
    assert boxes["left"][0] == pytest.approx(boxes["stem"][0], abs=0.5)
    assert boxes["left"][0] == pytest.approx(boxes["sum"][0], abs=0.5)


def test_nothing_of_a_page_lies_outside_of_it() -> None:
    for name in ("resnet18", "googlenet", "squeezenet1_1", "densenet121"):
        placed = page(zoo.network(name))
        for line in placed.lines:
            for x, y in line.points:
                assert -0.5 <= x <= placed.width + 28 and -20 <= y <= placed.height
        for _, _, x, y, width, height, _ in placed.frames:
            assert x >= -0.5 and x + width <= placed.width + 0.5
            assert y >= 0 and y + height <= placed.height
        for text, x, _ in placed.labels:
            assert x + text_width(text, 9) <= placed.width + 30


def test_frames_do_not_overlap() -> None:
    for name in ("resnet50", "googlenet", "inception_v3"):
        frames = [(x, y, x + w, y + h) for _, _, x, y, w, h, _ in page(zoo.network(name)).frames]
        for index, (a, b, c, d) in enumerate(frames):
            for e, f, g, h in frames[index + 1 :]:
                assert min(c, g) <= max(a, e) or min(d, h) <= max(b, f)


def test_a_network_one_scope_deep_is_drawn_by_its_scopes() -> None:
    """140 boxes are more than are followed; as 35 scopes they are few enough."""
    net = Sketch("flat", (3, 500, 500))
    for index in range(35):
        for step in range(4):
            net.conv(f"stage{index}.conv{step}", 3 + index, 1)
    shown = graph(sheet(net.finish()))
    assert [box.family for box in shown.boxes] == ["input", *["scope"] * 35]
    assert shown.boxes[1].below == "4 x (conv 1x1 3)"
    assert shown.boxes[1].inside == ("conv",) * 4
    assert len(graph(sheet(net.finish()), every=True).boxes) == 141


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ((4,), "conv 1x1 4"),
        ((4, 4), "2 x (conv 1x1 4)"),
        ((4, 5), "conv 1x1 4, conv 1x1 5"),
        ((4, 5, 4, 5), "2 x (conv 1x1 4, conv 1x1 5)"),
        ((4, 5, 6), "conv 1x1 4, conv 1x1 5, conv 1x1 6"),
        ((4, 5, 6, 7), "4 layers with windows or weights"),
        ((4, 5, 6, 7) * 2, "2 x (conv 1x1 4, conv 1x1 5, conv 1x1 6, conv 1x1 7)"),
        ((4, 5, 6, 7, 8) * 2, "10 layers with windows or weights"),
        ((4, 5, 4), "conv 1x1 4, conv 1x1 5, conv 1x1 4"),
    ],
)
def test_what_a_folded_scope_is_said_to_hold(widths: tuple[int, ...], said: str) -> None:
    net = Sketch("t", (3, 8, 8))
    for index, width in enumerate(widths):
        net.conv(f"scope.conv{index}", width, 1)
    net.relu("scope.relu")
    (_, box) = graph(sheet(net.finish()), depth=1).boxes
    assert box.below == said


def test_what_stands_right_behind_a_layer_is_attached_to_it() -> None:
    net = Sketch("t", (4, 8, 8))
    net.conv("conv", 4, 3)
    net.batch_norm("bn")
    net.relu("relu")
    net.dropout("drop", 0.25)
    net.flatten("flat")
    net.linear("fc", 3)
    net.relu("last")
    keys = [(box.key, box.below, box.stripes) for box in graph(sheet(net.finish())).boxes]
    assert keys == [
        ("x", "x", ()),
        ("conv", "conv + norm + relu + dropout + flatten", ("norm", "activation", "dropout")),
        ("fc", "fc + relu", ("activation",)),
    ]


def test_what_is_read_twice_is_not_attached() -> None:
    net = Sketch("t", (4, 8, 8))
    conv = net.conv("conv", 4, 1)
    net.relu("relu")
    net.add("sum", "relu", conv)
    net.relu("after")
    boxes = {box.key: box for box in graph(sheet(net.finish())).boxes}
    assert list(boxes) == ["x", "conv", "relu", "sum"]
    assert boxes["sum"].inputs == ("relu", "conv") and boxes["sum"].below == "sum + relu"
