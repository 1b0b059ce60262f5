"""Small image files and data sets in every form, written on the spot."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from striate.contract import Class, Contract

Pixels = npt.NDArray[np.uint8]
MakeFolder = Callable[..., Path]


def noise(seed: int, height: int = 12, width: int = 10, channels: int = 3) -> Pixels:
    """Return an image that no other seed gives."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path: Path, pixels: Pixels) -> Path:
    """Write an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Make class folders: `make(cat=3, dog=2)` or `make({"train/cat": 3, "val/cat": 1})`."""

    def make(counts: dict[str, int] | None = None, **more: int) -> Path:
        root = tmp_path / "pets"
        for folder, count in {**(counts or {}), **more}.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                save(root / folder / f"{number}.png", noise(hash_of(folder, number)))
        return root

    return make


def hash_of(text: str, number: int) -> int:
    """Return a number for a name, the same in every process."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(text)) % 10**9 + number


def idx(array: Pixels) -> bytes:
    """Return an array as IDX."""
    header = (0x800 | array.ndim).to_bytes(4, "big")
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """A folder of IDX: 6 training images (gzipped), 4 for the test (plain), labels 0 to 2."""
    folder = tmp_path / "tiny_idx"
    folder.mkdir()
    for part, count in (("train", 6), ("t10k", 4)):
        images, labels = noise(count, count, 5, 7), np.arange(count, dtype=np.uint8) % 3
        for name, content in (("images-idx3", idx(images)), ("labels-idx1", idx(labels))):
            gzipped = part == "train"
            path = folder / f"{part}-{name}-ubyte{'.gz' if gzipped else ''}"
            path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder


@pytest.fixture
def rgb() -> Contract:
    """A contract of 12x10 colour images, as they are."""
    return Contract(
        classes=(Class(id="cat", label="cat"), Class(id="dog", label="dog")),
        channels="rgb",
        size=(12, 10),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
    )
