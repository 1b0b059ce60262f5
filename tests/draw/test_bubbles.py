"""Bubbles: areas in proportion, labels beside each other and inside the figure."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from math import hypot

from striate.draw.bubbles import Bubble, bubbles
from striate.draw.figure import text_width

SVG = "{http://www.w3.org/2000/svg}"


def drawn(points: list[Bubble]) -> ElementTree.Element:
    figure = bubbles([("accuracy", points)], "work", "parameters", "{:.0f}".format)
    return ElementTree.fromstring(figure.svg())


def test_areas_are_in_proportion() -> None:
    root = drawn([Bubble("a", 1e8, 70, 4e6, "x"), Bubble("b", 2e9, 75, 1e6, "y")])
    radii = sorted(float(each.get("r", "0")) for each in root.iter(f"{SVG}circle"))
    assert 30.0 in radii and 15.0 in radii


def test_labels_of_a_crowd_do_not_meet() -> None:
    crowd = [Bubble(f"network{i}", 1e9 * (1 + i / 40), 70 + i / 30, 1e7, "n") for i in range(12)]
    crowd.append(Bubble("far", 1e10, 80, 1e8, "f"))
    names = {each.label for each in crowd}
    boxes = []
    for each in drawn(crowd).iter(f"{SVG}text"):
        if each.text in names:
            x, y = float(each.get("x", "0")), float(each.get("y", "0"))
            boxes.append((x, y - 8, x + text_width(each.text, 10), y + 1))
    assert len(boxes) == 13
    for index, (a, b, c, d) in enumerate(boxes):
        for e, f, g, h in boxes[index + 1 :]:
            across, down = min(c, g) - max(a, e), min(d, h) - max(b, f)
            assert across <= 0 or down <= 0 or hypot(across, down) < 3
