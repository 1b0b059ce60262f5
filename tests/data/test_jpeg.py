"""A part of a JPEG has the pixels of the whole; whatever is unusual or damaged is left alone."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import data
from striate.contract import Class, Contract, Resize
from striate.data.jpeg import Box, decode_part, read_header

DECODE = import_module("striate.data.decode")  # the package has a function of that name
CLASSES = (Class(id="a", label="a"), Class(id="b", label="b"))


def picture(chance: np.random.Generator, height: int, width: int, noise: float) -> Any:
    smooth = chance.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    levels = np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC))
    return (levels + noise * chance.normal(size=levels.shape)).clip(0, 255).astype(np.uint8)


def jpeg(pixels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def part(content: bytes, box: Box) -> Any:
    header = read_header(content)
    assert header is not None
    return decode_part(content, header, box)


def whole(content: bytes) -> Any:
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    return pixels[..., None] if pixels.ndim == 2 else pixels


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [1, 50, 92, 100])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("noise", [0.0, 20.0, 120.0])
def test_every_box_has_the_pixels_of_a_full_decoding(
    subsampling: int, quality: int, options: dict[str, Any], noise: float
) -> None:
    chance = np.random.default_rng([subsampling, quality, len(options), int(noise)])
    for grey in (False, True):
        height, width = chance.integers(6, 70, 2).tolist()
        pixels = picture(chance, height, width, noise)
        content = jpeg(
            pixels[..., 0] if grey else pixels, quality=quality, subsampling=subsampling, **options
        )
        expected = whole(content)
        for _ in range(5):
            top, bottom = sorted(chance.choice(height + 1, 2, replace=False).tolist())
            left, right = sorted(chance.choice(width + 1, 2, replace=False).tolist())
            received = part(content, (top, left, bottom, right))
            assert np.array_equal(received, expected[top:bottom, left:right])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 5), (16, 16), (17, 33)])
def test_small_and_odd_sizes(size: tuple[int, int]) -> None:
    content = jpeg(picture(np.random.default_rng(0), *size, 30.0), quality=80, subsampling=2)
    if (size[1] + 1) // 2 > 2:
        assert np.array_equal(part(content, (0, 0, *size)), whole(content))
    else:
        assert read_header(content) is None


def test_unusual_kinds_are_left_to_the_full_decoder() -> None:
    pixels = picture(np.random.default_rng(1), 40, 40, 10.0)
    exif = Image.Exif()
    exif[0x0112] = 6
    cmyk = np.asarray(Image.fromarray(pixels).convert("CMYK"))
    file = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(file, "JPEG")
    unusual = [jpeg(pixels, progressive=True), jpeg(pixels, exif=exif), file.getvalue()]
    unusual += [jpeg(pixels, keep_rgb=True), b"", b"\xff\xd8", jpeg(pixels)[:200]]
    assert [read_header(each) for each in unusual] == [None] * len(unusual)


def test_damage_gives_pixels_or_nothing() -> None:
    chance = np.random.default_rng(2)
    content = jpeg(picture(chance, 60, 60, 40.0), quality=85, restart_marker_blocks=4)
    answered = 0
    for _ in range(600):
        bad = bytearray(content)
        for place in chance.integers(2, len(bad), chance.integers(1, 4)).tolist():
            bad[place] ^= 1 << chance.integers(8)
        if chance.random() < 0.2:
            bad = bad[: chance.integers(len(bad))] + b"\xff\xd9"
        header = read_header(bytes(bad))
        if header is None or header.size != (60, 60):
            continue
        pixels = decode_part(bytes(bad), header, (10, 10, 50, 50))
        assert pixels is None or pixels.shape == (40, 40, 3)
        answered += pixels is not None
    assert 50 < answered < 550


def test_a_stream_that_ends_early_is_noticed() -> None:
    content = jpeg(picture(np.random.default_rng(3), 64, 64, 40.0), quality=90)
    cut = content[: len(content) // 2] + b"\xff\xd9"
    assert part(cut, (0, 0, 64, 64)) is None
    assert np.array_equal(part(cut, (0, 0, 8, 64)), whole(content)[:8])


def test_training_batches_do_not_depend_on_who_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(4)
    for number in range(8):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        height, width = chance.integers(60, 120, 2).tolist()
        content = jpeg(picture(chance, height, width, 25.0), quality=90, subsampling=number % 3)
        (folder / f"{number}.jpg").write_bytes(content)
    samples = data.open(tmp_path).parts["all"]
    assert isinstance(samples, data.FileSamples)
    contract = Contract(
        classes=CLASSES,
        channels="bgr",
        size=(32, 32),
        resize=Resize(rule="short_side", size=(36, 36)),
        crop="centre",
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.4),
    )
    turned = data.Affine(rotate_degrees=20, scale=(1.2, 2.0), fill="edge")
    mirrored = data.Affine(rotate_degrees=9, translate=0.3, scale=(1.2, 2.0), fill="reflect")
    for changes in ([data.RandomResizedCrop(), data.Flip()], [turned], [mirrored]):
        batches = []
        for pays in (True, False):
            samples.kept = [None] * len(samples)
            monkeypatch.setattr(DECODE, "_pays", lambda header, box, pays=pays: pays)
            loader = data.Loader(
                samples, contract, batch=8, seed=1, augmentation=changes, shuffle=False
            )
            batches.append([loader.images(range(8), epoch) for epoch in range(6)])
        assert np.array_equal(batches[0], batches[1])
