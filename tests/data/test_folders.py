"""Class folders, with and without parts; every fault has its sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import data, progress
from striate.errors import DataError

MakeFolder = Callable[..., Path]


def test_class_folders(make_folder: MakeFolder) -> None:
    dataset = data.open(make_folder(dog=2, cat=3))
    assert [one.id for one in dataset.classes] == ["cat", "dog"]
    assert (dataset.name, list(dataset.parts)) == ("pets", ["all"])
    samples = dataset.parts["all"]
    assert samples.labels.tolist() == [0, 0, 0, 1, 1]
    assert samples.ids[3] == "dog/0.png"
    assert dataset.sizes() == ((12, 10), (12, 10), (12, 10))
    assert dataset.channels == "rgb"


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_parts(make_folder: MakeFolder, val: str) -> None:
    root = make_folder({f"{part}/{name}": 2 for part in ("train", val, "test") for name in "ab"})
    dataset = data.open(root)
    assert list(dataset.parts) == ["train", "validation", "test"]
    assert dataset.parts["validation"].ids[0] == f"{val}/a/0.png"


def test_images_further_down_belong_to_the_class(make_folder: MakeFolder) -> None:
    root = make_folder({"cat/2019/may": 2, "cat": 1, "dog": 1})
    assert len(data.open(root).parts["all"]) == 4


def test_a_class_called_test_among_classes_is_a_class(make_folder: MakeFolder) -> None:
    assert [one.id for one in data.open(make_folder(cat=1, test=1)).classes] == ["cat", "test"]


def test_a_test_part_alone(make_folder: MakeFolder) -> None:
    dataset = data.open(make_folder({"test/cat": 1, "test/dog": 1}))
    assert list(dataset.parts) == ["test"]
    with pytest.raises(DataError, match="has nothing to train on: .* it has test"):
        data.split(dataset)


def test_hidden_folders_are_ignored_and_said_so(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 1, "dog": 1, ".ipynb_checkpoints": 2, "cat/.thumbs": 2})
    dataset = data.open(root)
    assert [one.id for one in dataset.classes] == ["cat", "dog"]
    assert len(dataset.parts["all"]) == 2
    assert set(dataset.notes) == {
        f"Ignored the hidden folder {root / '.ipynb_checkpoints'}.",
        f"Ignored the hidden folder {root / 'cat' / '.thumbs'}.",
    }


def test_other_files_are_ignored_and_said_so(make_folder: MakeFolder) -> None:
    root = make_folder(cat=1, dog=1)
    (root / "cat" / "README.txt").write_text("cats")
    (root / "cat" / ".DS_Store").write_text("")
    (root / "loose.png").write_bytes((root / "cat" / "0.png").read_bytes())
    assert data.open(root).notes == (
        f"Images ignored in {root}, beside the class folders: 1.",
        f"Files ignored in {root / 'cat'}, no images by their names: 1.",
    )


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.open("mnits")
    assert str(caught.value) == (
        "There is no file or folder mnits, and no data set of that name. Did you mean mnist?"
    )
    with pytest.raises(DataError, match=f"no file or folder {tmp_path / 'gone'}, and no data set"):
        data.open(tmp_path / "gone")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.open(tmp_path)
    assert str(caught.value) == (
        f"The folder {tmp_path} is empty; expected a folder of images for each class."
    )


def test_images_without_class_folders(make_folder: MakeFolder) -> None:
    root = make_folder({".": 3})
    with pytest.raises(DataError) as caught:
        data.open(root)
    assert str(caught.value) == (
        f"{root} has 3 images but no class folder; expected a folder of images for each class."
    )


@pytest.mark.parametrize("part", ["", "train/"])
def test_a_class_folder_without_images(make_folder: MakeFolder, part: str) -> None:
    root = make_folder({f"{part}cat": 1, f"{part}dog": 0})
    dataset = data.open(root)
    assert [one.id for one in dataset.classes] == ["cat", "dog"] and dataset.lacking == ("dog",)
    with pytest.raises(DataError) as caught:
        data.split(dataset)
    assert str(caught.value) == (
        f"Expected images to train on of every class of {root}, received none that can be used of "
        "dog: add some, or take the class away."
    )


def test_a_class_missing_in_val_shifts_nothing(make_folder: MakeFolder) -> None:
    root = make_folder({"train/ant": 1, "train/bee": 1, "train/cow": 1, "val/cow": 2, "val/ant": 1})
    dataset = data.open(root)
    assert [one.id for one in dataset.classes] == ["ant", "bee", "cow"]
    assert dataset.parts["validation"].labels.tolist() == [0, 2, 2]
    assert dataset.notes == (f"The validation part of {root} has no images of bee.",)


def test_parts_with_different_classes(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dogs": 1})
    with pytest.raises(DataError) as caught:
        data.open(root)
    assert str(caught.value) == (
        f"The validation part of {root} has classes that the train part has not: dogs; "
        "it lacks dog. Call the folders alike, or give each images to train on."
    )


def test_two_folders_for_one_part(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 1, "val/cat": 1, "valid/cat": 1})
    with pytest.raises(DataError, match="look like the validation part: expected one folder"):
        data.open(root)


def test_one_image_without_class_folders(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="has 1 image but no class folder"):
        data.open(make_folder({".": 1}))


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["loop", "cat/loop", "cat/2019/loop"])
@pytest.mark.parametrize("target", ["..", ".", "/"])
def test_a_link_that_leads_back_is_ignored_and_said_so(
    make_folder: MakeFolder, place: str, target: str
) -> None:
    root = make_folder({"cat": 1, "cat/2019": 1, "dog": 1})
    link = root / place
    link.symlink_to(target)
    dataset = data.open(root)
    assert dataset.parts["all"].ids == ["cat/0.png", "cat/2019/0.png", "dog/0.png"]
    back = (link.parent / target).resolve()
    assert dataset.notes == (
        f"Ignored the link {link}, which leads back to {back}, where it lies.",
    )


def test_links_that_lead_back_together_end(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(cat=1, dog=1)
    away = tmp_path / "away"
    away.mkdir()
    (root / "cat" / "out").symlink_to(away)
    (away / "in").symlink_to(root / "cat")
    dataset = data.open(root)
    assert len(dataset.parts["all"]) == 2
    (note,) = dataset.notes
    assert note.startswith(f"Ignored the link {root / 'cat' / 'out' / 'in'}, which leads back to ")


def test_links_to_folders_and_files_elsewhere_are_followed(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(cat=2)
    away = root.rename(tmp_path / "away") / "cat"
    root = tmp_path / "linked"
    (root / "cat" / "below").mkdir(parents=True)
    (root / "dog").symlink_to(away)
    (root / "cat" / "more").symlink_to(away)
    (root / "cat" / "one.png").symlink_to(away / "0.png")
    dataset = data.open(root)
    assert [one.id for one in dataset.classes] == ["cat", "dog"]
    assert sorted(dataset.parts["all"].ids) == [
        "cat/more/0.png",
        "cat/more/1.png",
        "cat/one.png",
        "dog/0.png",
        "dog/1.png",
    ]
    assert dataset.notes == ()


def test_a_class_linked_to_nowhere_is_said(make_folder: MakeFolder) -> None:
    root = make_folder(cat=1, dog=1)
    (root / "cow").symlink_to("/nowhere/at/all")
    assert data.open(root).notes == (f"Ignored the link {root / 'cow'}, which leads nowhere.",)


# -- bad files -------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncate_jpeg(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    truncate(path)


def bomb(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path, "PNG")


def small_bomb(path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(path, "PNG")


def floating(path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path, "TIFF")


def wide(path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)).save(path, "TIFF")


BAD = {
    "floating point": (floating, "has floating-point values, and nothing says which one is white"),
    "32 bits": (wide, "has integers that do not fit into 16 bits"),
    "PNG cut short": (truncate, "is cut short or damaged: "),
    "JPEG cut short": (truncate_jpeg, "is cut short or damaged: image file is truncated"),
    "text": (
        lambda path: path.write_text("not an image"),
        "is not an image: its content is of no known format.",
    ),
    "zero bytes": (lambda path: path.write_bytes(b""), "is empty (0 bytes)."),
    "bomb": (
        bomb,
        "would unpack to more than 89,478,485 pixels: a decompression bomb?",
    ),
    "small bomb": (
        small_bomb,
        "would unpack to more than 89,478,485 pixels: a decompression bomb?",
    ),
    "a folder": (
        lambda path: (path.unlink(), path.symlink_to("/nowhere/at/all")),
        "cannot be read: No such file or directory.",
    ),
}


class Heard:
    """A display that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, what: str, unit: str, total: int | None) -> Heard:
        return self

    def advance(self, count: int = 1) -> None: ...

    def close(self) -> None: ...

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_skipped_said_and_counted(make_folder: MakeFolder, kind: str) -> None:
    spoil, sentence = BAD[kind]
    root = make_folder(cat=3, dog=2)
    path = root / "cat" / "1.png"
    spoil(path)
    heard = Heard()
    with progress.use(heard):
        dataset = data.open(root)
    ((skipped, reason),) = dataset.skipped
    assert skipped == str(path)
    assert reason.startswith(f"{path} {sentence}")
    assert reason.count("\n") == 0
    assert dataset.parts["all"].ids == [
        "cat/0.png",
        "cat/2.png",
        "dog/0.png",
        "dog/1.png",
    ]
    assert heard.lines == [f"Skipped: {reason}"]


def test_what_is_left_out_is_said_in_one_line_and_once(make_folder: MakeFolder) -> None:
    root = make_folder(cat=4, dog=2)
    for number in range(3):
        (root / "cat" / f"{number}.png").write_bytes(b"")
    for name in ("cat", "dog"):
        (root / name / "notes.txt").write_text("x")
    heard, again = Heard(), Heard()
    with progress.use(heard):
        data.open(root)
        with progress.unsaid():
            data.open(root)
        data.open(root)
    line = f"3 files left out, 2 notes: striate check {root} names them."
    assert heard.lines == [line]
    with progress.use(again):
        data.open(root)
    assert again.lines == [line]


def test_who_names_what_is_left_out_is_told_the_notes(make_folder: MakeFolder) -> None:
    root = make_folder(cat=4, dog=2)
    (root / "cat" / "0.png").write_bytes(b"")
    for name in ("cat", "dog"):
        (root / name / "notes.txt").write_text("x")
    heard = Heard()
    with progress.use(heard):
        data.open(root, named=True)
    assert heard.lines == [
        f"Note: Files ignored in {root / name}, no images by their names: 1."
        for name in ("cat", "dog")
    ]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_fatal_when_strict(make_folder: MakeFolder, kind: str) -> None:
    spoil, sentence = BAD[kind]
    root = make_folder(cat=3, dog=2)
    path = root / "cat" / "1.png"
    spoil(path)
    with pytest.raises(DataError) as caught:
        data.open(root, strict=True)
    assert str(caught.value).startswith(f"{path} {sentence}")


def test_a_folder_that_may_not_be_read_is_no_empty_one(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"cat": 1, "cat/2019": 1, "dog": 1})
    scan = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("2019"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        data.open(root)
    assert str(caught.value) == f"{root / 'cat' / '2019'} cannot be read: Permission denied."


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(make_folder: MakeFolder) -> None:
    root = make_folder(cat=2, dog=2)
    (root / "cat" / "0.png").chmod(0)
    ((path, reason),) = data.open(root).skipped
    assert reason == f"{path} cannot be read: Permission denied."


def test_a_class_of_bad_files_only(make_folder: MakeFolder) -> None:
    root = make_folder(cat=2, dog=1)
    (root / "dog" / "0.png").write_bytes(b"")
    dataset = data.open(root)
    assert dataset.lacking == ("dog",) and len(dataset.skipped) == 1
    with pytest.raises(DataError, match="none that can be used of dog: add some"):
        data.pack(dataset, root.with_suffix(".pack"))
    assert not root.with_suffix(".pack").exists()


def test_bad_files_only(make_folder: MakeFolder) -> None:
    root = make_folder({"test/cat": 1, "test/dog": 1})
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=f"There is no image that can be used in {root}"):
        data.open(root)


def test_a_file_that_goes_bad_later_is_named(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, rgb: object
) -> None:
    monkeypatch.setattr("striate.data.verify.MEMORY", 0)
    root = make_folder(cat=2, dog=2)
    samples = data.open(root).parts["all"]
    (root / "cat" / "0.png").unlink()
    with pytest.raises(DataError, match=f"{root / 'cat' / '0.png'} cannot be read: No such file"):
        samples.pixels(0, rgb)  # type: ignore[arg-type]


def test_what_is_kept_in_memory_is_what_is_read_again(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, rgb: object
) -> None:
    root = make_folder(cat=2, dog=2)
    kept = data.open(root).parts["all"]
    monkeypatch.setattr("striate.data.verify.MEMORY", 0)
    read = data.open(root).parts["all"]
    for index in range(4):
        assert (kept.pixels(index, rgb) == read.pixels(index, rgb)).all()  # type: ignore[arg-type]
        assert kept.content_hash(index) == read.content_hash(index)
    assert len({kept.content_hash(index) for index in range(4)}) == 4
