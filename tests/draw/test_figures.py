"""Figures: round ticks, every class count, well-formed SVG, PNGs of the size asked for."""

from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import SVGFormatter
from PIL import Image

from striate import draw
from striate.draw.axes import Panel, linear_axis, logarithmic_axis
from striate.draw.charts import Chart, charts
from striate.draw.figure import Figure, _lettering, text_width
from striate.draw.learning_curve import _accuracy_range
from striate.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"


def history(epochs: int, steps: int = 20) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            loss = 2.3 * math.exp(-step / 40) + 0.01
            lines.append({"kind": "step", "step": step, "epoch": epoch - 1, "loss": loss})
        lines.append(
            {
                "kind": "validation",
                "step": epoch * steps,
                "epoch": epoch,
                "loss": 2.4 * math.exp(-epoch / 2) + 0.05,
                "accuracy": 1 - 0.9 * math.exp(-epoch / 2),
            }
        )
    return lines


def texts(figure: draw.Figure) -> list[str]:
    root = ElementTree.fromstring(figure.svg())
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def count(figure: draw.Figure, tag: str) -> int:
    return len(list(ElementTree.fromstring(figure.svg()).iter(SVG + tag)))


# -- axes


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_cover_the_range_and_are_few(low: float, span: float, wanted: int) -> None:
    axis = linear_axis(low, low + span, wanted)
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low <= low + slack and axis.high >= low + span - slack
    assert 2 <= len(axis.ticks) <= wanted + 2
    step = (axis.high - axis.low) / (len(axis.ticks) - 1)
    assert f"{step:.3e}"[0] in "1259" and axis.place(axis.low) == 0 and axis.place(axis.high) == 1


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("training", "_a", "_b"), ["training", "others", "usual, 1e-3"]),
        (("training", "_of each step"), ["training", "of each step", "usual, 1e-3"]),
        (
            ("stage1.chain.0.conv", "stage2.chain.0.conv", "stage3.conv", "classifier", "_a", "_b"),
            ["stage1.chain.0.conv", "stage2.chain.0.conv", "stage3.conv", "classifier", "others"]
            + ["usual, 1e-3"],
        ),
        (
            tuple(f"features.stage{k}.block.convolution" for k in range(4)),
            ["features.stage0.block.convolution", "features.stage1.block.convolution", "others"]
            + ["usual, 1e-3"],
        ),
    ],
)
def test_every_line_of_a_chart_is_named_or_grey(names: tuple[str, ...], shown: list[str]) -> None:
    """Also where the names need two rows, or do not go into them."""
    axis = linear_axis(0, 1, 2)
    series = {name: [(0.0, k / 9), (1.0, k / 9)] for k, name in enumerate(names)}
    drawn = charts([Chart("", "", axis, axis, series, {"usual, 1e-3": 0.95})], title="").svg()
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert [each for each in texts if each in {*shown, *names}] == shown
    lines, legend = (
        set(re.findall(rf'stroke="(#\w+)" stroke-width="{width}"', drawn))
        for width in ("1.75", "2")
    )
    assert lines == legend


def test_an_axis_of_a_single_value_is_still_an_axis() -> None:
    for value in (0.0, 0.5, -3.0):
        axis = linear_axis(value, value)
        assert axis.low <= value <= axis.high and axis.low < axis.high


@given(st.floats(1e-6, 1e3), st.floats(25, 1e6))
def test_logarithmic_ticks_lie_inside(low: float, ratio: float) -> None:
    axis = logarithmic_axis(low, low * ratio)
    assert axis.low < low and axis.high > low * ratio
    assert len(axis.ticks) >= 2
    assert all(0 <= axis.place(tick) <= 1 for tick in axis.ticks)


# -- learning curve


def test_a_learning_curve_says_what_was_best() -> None:
    written = texts(draw.learning_curve(history(12), "lenet on digits"))
    assert {"lenet on digits", "Loss", "training", "validation", "epochs"} <= set(written)
    assert "chosen: 99.78% after 12 epochs" in written


def test_the_chosen_weights_need_not_be_the_most_accurate() -> None:
    lines = history(12)
    lines[20]["best"] = lines[20 * 4 + 3]["best"] = True  # epochs 1 and 4
    assert "chosen: 87.82% after 4 epochs" in texts(draw.learning_curve(lines))


def ring(figure: draw.Figure) -> tuple[float, float]:
    """Return where the ring around what was chosen stands."""
    circles = ElementTree.fromstring(figure.svg()).iter(f"{SVG}circle")
    (found,) = [each for each in circles if float(each.attrib["r"]) == 4.5]
    return float(found.attrib["cx"]), float(found.attrib["cy"])


@pytest.mark.parametrize(
    ("chosen_by", "said"),
    [("accuracy", "chosen: 87.82% after 4 epochs"), ("loss", "chosen: 0.3748 after 4 epochs")],
)
def test_the_ring_stands_on_the_panel_of_what_chose(
    chosen_by: Literal["accuracy", "loss"], said: str
) -> None:
    lines = history(12)
    lines[20 * 4 + 3]["best"] = True  # epoch 4
    figure = draw.learning_curve(lines, "", chosen_by)
    assert said in texts(figure) and sum(each.startswith("chosen") for each in texts(figure)) == 1
    assert (ring(figure)[0] > 470) == (chosen_by == "accuracy")


def test_under_attack_the_ring_says_so() -> None:
    lines = history(12)
    lines[20 * 4 + 3] |= {"best": True, "robust": 0.4}
    said = texts(draw.learning_curve(lines, "", "loss"))
    assert "chosen: 87.82%, by accuracy under attack after 4 epochs" in said


def test_every_accuracy_lies_in_its_panel() -> None:
    lines = history(30)
    lines[20]["accuracy"] = 0.05  # of the first of 30 epochs
    circles = ElementTree.fromstring(draw.learning_curve(lines).svg()).iter(f"{SVG}circle")
    places = [
        float(each.attrib["cy"])
        for each in circles
        if float(each.attrib["cx"]) > 470 and float(each.attrib["r"]) == 2.5
    ]
    assert len(places) == 30 and all(78 <= each <= 284 for each in places)


@pytest.mark.parametrize(
    ("accuracies", "least", "most"),
    [
        ([0.098, 0.106, 0.101, 0.103], 0.0, 0.15),  # guessing: no trend is made of it
        ([0.612, 0.604, 0.618], 0.4, 0.7),
        ([0.97, 0.9941, 0.9943, 0.9946, 0.9944] + [0.9945] * 7, 0.97, 1.0),
        ([0.0, 0.0], 0.0, 1.0),
        ([1.0], 0.98, 1.0),
    ],
)
def test_the_axis_of_accuracy_is_as_wide_as_the_errors_ask(
    accuracies: list[float], least: float, most: float
) -> None:
    points = [(float(k), each) for k, each in enumerate(accuracies, 1)]
    axis = linear_axis(*_accuracy_range(points))
    assert least - 1e-9 <= axis.low < axis.high <= most + 1e-9
    assert all(axis.low <= each <= axis.high for each in accuracies)


@pytest.mark.parametrize("epochs", [0, 1, 2, 80])
def test_a_history_of_any_length_can_be_drawn(epochs: int) -> None:
    figure = draw.learning_curve(history(epochs))
    picture = figure.raster()
    assert picture.size == (2 * figure.width, 2 * figure.height)
    assert ("no validation yet" in texts(figure)) == (epochs == 0)


def test_an_interrupted_first_epoch_is_drawn_in_steps() -> None:
    assert "steps" in texts(draw.learning_curve(history(1)[:7]))


def test_lines_it_does_not_know_and_lost_numbers_are_passed_over() -> None:
    odd = [
        {"kind": "event", "event": "started", "step": 0},
        {"kind": "step", "step": 3, "loss": None},
        {"kind": "probe", "step": 3, "value": 1.0},
        {"kind": "validation", "step": 20, "epoch": 1, "loss": None, "accuracy": 0.5},
    ]
    assert draw.learning_curve([*odd, *history(2)]).raster()


def test_a_long_history_stays_a_small_picture() -> None:
    assert len(draw.learning_curve(history(100, steps=200)).svg()) < 60_000


# -- confusion


@pytest.mark.parametrize("classes", [1, 2, 10, 24, 60, 100, 300])
def test_a_matrix_of_any_size_is_drawn(classes: int) -> None:
    matrix = np.eye(classes, dtype=int) * 50
    matrix[0, -1] += 3
    figure = draw.confusion(matrix, [f"class {index}" for index in range(classes)])
    assert max(figure.raster().size) <= 2600
    named = [text for text in texts(figure) if text.startswith("class ")]
    assert len(named) == (2 * classes if classes <= 128 else 0)
    assert ("50" in texts(figure)) == (1 < classes <= 36)
    assert count(figure, "rect") == 2 + np.count_nonzero(matrix)  # paper, ground, cells


def test_a_matrix_must_fit_its_names() -> None:
    with pytest.raises(ValueError, match=r"2 x 2 counts for 2 names, received \(3, 3\)"):
        draw.confusion(np.eye(3), ["a", "b"])


def test_a_class_without_images_is_an_empty_row() -> None:
    assert draw.confusion([[0, 0], [1, 5]], ["a", "b"]).raster()


# -- grid


def test_a_grid_places_every_image_whatever_its_size() -> None:
    source = np.random.default_rng(0)
    images = [
        source.integers(0, 256, shape, dtype=np.uint8)
        for shape in [(8, 8), (28, 28, 1), (60, 80, 3), (300, 200, 3), (1, 9, 3)]
    ]
    figure = draw.grid(images, [f"{index}\nfile.png" for index in range(5)], title="Five")
    embedded = ElementTree.fromstring(figure.svg()).findall(f"{SVG}image")
    assert len(embedded) == 5
    first = base64.b64decode(embedded[0].attrib["href"].split(",")[1])
    assert (np.asarray(Image.open(io.BytesIO(first))) == images[0]).all()
    assert {"Five", "0", "4", "file.png"} <= set(texts(figure))
    assert figure.raster().size == (round(2 * figure.width), round(2 * figure.height))


def test_a_small_image_keeps_its_pixels() -> None:
    checks = np.array([[0, 255], [255, 0]], np.uint8)
    picture = np.asarray(draw.grid([checks], tile=100).raster().convert("L"))
    tile = picture[48:248, 48:248]
    assert (tile == np.kron(checks, np.ones((100, 100), np.uint8))).mean() > 0.999


def test_a_grid_of_nothing_is_an_empty_picture() -> None:
    assert draw.grid([], [], title="No mistakes").raster()


def test_a_long_caption_is_cut() -> None:
    figure = draw.grid([np.zeros((8, 8), np.uint8)], ["w" * 100])
    assert any(text.endswith("w...") and len(text) < 30 for text in texts(figure))


# -- figures


def test_it_is_saved_by_its_ending(tmp_path: Path) -> None:
    figure = draw.learning_curve(history(3))
    figure.save(tmp_path / "a.png")
    figure.save(tmp_path / "a.svg")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1640, 680)
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == figure.svg()
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        figure.save(tmp_path / "a.jpg")


def test_any_text_can_be_written() -> None:
    figure = draw.Figure(300, 60)
    for text in ("a < b & c", 'quo"te', "tab\there", "\x00\x1b[31m", "Straße 中文", ""):
        figure.text((5, 20), text)
    assert texts(figure)[:3] == ["a < b & c", 'quo"te', "tabhere"]
    assert figure.raster().size == (600, 120)


def test_without_a_system_font_accents_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.draw.figure._system_font", lambda size: None)
    assert _lettering("Ångström 中", 20)[0] == "Angstrom ?"


def test_what_is_drawn_is_where_it_was_put() -> None:
    figure = draw.Figure(100, 50)
    figure.rectangle(10, 20, 30, 10, "#ff0000")
    pixels = np.asarray(figure.raster())
    assert (pixels[40:60, 20:80] == (255, 0, 0)).all()
    assert (pixels == (255, 0, 0)).all(axis=-1).sum() == 20 * 60


def test_a_notebook_shows_a_figure_that_a_cell_ends_in() -> None:
    figure = draw.learning_curve(history(3))
    assert SVGFormatter()(figure) == figure.svg()


@pytest.mark.parametrize("high", [1e-2, 1.0, 1e8, 1e30])
def test_labels_of_an_axis_leave_room_between_them(high: float) -> None:
    figure = Figure(300, 200)
    Panel(figure, (20, 20, 120, 100), logarithmic_axis(1e-5, high), linear_axis(0, 1)).frame("", "")
    labels = re.findall(r'<text x="([^"]+)" y="137.00"[^>]*>([^<]+)</text>', figure.svg())
    named = [(float(x), text_width(label, 10) / 2) for x, label in labels]
    assert len(named) >= 2
    assert all(b - a > half + other for (a, half), (b, other) in pairwise(named))
    assert len(logarithmic_axis(1e-5, high).ticks) <= 9
