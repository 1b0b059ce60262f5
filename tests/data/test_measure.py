"""Mean and standard deviation against numpy, over the pixels that the network will see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from striate import data
from striate.contract import Class, Contract, Resize
from striate.data.prepare import fit


def contract(
    size: tuple[int, int], channels: Literal["rgb", "bgr", "grey"] = "rgb", **changes: Any
) -> Contract:
    count = 1 if channels == "grey" else 3
    classes = (Class(id="a", label="a"),)
    return Contract(
        classes=classes,
        channels=channels,
        size=size,
        mean=(0.0,) * count,
        std=(1.0,) * count,
        **changes,
    )


def arrays(count: int = 50, channels: int = 3) -> data.ArraySamples:
    rng = np.random.default_rng(0)
    images = (rng.random((count, 9, 7, channels)) ** 2 * 255).astype(np.uint8)
    images[..., 0] //= 2
    return data.ArraySamples(images, np.zeros(count), [str(n) for n in range(count)])


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_arrays(channels: Literal["rgb", "bgr"]) -> None:
    samples = arrays()
    mean, std = data.measure(samples, contract((9, 7), channels))
    images = samples.images[..., ::-1] if channels == "bgr" else samples.images
    assert np.allclose(mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    assert np.allclose(std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)


def test_the_order_changes_nothing() -> None:
    samples, to = arrays(), contract((9, 7))
    order = np.random.default_rng(1).permutation(len(samples))
    assert data.measure(samples.subset(order), to) == data.measure(samples, to)


def test_colour_measured_as_grey() -> None:
    samples, to = arrays(), contract((9, 7), "grey")
    grey = np.stack([samples.pixels(index, to) for index in range(len(samples))])
    assert data.measure(samples, to)[0] == pytest.approx((grey.mean() / 255,))


def test_what_is_resized_is_measured_resized() -> None:
    samples = arrays()
    to = contract((5, 5), resize=Resize(rule="short_side", size=(6, 6)), crop="centre")
    seen = np.stack([fit(samples.pixels(index, to), to) for index in range(len(samples))])
    mean, std = data.measure(samples, to)
    assert np.allclose(mean, seen.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    assert np.allclose(std, seen.std(axis=(0, 1, 2)) / 255, rtol=1e-12)


def test_files(make_folder: Callable[..., Path]) -> None:
    samples = data.open(str(make_folder(cat=5, dog=4))).parts["all"]
    to = contract((12, 10))
    images = np.stack([samples.pixels(index, to) for index in range(9)])
    mean, std = data.measure(samples, to)
    assert np.allclose(mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    assert np.allclose(std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)


def test_a_constant_channel_can_be_divided_by() -> None:
    images = np.full((4, 3, 3, 1), 51, np.uint8)
    samples = data.ArraySamples(images, np.zeros(4), list("abcd"))
    assert data.measure(samples, contract((3, 3), "grey")) == ((pytest.approx(0.2),), (1.0,))


def test_mnist_has_its_known_figures(mnist: Path) -> None:
    training = data.open(str(mnist)).parts["train"]
    mean, std = data.measure(training, contract((28, 28), "grey"))
    assert (round(mean[0], 4), round(std[0], 4)) == (0.1307, 0.3081)


def test_the_photographs(grocery: Path) -> None:
    training = data.open(str(grocery)).parts["train"]
    to = contract((64, 64), resize=Resize(rule="short_side", size=(73, 73)), crop="centre")
    first, again = data.measure(training, to), data.measure(training, to)
    assert first == again and all(0.2 < value < 0.7 for value in first[0])


def test_principal_colours_are_the_covariances_square_root() -> None:
    chance = np.random.default_rng(0)
    drawn = chance.normal(size=(40, 9, 11, 3)) @ np.array([[30.0, 20, 10], [0, 12, -9], [0, 0, 4]])
    images = (128 + drawn).clip(0, 255).astype(np.uint8)
    samples = data.ArraySamples(images, [0] * 40, [str(k) for k in range(40)])
    parts = np.array(data.principal_colours(samples, contract((9, 11))))
    covariance = np.cov(images.reshape(-1, 3).T / 255, bias=True)
    assert np.allclose(parts.T @ parts, covariance, atol=1e-9)
    assert np.allclose(parts @ parts.T, np.diag(np.linalg.eigvalsh(covariance)[::-1]), atol=1e-9)
    assert (parts.sum(axis=1) >= 0).all()
    turned = np.array(data.principal_colours(samples, contract((9, 11), "bgr")))
    assert np.allclose(turned, parts[:, ::-1], atol=1e-9)
