"""Augmented images against Pillow, numpy and the contract's own path; nothing drawn, no change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from striate.contract import Class, Contract, Resize
from striate.data import warp
from striate.data.augmentation import (
    Affine,
    Augmentation,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    PadAndCrop,
    RandomResizedCrop,
)
from striate.data.augmenter import Augmenter
from striate.data.prepare import prepare
from striate.errors import ContractError, UsageError
from striate.randomness import stream

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
ROWS = np.arange(8)
CHANNELS: tuple[Literal["rgb", "bgr", "grey"], ...] = ("rgb", "bgr", "grey")


def contract(
    size: tuple[int, int],
    channels: Literal["rgb", "bgr", "grey"] = "rgb",
    *,
    plain: bool = False,
    **changes: Any,
) -> Contract:
    """Return a contract; `plain` leaves levels as they are."""
    count = 1 if channels == "grey" else 3
    numbers: dict[str, Any] = (
        {"mean": (0.0,) * count, "std": (1.0,) * count, "scale": 1.0}
        if plain
        else {"mean": (0.45, 0.4, 0.35)[:count], "std": (0.2, 0.25, 0.3)[:count]}
    )
    classes = (Class(id="a", label="a"),)
    return Contract(classes=classes, channels=channels, size=size, **numbers, **changes)


def smooth(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Return a picture with detail of a few pixels, such as a photograph has."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 2, width // 4 + 2, channels), dtype=np.uint8)
    planes = [
        np.asarray(
            Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC)
        )
        for c in range(channels)
    ]
    return np.stack(planes, axis=2)


def run(
    augmentation: Sequence[Augmentation],
    pixels: Pixels,
    to: Contract,
    rows: npt.NDArray[Any] = ROWS,
) -> Floats:
    """Return an image as several samples see it: (samples, channels, height, width)."""
    augmenter = Augmenter(augmentation, to)
    draws = augmenter.draw(stream(0, "augment", 0, rows))
    out = np.full((len(rows), *to.shape), np.nan, np.float32)
    for row in range(len(rows)):
        augmenter.apply(draws, row, pixels, out[row])
    return out


@pytest.mark.parametrize("channels", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize(
    "augmentation",
    [
        (Flip(p=0.0),),
        (PadAndCrop(pad=0), Flip(p=0.0)),
        (Affine(),),
        (Erase(p=0.0),),
        (RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0)),),
    ],
    ids=str,
)
def test_nothing_drawn_is_the_contract_to_the_bit(
    augmentation: tuple[Augmentation, ...], channels: Literal["rgb", "bgr", "grey"]
) -> None:
    to = contract((20, 20), channels)
    pixels = smooth(20, 20, to.channel_count)
    for image in run(augmentation, pixels, to):
        assert np.array_equal(image, prepare(pixels, to))


def test_colour_jitter_without_strength_changes_nothing() -> None:
    to, pixels = contract((20, 16)), smooth(20, 16)
    for image in run((ColourJitter(),), pixels, to):
        assert np.abs(image - prepare(pixels, to)).max() < 1e-5


@pytest.mark.parametrize(
    "more", [(), (Affine(),), (RandomResizedCrop(scale=(1.0, 1.0), ratio=(0.5, 2.0)),)], ids=str
)
def test_a_flip_is_exact(more: tuple[Augmentation, ...]) -> None:
    to, pixels = contract((20, 16)), smooth(20, 16)
    straight = run((*more, Flip(p=0.0)), pixels, to)
    flipped = run((*more, Flip(p=1.0)), pixels, to)
    assert np.array_equal(flipped, straight[..., ::-1])


@pytest.mark.parametrize("resize", ["exact", "short_side", "pad"])
def test_shifts_and_flips_are_those_of_the_validated_image(resize: Any) -> None:
    to = contract((16, 16), resize=Resize(rule=resize, size=(16, 16)), crop="centre")
    pixels = smooth(40, 50)
    shown = prepare(pixels, to)
    for image in run((Flip(),), pixels, to):
        assert np.array_equal(image, shown) or np.array_equal(image, shown[..., ::-1])


@pytest.mark.parametrize("fill", ["zero", "mean", "edge", "reflect"])
def test_pad_and_crop_is_numpys_pad(fill: Literal["zero", "mean", "edge", "reflect"]) -> None:
    to, pixels = contract((12, 10)), smooth(12, 10)
    augmenter = Augmenter((PadAndCrop(pad=4, fill=fill),), to)
    draws = augmenter.draw(stream(0, np.arange(30)))
    mode: Any = "constant" if fill in ("zero", "mean") else fill
    padded = np.pad(pixels, ((4, 4), (4, 4), (0, 0)), mode=mode)
    inside = np.pad(np.ones((12, 10), bool), 4)
    out = np.empty((30, *to.shape), np.float32)
    for row in range(30):
        augmenter.apply(draws, row, pixels, out[row])
        left, top = (draws.maps[row, :, 2] + 4).astype(int)
        window = (slice(top, top + 12), slice(left, left + 10))
        expected = prepare(np.ascontiguousarray(padded[window]), to)
        if fill == "mean":
            assert np.abs(out[row][:, ~inside[window]]).max(initial=0) < 1e-6
            expected, out[row] = expected * inside[window], out[row] * inside[window]
        assert np.array_equal(out[row], expected)
    assert len(np.unique(draws.maps[:, :, 2], axis=0)) > 20


def test_changes_come_in_order() -> None:
    to, pixels = contract((12, 10), plain=True), smooth(12, 10)
    pad, flip = PadAndCrop(pad=3), Flip(p=1.0)
    shifted = run((pad,), pixels, to)
    assert np.array_equal(run((pad, flip), pixels, to), shifted[..., ::-1])
    first = run((flip, PadAndCrop(pad=0)), pixels, to)[0]
    assert np.array_equal(first, prepare(pixels, to)[..., ::-1])


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (96, 96)])
def test_a_random_crop_is_pillows_antialiased_resize(size: tuple[int, int]) -> None:
    to, pixels = contract(size, plain=True), smooth(75, 100)
    crop = RandomResizedCrop(scale=(0.1, 1.0))
    found = run((crop,), pixels, to)
    boxes = crop.box(
        crop.boxes(stream(0, "augment", 0, ROWS).fold("crop")), np.tile((75, 100), (len(ROWS), 1))
    )
    for image, (left, top, width, height) in zip(found, boxes, strict=True):
        box = (left, top, min(left + width, 100), min(top + height, 75))
        pillow = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR, box)
        assert np.abs(image - np.asarray(pillow).transpose(2, 0, 1)).max() <= 1.01


@pytest.mark.parametrize("channels", [1, 3])
def test_an_affine_map_is_pillows_transform(channels: int) -> None:
    to = contract((40, 32), "grey" if channels == 1 else "rgb", plain=True)
    pixels = smooth(40, 32, channels)
    record = Affine(rotate_degrees=40.0, translate=0.1, scale=(1.0, 2.0), shear=0.0)
    maps = Augmenter((record,), to).draw(stream(0, "augment", 0, ROWS)).maps
    for image, map in zip(run((record,), pixels, to), maps, strict=True):
        for c in range(channels):
            pillow = Image.fromarray(pixels[..., c]).transform(
                (32, 40), Image.Transform.AFFINE, tuple(map.ravel()), Image.Resampling.BILINEAR
            )
            error = np.abs(image[c] - np.asarray(pillow))
            # Pillow steps along a row in floating point: the very border may fall either way.
            assert (error > 1.01).mean() < 0.01


def test_turning_and_shrinking_is_antialiased() -> None:
    """Against a fine sampling of the same map, weighted by a triangle of the result's pixels."""
    to, pixels = contract((24, 24), plain=True), smooth(120, 120)
    record = Affine(rotate_degrees=30.0)
    resize = Resize(rule="exact", size=(24, 24))
    found = run((record,), pixels, to.replace(resize=resize))
    augmenter = Augmenter((record,), to.replace(resize=resize))
    maps = augmenter.maps(
        augmenter.draw(stream(0, "augment", 0, ROWS)), np.tile((120, 120), (len(ROWS), 1))
    )
    assert np.allclose(np.hypot(*maps[:, 0, :2].T), 5)
    distance = np.abs((np.arange(240) + 0.5) / 10 - (np.arange(24)[:, None] + 0.5))
    triangle = np.maximum(1 - distance, 0) / 10
    for image, map in zip(found, maps, strict=True):
        fine = map @ np.diag([0.1, 0.1, 1.0])
        pillow = Image.fromarray(pixels).transform(
            (240, 240), Image.Transform.AFFINE, tuple(fine.ravel()), Image.Resampling.BILINEAR
        )
        weighed = triangle @ np.asarray(pillow, np.float64).transpose(2, 0, 1) @ triangle.T
        error = (image - weighed)[:, 6:18, 6:18]
        assert np.sqrt((error**2).mean()) < 3  # the triangles are turned against each other
        aliased = np.asarray(pillow)[5::10, 5::10].transpose(2, 0, 1)
        assert np.sqrt(((aliased - weighed)[:, 6:18, 6:18] ** 2).mean()) > 20


def test_the_general_and_the_upright_kernel_agree() -> None:
    to, pixels = contract((33, 27)), smooth(80, 70)
    augmenter = Augmenter((RandomResizedCrop(),), to)
    draws = augmenter.draw(stream(0, ROWS))
    tilted = draws._replace(maps=draws.maps + np.array([[0, 1e-12, 0], [1e-12, 0, 0]]))
    one, other = (np.empty((8, *to.shape), np.float32) for _ in range(2))
    rows = np.zeros(8, np.int64)
    augmenter.apply_all(draws, pixels[None], rows, one)
    augmenter.apply_all(tilted, pixels[None], rows, other)
    assert np.abs(one - other).max() < 1e-4


def test_without_a_crop_an_affine_map_starts_from_the_contracts_view() -> None:
    pixels = smooth(90, 120)
    for resize in (
        Resize(rule="exact", size=(32, 32)),
        Resize(rule="short_side", size=(36, 36)),
        Resize(rule="pad", size=(32, 32)),
    ):
        to = contract((32, 32), plain=True, resize=resize, crop="centre")
        for image in run((Affine(),), pixels, to):
            assert np.abs(image - prepare(pixels, to)).max() <= 1.01


def test_what_comes_in_under_a_padding_resize_is_its_background() -> None:
    to = contract(
        (16, 16), plain=True, resize=Resize(rule="pad", size=(16, 16)), background=(10, 20, 30)
    )
    pixels = np.full((8, 16, 3), 200, np.uint8)
    for augmentation in ((PadAndCrop(pad=3),), (Affine(translate=0.2),)):
        for image in run(augmentation, pixels, to):
            colours = np.unique(image.reshape(3, -1).round(), axis=1).T.tolist()
            assert [10.0, 20.0, 30.0] in colours
            assert [0.0, 0.0, 0.0] not in colours


def jitter_alone(pixels: Pixels, **factors: float) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return an image under jitter of one sort, and the factors that were drawn."""
    to = contract(pixels.shape[:2], "rgb" if pixels.shape[2] == 3 else "grey", plain=True)
    record = ColourJitter(**factors)
    name = next(iter(factors))
    drawn = (
        stream(0, "augment", 0, ROWS)
        .fold("jitter")
        .uniform(name, 1 - factors[name], 1 + factors[name])
    )
    return run((record,), pixels, to), drawn


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_jitter_is_pillows_enhancement(name: str, enhance: Any) -> None:
    pixels = smooth(30, 40)
    found, factors = jitter_alone(pixels, **{name: 0.5})
    for image, factor in zip(found, factors, strict=True):
        pillow = np.asarray(enhance(Image.fromarray(pixels)).enhance(factor))
        assert np.abs(image - pillow.transpose(2, 0, 1)).max() < 1.8  # Pillow rounds on the way


def test_a_third_of_a_turn_exchanges_the_primaries() -> None:
    pixels = np.zeros((1, 3, 3), np.uint8)
    pixels[0] = np.diag([200, 200, 200])
    to = contract((1, 3), plain=True)
    augmenter = Augmenter((ColourJitter(hue=0.5),), to)
    turn = 2 * np.pi / 3
    matrix = ColourJitter(hue=0.5).colours(stream(0, ROWS), "rgb")[:, :, :3]
    angles = np.arctan2(
        np.sqrt(3) * (matrix[:, 1, 0] - matrix[:, 0, 1]) / 2, matrix[:, 0, 0] * 1.5 - 0.5
    )
    drawn = stream(0, ROWS).uniform("hue", -0.5, 0.5) * 2 * np.pi
    assert np.allclose(np.cos(angles), np.cos(drawn)) and np.allclose(np.sin(angles), np.sin(drawn))
    across = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    hue = np.cos(turn) * np.eye(3) + (1 - np.cos(turn)) / 3 + np.sin(turn) * across
    colours = np.concatenate([hue, np.zeros((3, 2))], axis=1)[None].astype(np.float32)
    draws = augmenter.draw(stream(0, ROWS[:1]))._replace(colours=colours)
    out = np.empty((1, 3, 1, 3), np.float32)
    augmenter.apply(draws, 0, pixels, out[0])
    red_green_blue = out[0, :, 0].T
    assert np.allclose(red_green_blue, np.diag([200.0] * 3)[[1, 2, 0]], atol=1e-3)


def test_levels_stay_levels() -> None:
    strong = ColourJitter(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5)
    to = contract((20, 20), plain=True)
    found = run((strong,), smooth(20, 20), to, np.arange(40))
    assert found.min() == 0 and found.max() == 255


def test_erasing_comes_last_and_leaves_zero() -> None:
    to, pixels = contract((20, 16)), smooth(20, 16)
    both = run((Erase(p=1.0), Cutout(size=6), Flip()), pixels, to)
    plain = run((PadAndCrop(pad=0), PadAndCrop(pad=0), Flip()), pixels, to)
    changed = both != plain
    assert not both[changed].any() and 0.02 < changed.mean() < 0.5
    assert changed.any(axis=(1, 2, 3)).all()


def test_a_batch_in_memory_is_its_images_one_by_one() -> None:
    to = contract((14, 14))
    stack = np.stack([smooth(14, 14, seed=seed) for seed in range(10)])
    augmentation = (PadAndCrop(pad=2), Affine(rotate_degrees=9.0), ColourJitter(hue=0.1), Erase())
    augmenter = Augmenter(augmentation, to)
    rows = np.array([3, 9, 0, 3])
    draws = augmenter.draw(stream(1, "augment", 0, rows))
    together, alone = (np.empty((4, *to.shape), np.float32) for _ in range(2))
    augmenter.apply_all(draws, stack, rows, together)
    for row, place in enumerate(rows):
        augmenter.apply(draws, row, stack[place], alone[row])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[0], together[3]), "one sample, one address"


def test_tiny_images_can_be_enlarged() -> None:
    to = contract((9, 9), plain=True)
    pixels = np.full((1, 1, 3), 77, np.uint8)
    exact = to.replace(resize=Resize(rule="exact", size=(9, 9)))
    for augmentation in ((RandomResizedCrop(),), (Affine(fill="reflect"),), (Affine(fill="edge"),)):
        assert np.allclose(run(augmentation, pixels, exact), 77)


def test_an_image_that_does_not_fit_is_refused() -> None:
    to = contract((20, 20))
    for augmentation in ((Flip(),), (Affine(rotate_degrees=5.0),)):
        with pytest.raises(ContractError, match=r"image of 20x20 pixels, received 30x20"):
            run(augmentation, smooth(30, 20), to)


def test_two_of_what_there_can_be_one_of() -> None:
    to = contract((20, 20))
    with pytest.raises(UsageError, match="at most one Crop, received 2"):
        Augmenter((RandomResizedCrop(), RandomResizedCrop()), to)
    with pytest.raises(UsageError, match="at most one ColourJitter, received 2"):
        Augmenter((ColourJitter(), ColourJitter()), to)
    with pytest.raises(UsageError, match="one fill for all augmentations, received edge and zero"):
        Augmenter((PadAndCrop(fill="edge"), Affine(fill="zero")), to)


FILLS = st.sampled_from(["zero", "mean", "edge", "reflect"])
SIDES = st.integers(1, 40)


@given(SIDES, SIDES, SIDES, SIDES, FILLS, st.booleans(), st.integers(0, 1000))
def test_any_mixture_gives_levels(
    height: int, width: int, tall: int, wide: int, fill: Any, crop: bool, seed: int
) -> None:
    to = contract((tall, wide), plain=True, resize=Resize(rule="exact", size=(tall, wide)))
    augmentation: tuple[Augmentation, ...] = (
        *((RandomResizedCrop(),) if crop else ()),
        PadAndCrop(pad=7, fill=fill),
        Affine(rotate_degrees=180.0, translate=1.0, scale=(0.2, 5.0), shear=0.5, fill=fill),
        Flip(),
    )
    found = run(augmentation, smooth(height, width, seed=seed), to, np.array([seed]))
    assert np.isfinite(found).all() and found.min() >= -1e-3 and found.max() <= 255.001


def test_one_compiled_kernel_serves_every_source() -> None:
    """Compiling takes seconds, so read-only arrays and other channels must not need another."""
    stack = np.stack([smooth(14, 14, seed=seed) for seed in range(3)])
    augment: Any = warp.augment
    for writeable in (True, False):
        stack.flags.writeable = writeable
        for channels in CHANNELS:
            to = contract((14, 14), channels)
            shown = np.ascontiguousarray(stack[..., : to.channel_count])
            shown.flags.writeable = writeable
            augmenter = Augmenter((RandomResizedCrop(), ColourJitter(hue=0.1), Erase()), to)
            draws = augmenter.draw(stream(1, np.arange(3)))
            out = np.empty((3, *to.shape), np.float32)
            augmenter.apply_all(draws, shown, np.arange(3), out)
            augmenter.apply(draws, 0, shown[0], out[0])
    kinds = {str(signature[0]) for signature in augment.signatures}
    assert len(augment.signatures) <= 2 and all("uint8" in k or "float32" in k for k in kinds)
