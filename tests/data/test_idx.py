"""IDX: what it says is what is read, and every fault has its sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from striate import data
from striate.errors import DataError


def test_a_folder_is_read_with_its_parts(idx_folder: Path) -> None:
    dataset = data.open(idx_folder)
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {
        "train": 6,
        "test": 4,
    }
    assert [one.id for one in dataset.classes] == ["0", "1", "2"]
    assert (dataset.name, dataset.channels) == ("tiny_idx", "grey")
    raw = gzip.decompress((idx_folder / "train-images-idx3-ubyte.gz").read_bytes())
    train = dataset.parts["train"]
    assert isinstance(train, data.ArraySamples)
    assert train.images.tobytes() == raw[16:]
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert train.ids[5] == "train/5"


def test_one_file_has_no_split(idx_folder: Path) -> None:
    dataset = data.open(idx_folder / "t10k-images-idx3-ubyte")
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"all": 4}


def test_a_wrong_magic_number(idx_folder: Path) -> None:
    path = idx_folder / "t10k-labels-idx1-ubyte"
    content = path.read_bytes()
    path.write_bytes(b"\0\0\x09\x01" + content[4:])
    with pytest.raises(DataError) as caught:
        data.open(idx_folder)
    assert str(caught.value) == (
        f"{path} is not IDX of labels: expected the magic number 2049, received 2305."
    )


@pytest.mark.parametrize("change", [-1, 3])
def test_a_wrong_length(idx_folder: Path, change: int) -> None:
    path = idx_folder / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + b"\0" * change)
    with pytest.raises(DataError) as caught:
        data.open(idx_folder)
    assert str(caught.value) == (
        f"{path} has the wrong length: its header says 4x5x7, which is 156 bytes in all; "
        f"received {156 + change}."
    )


def test_a_header_cut_short(idx_folder: Path) -> None:
    path = idx_folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(DataError, match="has the wrong length: its header says 4x0x0"):
        data.open(idx_folder)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="expected the magic number 2051, received 0"):
        data.open(idx_folder)


def test_gzip_cut_short(idx_folder: Path) -> None:
    path = idx_folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=f"^{path} is cut short or damaged \\(.*[^.]\\): copy it anew\\.$"
    ):
        data.open(idx_folder)


def test_labels_missing_or_too_few(idx_folder: Path) -> None:
    labels = idx_folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(b"\0\0\x08\x01" + np.array([3], ">u4").tobytes() + b"\0\1\2")
    images = idx_folder / "t10k-images-idx3-ubyte"
    with pytest.raises(
        DataError, match=rf"{images} has 4 images, but {labels} has labels of shape \(3,\)"
    ):
        data.open(idx_folder)
    labels.unlink()
    with pytest.raises(DataError, match="expected t10k-labels-idx1-ubyte beside it"):
        data.open(idx_folder)
