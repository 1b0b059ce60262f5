"""Opening by name or path: what is taken for what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from striate import data
from striate.errors import DataError


def test_a_file_of_no_known_form(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(b"?")
    with pytest.raises(DataError) as caught:
        data.open(path)
    assert str(caught.value) == (
        f"{path} is not data that is known: expected a folder, or a file of IDX, npz or CSV, or a "
        "packed one."
    )


@pytest.mark.parametrize("spec", ["", "   "])
def test_an_empty_text_is_no_data_set(spec: str) -> None:
    with pytest.raises(DataError) as caught:
        data.open(spec)
    assert str(caught.value) == ("Expected the name or path of a data set, received an empty text.")


def test_the_spec_opens_it_again_from_anywhere(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(cat=1, dog=1)
    monkeypatch.chdir(root / "cat")
    first = data.open("..")
    assert (first.name, first.spec) == ("pets", str(root))
    monkeypatch.chdir("/")
    again = data.open(first.spec)
    assert again.parts["all"].ids == first.parts["all"].ids


def test_most_images_decide_on_the_channels(make_folder: Callable[..., Path]) -> None:
    from PIL import Image

    root = make_folder(cat=2, dog=3)
    for path in sorted(root.rglob("*.png"))[:3]:
        with Image.open(path) as image:
            grey = image.convert("L").resize((20, 30))
        grey.save(path)
    dataset = data.open(root)
    assert dataset.channels == "grey"
    assert dataset.sizes() == ((12, 10), (30, 20), (30, 20))
    assert data.open("digits").sizes().median == (8, 8)


def test_every_part_is_listed_in_order(idx_folder: Path) -> None:
    assert list(data.open(idx_folder).parts) == ["train", "test"]
