"""Damaged files: an image, or an error that names the path; no crash, no hang, no memory lost."""

from __future__ import annotations

import io
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.data.decode import MOST_PIXELS, Decoding, decode_as
from striate.errors import DataError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
SLOWEST = 10.0  # seconds a file may take on a busy machine


def originals() -> list[bytes]:
    chance = np.random.default_rng(7)
    small = Image.fromarray(chance.integers(0, 256, (9, 12, 3), np.uint8))
    image, contents = small.resize((96, 72), Image.Resampling.BICUBIC), []
    for format in FORMATS:
        file = io.BytesIO()
        image.save(file, format)
        contents.append(file.getvalue())
    file = io.BytesIO()
    image.save(file, "JPEG", progressive=True, quality=95)
    return [*contents, file.getvalue()]


def mutated(content: bytes, chance: np.random.Generator) -> bytes:
    """Flip bits anywhere, cut, or write over the header."""
    changed = bytearray(content)
    kind = chance.integers(3)
    if kind == 0:
        for place in chance.integers(0, len(changed), chance.integers(1, 12)):
            changed[place] ^= 1 << int(chance.integers(8))
    elif kind == 1:
        del changed[int(chance.integers(0, len(changed))) :]
    else:
        for place in chance.integers(0, min(64, len(changed)), chance.integers(1, 5)):
            changed[place] = int(chance.choice([0, 1, 127, 128, 255]))
    return bytes(changed)


def go_through(count: int, seed: int, path: Path) -> None:
    chance, contents = np.random.default_rng(seed), originals()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for number in range(count):
        content = mutated(contents[number % len(contents)], chance)
        began = time.process_time()
        try:
            pixels = decode_as(content, Decoding(), path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), number
        else:
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in (1, 3)
        assert time.process_time() - began < SLOWEST, number
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    unit = 1 if sys.platform == "darwin" else 1024
    assert count * 0.2 < refused < count
    assert grown * unit < 12 * MOST_PIXELS  # three copies of the largest image that is let in


def test_mutated_files(tmp_path: Path) -> None:
    go_through(700, 0, tmp_path / "some photograph.jpg")


@pytest.mark.slow
def test_five_thousand_mutated_files(tmp_path: Path) -> None:
    go_through(5000, 1, tmp_path / "some photograph.jpg")
