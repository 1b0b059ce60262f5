"""Maps over images, lines, matrices, images in the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import draw


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
            [0, 1, 1, 12],
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
