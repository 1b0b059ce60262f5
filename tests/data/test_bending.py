"""Maps that bend: against scikit-image at every place, and the records' own promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import transform

from striate.contract import Class, Contract, Resize
from striate.data.augmentation import Affine, Augmentation, Flip
from striate.data.augmenter import Augmenter
from striate.data.bending import LensDistortion, Perspective, ShortSideCrop, Stretch, homographies
from striate.data.warp import follow
from striate.errors import UsageError
from striate.randomness import stream

SIZE = (60, 80)
CLASSES = (Class(id="a", label="a"),)


def levels(size: tuple[int, int] = SIZE, **changes: Any) -> Contract:
    channels = {"classes": CLASSES, "channels": "rgb", "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return Contract(**{**channels, "size": size, "scale": 1.0, **changes})


def smooth(seed: int, size: tuple[int, int] = SIZE) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def changed(changes: tuple[Augmentation, ...], pixels: Any, keys: int = 6) -> tuple[Any, Any]:
    augmenter = Augmenter(changes, levels())
    draws = augmenter.draw(stream(3, np.arange(keys)))
    out = np.empty((keys, 3, *SIZE), np.float32)
    augmenter.apply_all(draws, pixels[None], np.zeros(keys, np.int64), out)
    return draws, out.transpose(0, 2, 3, 1)


def places(draws: Any, row: int) -> Any:
    found = np.empty((*SIZE, 2))
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            found[y, x] = follow(draws.steps[row], draws.maps[row], x + 0.5, y + 0.5)[:2]
    return found


def bilinear(pixels: Any, where: Any) -> Any:
    rows, columns = where[..., 1] - 0.5, where[..., 0] - 0.5
    return np.stack(
        [
            transform.warp(
                pixels[..., c].astype(np.float64),
                np.stack([rows, columns]),
                order=1,
                mode="edge",
                preserve_range=True,
            )
            for c in range(3)
        ],
        axis=-1,
    )


@pytest.mark.parametrize("grown", [1.3])
@pytest.mark.parametrize(
    "changes",
    [
        (Perspective(distortion=0.3, p=1.0, fill="edge"),),
        (LensDistortion(strength=0.15, second=0.1, fill="edge"),),
        (
            Affine(rotate_degrees=20, scale=(1.6, 2.0), fill="edge"),
            LensDistortion(strength=0.1, fill="edge"),
            Perspective(distortion=0.2, p=1.0, fill="edge"),
            Flip(),
        ),
    ],
)
def test_where_nothing_shrinks_it_is_scikit_images_bilinear(changes: Any, grown: float) -> None:
    pixels = smooth(0)
    changes = (*changes, Affine(scale=(grown, grown), fill="edge"))
    draws, out = changed(changes, pixels)
    for row in range(len(out)):
        where = places(draws, row)
        step = np.maximum(
            np.hypot(*np.gradient(where[..., 0])), np.hypot(*np.gradient(where[..., 1]))
        )
        still = (
            (step < 1.0) & (where > 1).all(axis=2) & (where < np.array(SIZE[::-1]) - 1).all(axis=2)
        )
        assert still.mean() > 0.1
        assert np.abs(out[row] - bilinear(pixels, where))[still].max() < 0.5


def test_perspective_is_scikit_images_projective_transform() -> None:
    record = Perspective(distortion=0.5, p=1.0)
    matrices = record.steps(stream(1, np.arange(20)), SIZE)
    for matrix in matrices:
        theirs = transform.ProjectiveTransform(matrix=matrix)
        ends = np.array([[0.0, 0], [80, 0], [0, 60], [80, 60]])
        seen = theirs.inverse(ends)
        assert (seen >= -1e-9).all() and (seen <= np.array([80, 60]) + 1e-9).all()
        back = homographies(seen[None], ends[None])[0]
        assert np.allclose(back, matrix / matrix[2, 2], atol=1e-8)


def test_a_chain_of_changes_is_their_composition() -> None:
    one, two = Affine(rotate_degrees=30, translate=0.2), Perspective(p=1.0)
    three = LensDistortion(strength=0.3)
    draws, _ = changed((one, two, three, Flip(p=1.0)), smooth(1))
    of = stream(3, np.arange(6))
    affine, matrix = one.maps(of.fold(0), SIZE), two.steps(of.fold(1), SIZE)
    lens = three.steps(of.fold(2), SIZE)
    for row in range(6):
        for x, y in ((0.5, 0.5), (70.5, 20.5), (33.0, 59.5)):
            place = np.array([80 - x, y])
            middle = np.array([40.0, 30.0])
            square = ((place - middle) ** 2).sum() / (middle**2).sum()
            place = middle + (place - middle) * (1 + lens[row, 9] * square)
            projected = matrix[row] @ [*place, 1.0]
            place = projected[:2] / projected[2]
            place = affine[row] @ [*place, 1.0]
            assert np.allclose(follow(draws.steps[row], draws.maps[row], x, y)[:2], place)


def test_shrinking_is_as_numerical_derivatives_say() -> None:
    draws, _ = changed((Perspective(p=1.0), LensDistortion(strength=0.4, second=0.3)), smooth(2))
    for row in range(6):
        for x, y in ((3.0, 4.0), (60.0, 50.0)):
            at = [draws.steps[row], draws.maps[row]]
            _, _, wide, tall = follow(*at, x, y)
            across = (np.subtract(follow(*at, x + 1e-4, y), follow(*at, x - 1e-4, y)) / 2e-4)[:2]
            down = (np.subtract(follow(*at, x, y + 1e-4), follow(*at, x, y - 1e-4)) / 2e-4)[:2]
            assert np.allclose([wide, tall], np.hypot(across, down), rtol=1e-5)


def test_nothing_drawn_is_the_identity() -> None:
    pixels = smooth(3)
    for change in (Perspective(p=0.0), LensDistortion(strength=0.0), Stretch(ratio=(1.0, 1.0))):
        _, out = changed((change,), pixels)
        assert np.array_equal(out, np.tile(pixels.astype(np.float32), (6, 1, 1, 1)))


def test_stretching_keeps_area_and_middle() -> None:
    maps = Stretch(ratio=(0.5, 2.0)).maps(stream(0, np.arange(500)), SIZE)
    assert np.allclose(np.linalg.det(maps[:, :, :2]), 1.0)
    assert np.allclose(maps @ [40.0, 30.0, 1.0], [40.0, 30.0])
    ratio = maps[:, 1, 1] / maps[:, 0, 0]
    assert 0.5 <= ratio.min() < 0.6 and 1.8 < ratio.max() <= 2.0


def test_short_side_crop_is_scaling_then_cutting() -> None:
    record, contract = ShortSideCrop(short_side=(70, 110)), levels((64, 64))
    augmenter = Augmenter((record,), contract)
    pixels = smooth(4, (150, 200))
    keys = np.arange(12)
    draws = augmenter.draw(stream(0, keys))
    out = np.empty((12, 3, 64, 64), np.float32)
    augmenter.apply_all(draws, pixels[None], np.zeros(12, np.int64), out)
    lengths, seen = draws.boxes[:, 0, 0], set()
    for row, length in enumerate(lengths.astype(int).tolist()):
        seen.add(length)
        left, top, wide, tall = record.box(draws.boxes, np.array([[150, 200]] * 12), (64, 64))[row]
        assert np.allclose([wide, tall], 64 * 150 / length)
        assert 0 <= left <= 200 - wide and 0 <= top <= 150 - tall
        box = (left, top, left + wide, top + tall)
        theirs = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR, box)
        assert np.abs(out[row].transpose(1, 2, 0) - np.asarray(theirs)).max() <= 1.0
    assert 70 <= min(seen) and max(seen) <= 110 and len(seen) > 5


def test_a_box_larger_than_the_image_is_the_image() -> None:
    record = ShortSideCrop(short_side=(32, 32))
    box = record.box(record.boxes(stream(0, np.arange(3))), np.array([[40, 90]] * 3), (64, 64))
    assert np.allclose(box[:, 2:], 40.0) and (box[:, 1] == 0).all()


def test_one_crop_at_most() -> None:
    from striate.data.augmentation import RandomResizedCrop

    with pytest.raises(UsageError, match="at most one Crop, received 2"):
        Augmenter((ShortSideCrop(), RandomResizedCrop()), levels(resize=Resize()))
