"""What the parts of a data set say of one another: planted faults are told, luck is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.planted import finding
from hypothesis import given
from hypothesis import strategies as st

from striate import data
from striate.data.health import examine
from striate.data.health.alike import Looks, differences
from striate.data.health.parts import levels_used, validation_tells

CIFAR = Path(os.environ.get("STRIATE_DATA", "")) / "cifar10"
Pixels = npt.NDArray[np.uint8]
Parts = dict[str, tuple[Pixels, npt.NDArray[np.int64]]]


@pytest.fixture(scope="module")
def digits() -> Parts:
    """The digits in three parts, in 28 x 28 pixels."""
    return _parts(data.open("digits").parts["all"], 28)


def _parts(samples: data.Samples, side: int) -> Parts:
    order = np.random.default_rng(0).permutation(len(samples))[:1700]
    pixels = np.stack([samples.stored(int(k)) for k in order])
    repeat = max(side // pixels.shape[1], 1)
    pixels = pixels.repeat(repeat, 1).repeat(repeat, 2)
    labels = samples.labels[order]
    cuts = {"train": slice(0, 1000), "val": slice(1000, 1300), "test": slice(1300, None)}
    return {part: (pixels[cut], labels[cut]) for part, cut in cuts.items()}


def saved(parts: Parts, path: Path) -> Path:
    arrays = {}
    for part, (pixels, labels) in parts.items():
        arrays |= {f"{part}_images": pixels, f"{part}_labels": labels}
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def changed(parts: Parts, change: Callable[[Pixels], Pixels], *which: str) -> Parts:
    return {
        part: (change(pixels) if part in which else pixels, labels)
        for part, (pixels, labels) in parts.items()
    }


def _noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 60, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def _smooth(pixels: Pixels) -> Pixels:
    around = [np.roll(pixels.astype(int), step, axis) for axis in (1, 2) for step in (-2, -1, 1, 2)]
    return np.mean([pixels, *around], axis=0).astype(np.uint8)


def _wrapped(pixels: Pixels) -> Pixels:
    shift = np.random.default_rng(0).integers(0, 256, (len(pixels), 1, 1, 1))
    return (pixels + shift).astype(np.uint8)


PLANTED: dict[str, tuple[Callable[[Pixels], Pixels], str, str]] = {
    "dark": (lambda each: each // 6, "darker|poorer", "fail"),
    "inverted": (lambda each: 255 - each, "brighter", "fail"),
    "noisy": (_noisy, "sharper or noisier|brighter", "fail"),
    "smooth": (_smooth, "smoother|poorer", "fail"),
    "wrapped": (_wrapped, "brighter|sharper", "fail"),
    "shifted": (lambda each: np.roll(each, (6, 6), (1, 2)), "bright further", "warn"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_parts_prepared_otherwise_are_told(digits: Parts, tmp_path: Path, fault: str) -> None:
    change, said, verdict = PLANTED[fault]
    spoilt = changed(digits, change, "val", "test")
    found = finding(examine(data.open(saved(spoilt, tmp_path))), "parts_alike")
    assert found.verdict == verdict, found.meaning
    assert any(word in found.meaning for word in said.split("|")), found.meaning
    assert "validation images are" in found.meaning and "test images are" in found.meaning


def test_a_training_part_of_thumbnails_is_told(digits: Parts, tmp_path: Path) -> None:
    spoilt = changed(digits, _smooth, "train")
    found = finding(examine(data.open(saved(spoilt, tmp_path))), "parts_alike")
    assert found.verdict == "fail" and "class in" in found.meaning


def test_parts_that_are_alike_pass(digits: Parts, tmp_path: Path) -> None:
    health = examine(data.open(saved(digits, tmp_path)))
    for check in ("parts_alike", "validation_tells", "levels_used"):
        assert finding(health, check).verdict == "pass"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="needs CIFAR-10 in STRIATE_DATA")
def test_channels_in_reverse_order_are_told_as_such(tmp_path: Path) -> None:
    parts = _parts(data.open("cifar10", named=True).parts["train"], 32)
    sound = examine(data.open(saved(parts, tmp_path)))
    assert finding(sound, "parts_alike").verdict == "pass"
    spoilt = changed(parts, lambda each: each[..., ::-1], "val", "test")
    found = finding(examine(data.open(saved(spoilt, tmp_path))), "parts_alike")
    assert found.verdict == "fail" and "in reverse order" in found.meaning
    spoilt = changed(parts, lambda each: each * np.array([0, 1, 1], np.uint8), "train")
    found = finding(examine(data.open(saved(spoilt, tmp_path))), "parts_alike")
    assert found.verdict == "fail" and "channel red" in found.meaning


@given(st.integers(0, 10_000), st.integers(3, 200), st.booleans())
def test_luck_and_proportions_of_classes_accuse_nobody(seed: int, count: int, uneven: bool) -> None:
    chance = np.random.default_rng(seed)

    def drawn(number: int, shares: npt.NDArray[np.float64]) -> Looks:
        labels = chance.choice(4, number, p=shares)
        light = chance.standard_cauchy((number, 1, 1, 1)) / 8 + labels[:, None, None, None]
        pictures = light + chance.normal(size=(number, 1, 6, 6))
        return Looks.at(pictures.astype(np.float32), labels)

    even = np.full(4, 0.25)
    assert not differences(
        drawn(400, even), drawn(count, chance.dirichlet(even) if uneven else even)
    )


def test_labels_that_are_wrong_are_not_taken_for_pixels_that_are(digits: Parts) -> None:
    (pixels, labels), (others, known) = digits["train"], digits["val"]

    def looks(images: Pixels, classes: npt.NDArray[np.int64]) -> Looks:
        return Looks.at(images.transpose(0, 3, 1, 2).astype(np.float32) / 255, classes)

    assert not differences(looks(pixels, labels), looks(others, (known + 1) % 10))
    assert not differences(looks(pixels, labels), looks(others, np.full_like(known, 11)))


def test_a_validation_part_of_few_images_or_classes_is_told() -> None:
    classes = data.open("digits").classes
    trained = np.arange(1000) % 10
    assert validation_tells(trained, trained[:25], classes).verdict == "pass"
    few = validation_tells(trained, trained[:8], classes)
    assert few.verdict == "warn" and "8 images" in few.meaning and "up to 18%" in few.meaning
    two = validation_tells(trained, trained[:80] % 2, classes)
    assert two.verdict == "fail" and "2 of 10 trained classes" in two.meaning
    nine = validation_tells(trained, trained[:80] % 9, classes)
    assert nine.verdict == "warn" and nine.meaning.endswith("nothing is known of 9")


@pytest.mark.parametrize(
    ("scale", "verdict"), [(1 / 255, "warn"), (12 / 255, "warn"), (30 / 255, "pass"), (1, "pass")]
)
def test_pixels_of_few_levels_are_told(digits: Parts, scale: float, verdict: str) -> None:
    pixels, labels = digits["train"]
    samples = data.ArraySamples(
        (pixels * scale).astype(np.uint8), labels, [str(k) for k in range(len(labels))]
    )
    found = levels_used(samples)
    assert found.verdict == verdict
    assert ("cast to whole numbers" in found.meaning) == (scale == 1 / 255)


def test_many_noisy_copies_of_few_images_are_found(digits: Parts, tmp_path: Path) -> None:
    """Of 30 images with 30 copies each, the nearest 16 of each are copies alone."""
    chance = np.random.default_rng(0)
    pixels, labels = digits["train"]
    which = np.repeat(np.arange(30), 30)
    noise = chance.integers(-6, 7, (len(which), *pixels.shape[1:]))
    copies = np.clip(pixels[which] + noise, 0, 255).astype(np.uint8)
    apart = {"train": (copies, labels[which]), "val": digits["val"], "test": digits["test"]}
    found = finding(examine(data.open(saved(apart, tmp_path))), "near_duplicates")
    assert len([each for each in found.items if len(each) >= 20]) >= 28
    assert found.count < 1.05 * len(which)


def test_a_few_leaks_are_named_and_many_fail(digits: Parts, tmp_path: Path) -> None:
    for count, verdict in ((3, "warn"), (30, "fail")):
        (pixels, labels), (others, known) = digits["train"], digits["val"]
        pixels, labels = pixels.copy(), labels.copy()
        pixels[:count], labels[:count] = others[:count], known[:count]
        health = examine(data.open(saved({**digits, "train": (pixels, labels)}, tmp_path)))
        found = finding(health, "leaks_across_parts")
        assert found.verdict == verdict and len(found.items) == len(health.leaked) == count
