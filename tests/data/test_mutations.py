"""Damaged files: an image, or an error that names the path; no crash, no hang, no memory lost."""

from __future__ import annotations

import io
import resource
import sys
import time
from collections import Counter
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


def outcome(content: bytes, path: Path) -> str:
    """Return what becomes of a file: read or refused, or what is wrong with the way it was."""
    began = time.process_time()
    try:
        pixels = decode_as(content, Decoding(), path)
    except DataError as error:
        whole = str(path) in str(error) and "\n" not in str(error)
        found = "refused" if whole else f"refused with {str(error)!r}"
    else:
        whole = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in (1, 3)
        found = "read" if whole else f"read as {pixels.shape} {pixels.dtype}"
    seconds = time.process_time() - began
    return found if seconds < SLOWEST else f"{found} in {seconds:.1f} s"


@pytest.mark.parametrize(
    ("count", "seed"), [(700, 0), pytest.param(5000, 1, marks=pytest.mark.slow)]
)
def test_mutated_files(tmp_path: Path, count: int, seed: int) -> None:
    path = tmp_path / "some photograph.jpg"
    chance, contents = np.random.default_rng(seed), originals()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = Counter(
        outcome(mutated(contents[number % len(contents)], chance), path) for number in range(count)
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.keys() == {"read", "refused"}
    assert found["refused"] > 0.2 * count
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 12 * MOST_PIXELS  # three copies of the largest image that is let in
