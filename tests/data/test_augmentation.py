"""What is drawn for each sample: within its bounds, from its own stream, and true to its record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.data.augmentation import (
    Affine,
    Augmentation,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    PadAndCrop,
    RandomResizedCrop,
    luma,
)
from striate.errors import RecordError
from striate.randomness import stream
from striate.records import decode, from_json, kinds, to_builtins, to_json

MANY = 4000
SIZE = (24, 32)
DRAWN = {
    "flip": lambda it, of: it.maps(of, SIZE),
    "pad_and_crop": lambda it, of: it.maps(of, SIZE),
    "affine": lambda it, of: it.replace(
        rotate_degrees=30.0, translate=0.1, scale=(0.5, 2.0), shear=0.2
    ).maps(of, SIZE),
    "random_resized_crop": lambda it, of: it.boxes(of),
    "colour_jitter": lambda it, of: it.replace(
        brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1
    ).colours(of, "rgb"),
    "erase": lambda it, of: it.rectangles(of, SIZE),
    "cutout": lambda it, of: it.rectangles(of, SIZE),
    "stretch": lambda it, of: it.maps(of, SIZE),
    "perspective": lambda it, of: it.steps(of, SIZE),
    "lens_distortion": lambda it, of: it.steps(of, SIZE),
    "short_side_crop": lambda it, of: it.boxes(of),
    "lighting": lambda it, of: it.replace(components=((0.2, 0.1, 0.0),)).shifts(of, 3),
    "noise": lambda it, of: it.tones(of),
    "rand_augment": lambda it, of: np.concatenate(
        [it.maps(of, SIZE).reshape(len(of.keys), -1), it.tones(of).reshape(len(of.keys), -1)], 1
    ),
    "trivial_augment": lambda it, of: np.concatenate(
        [it.maps(of, SIZE).reshape(len(of.keys), -1), it.tones(of).reshape(len(of.keys), -1)], 1
    ),
}


@pytest.mark.parametrize("kind", kinds(Augmentation))
def test_every_kind_is_a_document(kind: str) -> None:
    record = decode(Augmentation, kind)
    assert from_json(Augmentation, to_json(record)) == record
    assert to_builtins(record)["kind"] == kind


@pytest.mark.parametrize("kind", kinds(Augmentation))
def test_a_sample_draws_the_same_in_any_company(kind: str) -> None:
    record: Any = decode(Augmentation, kind)
    places = np.arange(101)
    together = DRAWN[kind](record, stream(5, "augment", 3, places))
    for part in (slice(7, 8), slice(0, 50), slice(50, 101, 3)):
        alone = DRAWN[kind](record, stream(5, "augment", 3, places[part]))
        assert np.array_equal(alone, together[part])
    assert len(np.unique(together.reshape(101, -1), axis=0)) > 1
    other = DRAWN[kind](record, stream(6, "augment", 3, places))
    assert not np.array_equal(other, together)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("flip", {"p": 1.5}, "expected p of 0 to 1, received 1.5"),
        ("pad_and_crop", {"pad": -1}, "expected pad of at least 0 pixels, received -1"),
        ("pad_and_crop", {"fill": "red"}, "expected one of 'zero', 'mean', 'edge', 'reflect'"),
        ("affine", {"scale": [0.0, 1.0]}, r"scale as \(least, most\), from 0.0625 up to 16"),
        ("random_resized_crop", {"scale": [0.5, 1.5]}, r"positive up to 1, received \(0.5, 1.5\)"),
        ("random_resized_crop", {"ratio": [2.0, 1.0]}, r"expected ratio as \(least, most\)"),
        ("colour_jitter", {"contrast": 2.0}, "expected contrast of 0 to 1, received 2.0"),
        ("colour_jitter", {"hue": 0.7}, "expected hue of 0 to 0.5 turns, received 0.7"),
        ("erase", {"p": -0.1}, "expected p of 0 to 1"),
        ("cutout", {"size": 0}, "expected size of at least 1 pixel, received 0"),
        ("stretch", {"ratio": [2.0, 1.0]}, r"expected ratio as \(least, most\), positive"),
        ("perspective", {"distortion": 1.0}, "expected distortion of 0 to 1, received 1.0"),
        ("lens_distortion", {"strength": -1.0}, "expected strength and second of 0 to 1"),
        ("short_side_crop", {"short_side": [9, 8]}, r"expected short_side as \(least, most\)"),
        ("lighting", {"std": -1.0}, "expected std of at least 0, received -1.0"),
        ("noise", {"std": 300.0}, "expected std of 0 to 255 levels, received 300.0"),
        ("rand_augment", {"magnitude": 31}, "magnitude of 0 to 30, received 2, 31"),
    ],
)
def test_nonsense_is_refused(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        decode(Augmentation, {"kind": kind, **fields}, "recipe.augmentation[0]")


def test_flips_come_as_often_as_they_should() -> None:
    maps = Flip(p=0.3).maps(stream(0, np.arange(MANY)), SIZE)
    flipped = maps[:, 0, 0] < 0
    assert abs(flipped.mean() - 0.3) < 0.03
    assert (maps[flipped, 0, 2] == SIZE[1]).all() and not maps[~flipped, 0, 2].any()
    assert (maps[:, 1] == (0, 1, 0)).all()


def test_shifts_are_whole_and_even() -> None:
    moved = PadAndCrop(pad=2).maps(stream(0, np.arange(MANY)), SIZE)[:, :, 2]
    pairs, counts = np.unique(moved, axis=0, return_counts=True)
    assert sorted({float(value) for value in pairs.ravel()}) == [-2, -1, 0, 1, 2]
    assert len(pairs) == 25 and abs(counts / MANY - 1 / 25).max() < 0.015


def test_affine_maps_undo_turn_scale_shear_and_move() -> None:
    record = Affine(rotate_degrees=30.0, translate=0.2, scale=(0.5, 2.0), shear=0.3)
    maps = record.maps(stream(1, np.arange(MANY)), SIZE)
    forward = np.linalg.inv(maps[:, :, :2])  # of a place in the image, about the middle
    angle = np.degrees(np.arctan2(forward[:, 1, 0], forward[:, 0, 0]))
    factor = np.hypot(forward[:, 0, 0], forward[:, 1, 0])
    sheared = np.einsum("nij,nik->njk", forward, forward)[:, 0, 1] / factor**2
    middle = np.array([16, 12])
    moved = middle - maps[:, :, 2]
    moved = np.einsum("nij,nj->ni", forward, moved) - middle
    for values, least, most in (
        (angle, -30, 30),
        (np.log(factor), -np.log(2), np.log(2)),
        (sheared, -0.3, 0.3),
        (moved[:, 0], -0.2 * 32, 0.2 * 32),
        (moved[:, 1], -0.2 * 24, 0.2 * 24),
    ):
        assert least - 1e-9 <= values.min() < least + 0.02 * (most - least)
        assert most - 0.02 * (most - least) < values.max() <= most + 1e-9
        assert abs(values.mean() - (least + most) / 2) < 0.03 * (most - least)


def test_affine_without_strength_is_the_identity() -> None:
    maps = Affine().maps(stream(0, np.arange(9)), SIZE)
    assert (maps == np.eye(2, 3)).all()


@pytest.mark.parametrize("size", [(160, 213), (213, 160), (10, 400), (7, 7)])
def test_boxes_lie_inside_the_image(size: tuple[int, int]) -> None:
    record = RandomResizedCrop(scale=(0.2, 0.9), ratio=(0.5, 2.0))
    left, top, width, height = record.box(
        record.boxes(stream(0, np.arange(MANY))), np.tile(size, (MANY, 1))
    ).T
    assert left.min() >= 0 and (left + width).max() <= size[1] + 1e-9
    assert top.min() >= 0 and (top + height).max() <= size[0] + 1e-9
    share, ratio = width * height / (size[0] * size[1]), width / height
    assert ratio.min() >= 0.5 - 1e-9 and ratio.max() <= 2 + 1e-9
    if size == (7, 7):
        assert 0.2 <= share.min() < 0.21 and share.max() <= 0.9
    if size == (10, 400):  # no box of that area and shape fits: the largest in the middle
        assert np.unique(np.stack([left, top, width, height]), axis=1).T.tolist() == [
            [190, 0, 20, 10]
        ]


def test_jitter_of_colours_keeps_grey_grey() -> None:
    record = ColourJitter(saturation=1.0, hue=0.5)
    for channels in ("rgb", "bgr"):
        colours = record.colours(stream(0, np.arange(50)), channels)
        assert np.allclose(colours[:, :, :3].sum(axis=2), 1) and not colours[:, :, 3].any()


def test_jitter_treats_bgr_as_rgb_in_another_order() -> None:
    record = ColourJitter(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2)
    of = stream(0, np.arange(20))
    rgb, bgr = record.colours(of, "rgb"), record.colours(of, "bgr")
    assert np.allclose(rgb[:, ::-1, [2, 1, 0, 3]], bgr, atol=1e-15)


def test_grey_has_brightness_and_contrast_only() -> None:
    of = stream(0, np.arange(20))
    plain = ColourJitter(brightness=0.5, contrast=0.5).colours(of, "grey")
    more = ColourJitter(brightness=0.5, contrast=0.5, saturation=1.0, hue=0.5).colours(of, "grey")
    assert plain.shape == (20, 1, 2) and np.array_equal(plain, more)
    bright = plain.sum(axis=(1, 2))  # at the mean luminance contrast does nothing
    assert 0.5 <= bright.min() and bright.max() <= 1.5


def test_luminance_weights_sum_to_one() -> None:
    assert [round(sum(luma(channels)), 12) for channels in ("rgb", "bgr", "grey")] == [1, 1, 1]


def test_erased_rectangles_have_their_area_and_shape() -> None:
    record = Erase(p=0.4, scale=(0.1, 0.2), ratio=(0.5, 2.0))
    top, left, bottom, right = record.rectangles(stream(0, np.arange(MANY)), (100, 100)).T
    there = bottom > top
    assert abs(there.mean() - 0.4) < 0.03
    tall, wide = (bottom - top)[there], (right - left)[there]
    assert 0.095 < (tall * wide / 1e4).min() and (tall * wide / 1e4).max() < 0.205
    assert 0.48 < (wide / tall).min() and (wide / tall).max() < 2.1
    assert top.min() >= 0 and bottom.max() <= 100 and left.min() >= 0 and right.max() <= 100
    assert top[there].min() == 0 and bottom.max() == 100


def test_squares_are_cut_off_at_the_border() -> None:
    top, left, bottom, right = Cutout(size=8).rectangles(stream(0, np.arange(MANY)), SIZE).T
    tall, wide = bottom - top, right - left
    assert tall.max() == wide.max() == 8 and tall.min() == wide.min() == 4
    assert top.min() == left.min() == 0 and bottom.max() == SIZE[0] and right.max() == SIZE[1]


@pytest.mark.parametrize(
    "numbers",
    [
        {"rotate_degrees": 1e300},
        {"rotate_degrees": -1.0},
        {"shear": 90.0},
        {"translate": 2.0},
        {"scale": (1.0, 1e6)},
        {"scale": (1e-6, 1.0)},
    ],
)
def test_affine_maps_that_leave_nothing_to_see_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"expected {next(iter(numbers))} .* received"):
        Affine(**numbers)
