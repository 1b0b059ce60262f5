"""The drawing as marks: its frame, legend, boxes, lines with round corners, and colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from striate import zoo
from striate.design import Network, Output, Sketch, sheet
from striate.design.drawing import drawing
from striate.design.drawing.compose import HEIGHT, box_width, compose, text_width
from striate.design.drawing.graph import Box, graph
from striate.design.drawing.svg import _path

SVG = "{http://www.w3.org/2000/svg}"


def root(network: Network, **how: int | bool) -> ElementTree.Element:
    return ElementTree.fromstring(drawing(sheet(network), **how))  # type: ignore[arg-type]


def small() -> Network:
    net = Sketch("small", (3, 32, 32))
    net.conv("conv1", 10, 5, padding=2)
    net.batch_norm("bn1")
    net.relu("relu1")
    net.max_pool("pool1", 2)
    net.flatten()
    net.linear("fc", 7)
    return net.finish()


def test_the_frame_holds_the_page_and_its_margins() -> None:
    svg, page = root(small()), compose(graph(sheet(small())))
    left, top, width, height = map(float, svg.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert (svg.attrib["width"], svg.attrib["height"]) == (f"{width:.0f}", f"{height:.0f}")
    assert height == pytest.approx(page.height + 108 + 28, abs=0.5)
    sums = next(each for each in svg.iter(f"{SVG}text") if "multiply-adds" in (each.text or ""))
    assert sums.text == (
        f"{small().parameter_count():,} parameters, {small().macs():,} multiply-adds, "
        "104.5 kB of activations an image"
    )
    assert width >= 2 * 28 + text_width(sums.text or "", 11) - 1
    group = next(svg.iter(f"{SVG}g"))
    x, y = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
    assert y == 108
    assert x == pytest.approx((width - page.width) / 2, abs=0.6)  # in the middle


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    def legend(network: Network, **how: int) -> list[str]:
        svg = root(network, **how)
        return [
            each.text or ""
            for each in svg.iter(f"{SVG}text")
            if each.attrib.get("font-size") == "10" and each.attrib.get("y") == "72"
        ]

    assert legend(small()) == ["convolution", "fully connected", "pooling", "normalisation",
                               "activation"]  # fmt: skip
    assert legend(zoo.network("googlenet"))[-2:] == ["dropout", "add, concatenate"]
    assert legend(zoo.network("resnet18"), depth=1)[-1] == "folded layers"
    marks = [
        (float(each.attrib["x"]), each.attrib["class"])
        for each in root(small()).iter(f"{SVG}rect")
        if each.attrib.get("y") == "63"
    ]
    assert [mark for _, mark in marks] == ["conv", "fc", "pool", "norm", "activation"]
    assert marks[0][0] == 28
    apart = [b - a for (a, _), (b, _) in zip(marks, marks[1:], strict=False)]
    assert apart[0] == pytest.approx(text_width("convolution", 10) + 34, abs=0.1)


def test_a_box_says_what_it_is_and_shows_what_is_attached() -> None:
    svg = root(small())
    titles = [each.text for each in svg.iter(f"{SVG}title")]
    assert titles[1] == "conv1: conv 5x5 10 pad 2, output 10x32x32"
    words: dict[str, list[str | None]] = {}
    for each in svg.iter(f"{SVG}text"):
        words.setdefault(each.attrib.get("class", ""), []).append(each.text)
    assert words["title"] == ["small"]
    assert words["what"] == ["input", "conv 5x5 10 pad 2", "max pool 2x2 /2", "fc 7"]
    assert words["name"] == ["x", "conv1 + norm + relu", "pool1 + flatten", "fc"]
    assert words["volume"] == ["3x32x32", "10x32x32", "2560", "7"]
    stripes = [each for each in svg.iter(f"{SVG}rect") if "s-" in each.attrib.get("class", "")]
    assert [each.attrib["class"] for each in stripes] == ["s-norm", "s-activation"]
    norm, active = (float(each.attrib["x"]) for each in stripes)
    box = next(each for each in svg.iter(f"{SVG}rect") if each.attrib.get("class") == "conv"
               and each.attrib.get("rx") == "5")  # fmt: skip
    right = float(box.attrib["x"]) + float(box.attrib["width"])
    assert (active - norm, right - active) == (
        pytest.approx(5, abs=0.11),
        pytest.approx(6, abs=0.11),
    )
    assert float(box.attrib["height"]) == HEIGHT


def test_a_box_is_as_wide_as_its_words() -> None:
    def wide(title: str, below: str, *stripes: str) -> float:
        box = Box("k", title, below, "conv", stripes, (), "", (), "", False)
        return box_width(box)

    assert wide("a", "b") == 70 + 16
    assert wide("a", "b", "norm", "activation") == 70 + 16 + 10
    long = "conv 3x3 512 pad 1"
    assert wide(long, "b") == round(1.1 * text_width(long, 11.5) + 16)
    assert wide("a", long * 2) == round(text_width(long * 2, 9.0) + 16)
    assert wide(long * 9, "b") == 260 + 16
    assert text_width("ll", 10) == pytest.approx(6.8) and text_width("mm", 10) == 12.8


def test_corners_are_round() -> None:
    assert _path([(0, 0), (0, 20)]) == "M0.0 0.0L0.0 20.0"
    assert _path([(0, 0), (0, 20), (30, 20)]) == "M0.0 0.0L0.0 14.0Q0.0 20.0 6.0 20.0L30.0 20.0"
    # no rounder than half of either side
    assert _path([(0, 0), (0, 8), (-30, 8)]) == "M0.0 0.0L0.0 4.0Q0.0 8.0 -4.0 8.0L-30.0 8.0"
    assert _path([(0, 0), (0, 40), (6, 40), (6, 80)]) == (
        "M0.0 0.0L0.0 37.0Q0.0 40.0 3.0 40.0L3.0 40.0Q6.0 40.0 6.0 43.0L6.0 80.0"
    )
    assert _path([(0, 0), (0, 0), (0, 9)]) == "M0.0 0.0L0.0 9.0"  # nothing to turn at


def test_every_line_has_a_head_where_it_ends() -> None:
    network = zoo.network("resnet18")
    svg, page = root(network), compose(graph(sheet(network)))
    heads = [each for each in svg.iter(f"{SVG}path") if each.attrib["class"] == "head"]
    lines = [each for each in svg.iter(f"{SVG}path") if each.attrib["class"] == "line"]
    ends = {line.points[-1] for line in page.lines}
    assert len(lines) == len(page.lines) and len(heads) == len(ends)
    x, y = page.lines[0].points[-1]
    assert heads[0].attrib["d"] == f"M{x:.1f} {y:.1f}l-3.4 -6.5h6.8z"


def test_what_only_training_needs_is_dashed_and_said() -> None:
    net = Sketch("heads", (1, 12, 12))
    body = net.conv("body", 4, 3)
    net.conv("aux.conv", 2, 3, of=body)
    net.conv("aux.other", 2, 3, of=body)
    head = net.add("aux.sum", "aux.conv", "aux.other")
    net.conv("main", 4, 3, of=body)
    svg = root(net.finish(Output(name="aux", source=head, train_only=True)))
    labels = [each.text for each in svg.iter(f"{SVG}text") if each.attrib.get("class") == "label"]
    assert labels == ["aux (training only)"]
    dashed = [each for each in svg.iter() if "stroke-dasharray" in each.attrib]
    boxes = [each for each in dashed if each.attrib.get("rx") == "5"]
    frames = [each for each in dashed if each.attrib["class"] == "frame"]
    lines = [each for each in dashed if each.attrib["class"] == "line"]
    assert (len(boxes), len(frames)) == (3, 1)
    assert len(lines) == 5  # into the frame, and the four of it


def test_frames_alike_are_drawn_once_with_how_many_they_are() -> None:
    svg = root(zoo.network("resnet50"))
    times = [each.text for each in svg.iter(f"{SVG}text") if each.attrib.get("class") == "times"]
    assert times == ["\u00d72", "\u00d73", "\u00d75", "\u00d72"]


def test_every_family_has_a_colour_on_light_and_on_dark_paper() -> None:
    style = next(root(small()).iter(f"{SVG}style")).text or ""
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    families = "input conv fc pool norm activation dropout join shape scope opaque".split()
    for family in families:
        fills = []
        for paper in (light, dark):
            found = re.search(
                rf"\.striate \.{family} {{fill:(#[\da-f]{{6}});stroke:(#[\da-f]{{6}})}}"
                rf"\.striate \.s-{family} {{fill:(#[\da-f]{{6}})}}",
                paper,
            )
            assert found is not None and found[2] == found[3], family
            fills.append(found[1])
        assert _light(fills[0]) > 0.8 > 0.35 > _light(fills[1]), family
    for name in ("paper", "title", "name", "what", "volume", "label", "times", "frame", "line"):
        assert f".striate .{name}{{" in light
    assert dark.count("{") == dark.count("}")


def _light(colour: str) -> float:
    return sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) / (3 * 255)
