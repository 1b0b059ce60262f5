"""Maps over images, lines, matrices, images in the plane."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import draw
from striate.draw.scatter import HUES


def test_colours_are_ordered() -> None:
    ramp = np.linspace(0, 1, 32)[None]
    heat = draw.colours(ramp).astype(int).sum(2)[0]
    assert (np.diff(heat) >= 0).all() and heat[0] < 120 and heat[-1] > 600
    both = draw.colours(np.array([[-1.0, 0.0, 1.0]]), signed=True)[0].astype(int)
    assert both[0][2] > both[0][0] and both[2][0] > both[2][2]  # blue against, red for
    assert both[1].min() > 240
    assert draw.colours(np.zeros((3, 4))).shape == (3, 4, 3)


def test_one_pixel_does_not_darken_the_rest() -> None:
    values = np.full((40, 40), 0.5)
    values[0, 0] = 50.0
    shown = draw.colours(values)
    assert shown[20, 20].sum() > draw.colours(np.zeros((1, 1)))[0, 0].sum()


def test_an_overlay_keeps_the_image_and_a_greyed_one_has_no_colour() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    values = np.zeros((8, 8))
    values[2, 2] = 1.0
    shown = draw.overlay(image, values, signed=True)
    assert shown.shape == (8, 8, 3) and shown.dtype == np.uint8
    assert shown[6, 6].sum() > shown[6, 1].sum()
    assert shown[2, 2, 0] > shown[2, 2, 2]
    grey = draw.overlay(image[..., :1], values, signed=True, greyed=True)
    assert (grey == grey[..., :1]).all() and grey.min() > 140


def test_signed_pictures_are_grey_at_zero() -> None:
    values = np.zeros((3, 20, 20))
    values[0, 5, 5], values[2, 6, 6] = 1, -1
    shown = draw.signed_picture(values)
    assert shown.shape == (20, 20, 3) and shown[0, 0].tolist() == [128, 128, 128]
    assert shown[5, 5, 0] > 250 and shown[6, 6, 2] < 5


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_figures_are_written(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    figures = {
        "lines": draw.lines(
            {"FGSM": [(0, 1), (0.1, 0.4)], "PGD": [(0, 1), (0.1, 0.0)]}, title="A", below="eps"
        ),
        "matrix": draw.matrix(np.eye(3), ["a", "b", "c"], ["x", "y", "z"], title="B", note="n"),
        "large": draw.matrix(random.uniform(size=(30, 30)), ["a"] * 30, ["b"] * 30, title="C"),
        "scatter": draw.scatter(
            [random.integers(0, 256, (6, 5, 1)).astype(np.uint8)] * 4,
            random.normal(size=(4, 2)),
            [0, 1, 1, 1],
            ["one", "two <2>"],
            title="D",
        ),
    }
    for name, figure in figures.items():
        figure.save(tmp_path / f"{name}{suffix}")
        if suffix == ".png":
            with Image.open(tmp_path / f"{name}.png") as picture:
                assert np.asarray(picture.convert("L")).std() > 1
        else:
            text = (tmp_path / f"{name}.svg").read_text()
            assert text.startswith("<svg") and "<2>" not in text and "nan" not in text


def _lab(colour: str) -> np.ndarray:
    """Return a colour in CIELAB under daylight (D65)."""
    levels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ linear / (0.9505, 1, 1.089), 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_of_classes_are_told_apart() -> None:
    places = [_lab(each) for each in (*HUES, "#ffffff")]
    assert len(HUES) == 20
    assert min(np.linalg.norm(one - other) for one, other in combinations(places, 2)) > 20


@pytest.mark.parametrize("count", [12, 20, 45])
def test_no_two_classes_look_alike_in_the_plane(count: int) -> None:
    random = np.random.default_rng(0)
    names = [f"class{number}." for number in range(count)]
    figure = draw.scatter(
        [random.integers(0, 256, (6, 6, 3)).astype(np.uint8)] * count,
        random.normal(size=(count, 2)),
        list(range(count)),
        names,
        title="D",
    )
    text = figure.svg()
    legend = re.findall(
        r'height="10.00" fill="(#\w+)"/>\n<text [^>]*>(?:(\d+) )?(class\d+\.)<', text
    )
    assert [name for *_, name in legend] == names
    assert len({(colour, number) for colour, number, _ in legend}) == count
    numbers = re.findall(r'font-size="7"[^>]*>(\d+)<', text)
    assert numbers == ([str(each) for each in range(count)] if count > len(HUES) else [])
