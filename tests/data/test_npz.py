"""npz under the names that are in use; nothing in it is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import data
from striate.errors import DataError


def write(folder: Path, **arrays: Any) -> Path:
    path = folder / "set.npz"
    np.savez(path, **arrays)
    return path


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_images_and_labels(tmp_path: Path) -> None:
    dataset = data.open(write(tmp_path, images=IMAGES, labels=LABELS, index=np.arange(6)))
    assert list(dataset.parts) == ["all"]
    assert dataset.channels == "rgb"
    assert (dataset.parts["all"].images == IMAGES).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", ["x_{}", "{}_images"])
def test_parts_on_either_side(tmp_path: Path, names: str) -> None:
    labels = "y_{}" if names == "x_{}" else "{}_labels"
    parts = ("train", "val", "test")
    arrays = {names.format(part): IMAGES[..., 0] for part in parts}
    arrays |= {labels.format(part): LABELS[:, None] for part in parts}
    dataset = data.open(write(tmp_path, **arrays))
    assert list(dataset.parts) == ["train", "validation", "test"]
    assert dataset.channels == "grey"


def test_channels_first_and_text_labels(tmp_path: Path) -> None:
    path = write(
        tmp_path, images=IMAGES.transpose(0, 3, 1, 2), labels=np.array(["b", "a", "c"] * 2)
    )
    dataset = data.open(path)
    assert [one.id for one in dataset.classes] == ["a", "b", "c"]
    assert dataset.parts["all"].labels.tolist() == [1, 0, 2, 1, 0, 2]
    assert (dataset.parts["all"].images == IMAGES).all()  # type: ignore[attr-defined]


def test_class_names(tmp_path: Path) -> None:
    path = write(tmp_path, images=IMAGES, labels=LABELS, classes=np.array(["ant", "bee", "cow"]))
    assert [one.id for one in data.open(path).classes] == ["ant", "bee", "cow"]
    path = write(tmp_path, images=IMAGES, labels=LABELS, classes=np.array([b"ant", b"bee", b"cow"]))
    assert [one.id for one in data.open(path).classes] == ["ant", "bee", "cow"]
    path = write(tmp_path, images=IMAGES, labels=LABELS, classes=np.array(["ant", "bee"]))
    with pytest.raises(DataError, match="has a label 2; expected 0 to 1, one of 2 classes"):
        data.open(path)


def test_labels_that_never_occur_are_said(tmp_path: Path) -> None:
    """Labels that count from 1 make a class 0, which nothing is learnt about."""
    dataset = data.open(write(tmp_path, images=IMAGES, labels=LABELS * 2 + 1))
    assert [one.id for one in dataset.classes] == ["0", "1", "2", "3", "4", "5"]
    assert dataset.notes == ("There are no images of 0, 2, 4.",)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": IMAGES}, "has images in 'images', but no labels for them"),
        ({"pictures": IMAGES}, "Expected `images` and `labels` in .*: it has 'pictures'"),
        (
            {"images": IMAGES / 255, "labels": LABELS},
            "Expected images of dtype uint8 in 'images' of .*, received float64",
        ),
        ({"images": IMAGES, "labels": LABELS[:4]}, "has 6 images, but .* labels of shape"),
        ({"images": IMAGES, "labels": LABELS - 1}, "has a label -1; expected 0 to 1"),
        ({"images": IMAGES, "labels": LABELS / 2}, "Expected labels of integers or text"),
        ({"images": IMAGES, "labels": np.array([{}] * 6)}, "is not an npz file of plain arrays"),
        ({"images": IMAGES[:1], "labels": LABELS}, "has 1 image, but .* labels of shape"),
        ({"images": IMAGES, "labels": LABELS, "y": LABELS}, "has labels for the all part twice"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": np.array(["a"] * 6)},
            "'y_test' of .* has text as labels, but 'y_train' of .* has integers",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "classes": np.array(3)},
            r"Expected a list of different class names in 'classes' of .*, received int64 of shape "
            r"\(\)",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "classes": np.array(["a", "b", "a"])},
            "Expected a list of different class names",
        ),
        ({"images": IMAGES[0, 0], "labels": LABELS}, r"Expected images of shape \(n, height"),
    ],
)
def test_each_fault_has_its_sentence(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        data.open(write(tmp_path, **arrays))


def test_no_npz_at_all(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match="is not an npz file of plain arrays"):
        data.open(path)
