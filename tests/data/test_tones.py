"""Colours against Pillow's enhancers, the policies' statistics, and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from striate.contract import Class, Contract
from striate.data import tone_kernels as kernels
from striate.data.augmentation import Augmentation, ColourJitter, luma
from striate.data.augmenter import Augmenter
from striate.data.tones import Lighting, Noise, RandAugment, TrivialAugment
from striate.randomness import stream

SIZE = (40, 50)
LUMA = np.array(luma("rgb"), np.float32)


def pixels(seed: int = 0) -> Any:
    chance = np.random.default_rng(seed)
    coarse = chance.integers(20, 236, (5, 6, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC))
    return (smooth + chance.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)


def toned(image: Any, kind: int, amount: float) -> Any:
    levels = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32)
    kernels.apply_tones(levels, np.array([[kind, amount]], np.float64), np.uint64(0), LUMA)
    return levels.transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("kind", "enhancer"),
    [
        (kernels.BRIGHTNESS, ImageEnhance.Brightness),
        (kernels.SATURATION, ImageEnhance.Color),
        (kernels.CONTRAST, ImageEnhance.Contrast),
        (kernels.SHARPNESS, ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 1.5, 1.9])
def test_enhancers_are_pillows_within_two_levels(kind: int, enhancer: Any, factor: float) -> None:
    image = pixels()
    theirs = np.asarray(enhancer(Image.fromarray(image)).enhance(factor)).astype(np.float32)
    assert np.abs(toned(image, kind, factor) - theirs).max() <= 2.0  # which rounds in between


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
def test_posterize_is_pillows(bits: int) -> None:
    image = pixels(1)
    theirs = np.asarray(ImageOps.posterize(Image.fromarray(image), bits))
    assert np.array_equal(toned(image, kernels.POSTERIZE, bits), theirs)


@pytest.mark.parametrize("threshold", [0.0, 100.0, 128.0, 255.0])
def test_solarize_is_pillows(threshold: float) -> None:
    image = pixels(2)
    theirs = np.asarray(ImageOps.solarize(Image.fromarray(image), int(threshold)))
    assert np.array_equal(toned(image, kernels.SOLARIZE, threshold), theirs)


def test_histogram_changes_are_pillows() -> None:
    image = pixels(3)
    equal = np.asarray(ImageOps.equalize(Image.fromarray(image)))
    assert np.array_equal(toned(image, kernels.EQUALIZE, 0.0), equal)
    spread = np.asarray(ImageOps.autocontrast(Image.fromarray(image))).astype(np.float32)
    assert np.abs(toned(image, kernels.AUTOCONTRAST, 0.0) - spread).max() <= 1.0
    flat = np.full_like(image, 77)
    for kind in (kernels.EQUALIZE, kernels.AUTOCONTRAST):
        assert np.array_equal(toned(flat, kind, 0.0), flat)


def augmented(changes: tuple[Augmentation, ...], image: Any, keys: int = 8) -> Any:
    contract = Contract(
        classes=(Class(id="a", label="a"),),
        channels="rgb",
        size=SIZE,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        scale=1.0,
    )
    augmenter = Augmenter(changes, contract)
    out = np.empty((keys, 3, *SIZE), np.float32)
    draws = augmenter.draw(stream(0, np.arange(keys)))
    augmenter.apply_all(draws, image[None], np.zeros(keys, np.int64), out)
    return out.transpose(0, 2, 3, 1)


def test_noise_has_the_moments_of_a_normal() -> None:
    image = np.full((*SIZE, 3), 128, np.uint8)
    noise = augmented((Noise(std=20.0),), image, 200) - 128.0
    std = noise.std(axis=(1, 2, 3))
    drawn = Noise(std=20.0).tones(stream(0, np.arange(200)).fold(0))[:, 0, 1]
    assert np.allclose(std, drawn, rtol=0.05)
    assert abs(noise.mean()) < 0.05
    unit = noise / std[:, None, None, None]
    assert abs((unit**3).mean()) < 0.02
    assert abs((unit**4).mean() - 2.7) < 0.05  # 3 for a normal
    assert not np.array_equal(unit[0], unit[1])
    assert abs(np.corrcoef(unit[0].ravel()[:-1], unit[0].ravel()[1:])[0, 1]) < 0.05


def test_lighting_adds_one_colour_to_an_image() -> None:
    parts = ((0.1, 0.1, 0.1), (0.05, 0.0, -0.05))
    image = np.full((*SIZE, 3), 128, np.uint8)
    shift = augmented((Lighting(std=0.5, components=parts),), image, 400) - 128.0
    assert np.abs(shift - shift[:, :1, :1]).max() < 1e-4
    covariance = np.cov(shift[:, 0, 0].T) / (255 * 0.5) ** 2
    assert np.allclose(covariance, np.array(parts).T @ np.array(parts), atol=2e-3)
    assert np.array_equal(augmented((Lighting(),), image, 2), np.full((2, *SIZE, 3), 128.0))


def test_lighting_comes_on_top_of_jitter() -> None:
    image = pixels(4)
    jitter = ColourJitter(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.05)
    lit = Lighting(std=0.1, components=((0.1, 0.05, 0.02),))
    alone, both = augmented((jitter,), image), augmented((jitter, lit), image)
    inside = ((alone > 0) & (alone < 255) & (both > 0) & (both < 255)).all(axis=-1)
    moved = both - alone
    for row in range(len(both)):
        assert np.ptp(moved[row][inside[row]], axis=0).max() < 1e-3


@pytest.mark.parametrize("policy", [RandAugment(count=1, magnitude=15), TrivialAugment()])
def test_policies_draw_all_changes_equally(policy: Any) -> None:
    which, strength = policy.drawn(stream(0, np.arange(6000)))
    counts = np.bincount(which.ravel(), minlength=14)
    assert len(counts) == 14
    expected = which.size / 14
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert np.abs(strength).max() <= 1.0 and abs(strength.mean()) < 0.03
    tones = policy.tones(stream(0, np.arange(6000)))
    maps = policy.maps(stream(0, np.arange(6000)), SIZE)
    still = np.array([np.array_equal(each, np.eye(2, 3)) for each in maps])
    moving = ((which >= 1) & (which <= 5) & (strength != 0)).any(axis=1)
    assert np.array_equal(~still, moving)
    assert set(np.unique(tones[..., 0])) == {0, *range(1, 9)}


def test_a_policys_tones_are_what_torchvision_has_at_this_magnitude() -> None:
    policy = RandAugment(count=1, magnitude=15)
    which, strength = policy.drawn(stream(0, np.arange(3000)))
    tones = policy.tones(stream(0, np.arange(3000)))[:, 0]
    sign = np.sign(strength[:, 0])
    for place, kind in enumerate((1, 2, 3, 4)):
        rows = which[:, 0] == 6 + place
        assert (tones[rows, 0] == kind).all()
        assert np.allclose(tones[rows, 1], 1 + sign[rows] * 0.45)
    assert (tones[which[:, 0] == 10] == [kernels.POSTERIZE, 6.0]).all()
    assert (tones[which[:, 0] == 11] == [kernels.SOLARIZE, 127.5]).all()


def test_policies_change_images_and_nothing_leaves_the_range() -> None:
    image = pixels(5)
    for policy in (RandAugment(), TrivialAugment()):
        out = augmented((policy,), image, 40)
        assert out.min() >= 0 and out.max() <= 255
        different = (np.abs(out - image) > 1).any(axis=(1, 2, 3))
        assert 0.5 < different.mean() <= 1.0
