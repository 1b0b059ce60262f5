"""CSV manifests: columns, parts, and a sentence for every fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from striate import data
from striate.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def manifest(make_folder: MakeFolder) -> Callable[[str], Path]:
    """Write a manifest beside `cat/0.png`, `cat/1.png`, `dog/0.png` and `dog/1.png`."""
    root = make_folder(cat=2, dog=2)

    def write(text: str) -> Path:
        path = root / "pets.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


Write = Callable[[str], Path]


def test_paths_and_labels(manifest: Write) -> None:
    dataset = data.open(manifest("path,label\ncat/0.png,tom\ndog/1.png,rex\n\ncat/1.png,tom\n"))
    assert [one.id for one in dataset.classes] == ["rex", "tom"]
    assert dataset.parts["all"].labels.tolist() == [1, 0, 1]
    assert dataset.parts["all"].ids == ["cat/0.png", "dog/1.png", "cat/1.png"]
    assert dataset.name == "pets"


def test_other_words_marks_and_order(manifest: Write) -> None:
    text = "\ufeffclass;Image;split\n10;cat/0.png;train\n9;dog/0.png;train\n9;dog/1.png;val\n"
    dataset = data.open(manifest(text))
    assert [one.id for one in dataset.classes] == ["9", "10"]
    assert list(dataset.parts) == ["train", "validation"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,kind\ncat/0.png,a\n", "{path} has no column 'label'; it has 'path', 'kind'."),
        ("picture,label\ncat/0.png,a\n", "{path} has no column 'path'; it has 'picture', 'label'."),
        (
            "path,label\ncat/0.png,a\ncat/1.png,\n",
            "{path}, line 3: expected a label, received none.",
        ),
        ("path,label\ncat/0.png\n", "{path}, line 2: expected a label, received none."),
        ("path,label\n,a\n", "{path}, line 2: expected a path, received none."),
        ("path,label\n", "{path} has column names but no image; expected a line for each."),
        ("", "{path} is empty; expected a line of column names and one for each image."),
        (
            "path,label,split\ncat/0.png,a,holdout\n",
            "{path}, line 2: expected train, val or test, received 'holdout'.",
        ),
        (
            "path,label,split\ncat/0.png,a,train\ncat/1.png,a,\n",
            "{path} gives some images a split and others none: fill the column in every line, or "
            "leave it out.",
        ),
        (
            "path,label,split\ncat/0.png,a,train\ncat/1.png,b,val\n",
            "{path}: cat/1.png of the validation part has the label 'b', which no training image "
            "has: expected one of a.",
        ),
        (
            "path,label\ncat/0.png,a\ndog/0.png,b\n./cat/0.png,b\n",
            "{path} gives ./cat/0.png two labels: 'a' in line 2 and 'b' in line 4; keep the "
            "one that is right.",
        ),
        (
            "path,label,split\ncat/0.png,a,train\ndog/0.png,b,train\ncat/0.png,a,test\n",
            "{path} puts cat/0.png into two parts: train in line 2 and test in line 4; keep "
            "one, or the test is of what was trained on.",
        ),
    ],
)
def test_each_fault_has_its_sentence(manifest: Write, text: str, sentence: str) -> None:
    path = manifest(text)
    with pytest.raises(DataError) as caught:
        data.open(path)
    assert str(caught.value) == sentence.format(path=path)


def test_a_file_that_is_not_there(manifest: Write) -> None:
    path = manifest("path,label\ncat/0.png,a\ncat/9.png,a\ndog/0.png,b\n")
    ((skipped, reason),) = data.open(path).skipped
    assert reason == f"{path.parent / 'cat' / '9.png'} cannot be read: No such file or directory."
    with pytest.raises(DataError, match="cannot be read"):
        data.open(path, strict=True)


def test_not_text(manifest: Write) -> None:
    path = manifest("")
    path.write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(DataError, match=f"{path} is not a CSV file in UTF-8"):
        data.open(path)


@pytest.mark.parametrize(("again", "images"), [(1, "1 image"), (2, "2 images")])
def test_a_file_listed_again_counts_once(manifest: Write, again: int, images: str) -> None:
    rows = "path,label\ncat/0.png,a\ndog/0.png,b\n" + "dog/../cat/0.png,a\n" * again
    path = manifest(rows)
    dataset = data.open(path)
    assert dataset.parts["all"].ids == ["cat/0.png", "dog/0.png"]
    assert dataset.notes == (
        f"Listed again in {path}, and counted once: {images}; the first in line 4, "
        "dog/../cat/0.png.",
    )
