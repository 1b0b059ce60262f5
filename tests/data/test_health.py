"""The data doctor on planted faults: those the lectures' practitioners complain of."""

from __future__ import annotations

import io
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import data
from striate.data.health import Finding, Health, examine, page
from striate.data.health.pairs import near
from striate.data.prepare import resample_8bit

PHOTOGRAPHS = Path(os.environ.get("STRIATE_DATA", "")) / "grocery"


def finding(health: Health, check: str) -> Finding:
    return next(each for each in health.findings if each.check == check)


def named(found: Finding) -> set[str]:
    return {name for group in found.items for name in group}


def picture(seed: int, size: int = 96) -> Image.Image:
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(24):
        part = "train" if number % 3 else "test"
        save(picture(number), tmp_path / part / "ab"[number % 2] / f"{number}.png")
    return tmp_path


def test_a_sound_folder_passes(folder: Path) -> None:
    health = examine(data.open(folder))
    assert health.verdict == "pass"
    assert health.images == {"train": 16, "test": 8}
    assert all(each.count == 0 for each in health.findings)
    assert sum(each.weight or 0 for each in health.classes) == pytest.approx(2, abs=0.1)


def test_exact_duplicates_and_leaks_are_found_whatever_the_format(folder: Path) -> None:
    save(picture(1), folder / "test" / "b" / "again.bmp")
    health = examine(data.open(folder))
    assert finding(health, "exact_duplicates").items == (("train/b/1.png", "test/b/again.bmp"),)
    assert finding(health, "leaks_across_parts").verdict == "fail"
    assert health.leaked == ("test/b/again.bmp",)


def test_one_picture_with_two_labels_is_a_conflict(folder: Path) -> None:
    save(picture(1), folder / "train" / "a" / "wrong.png")
    found = finding(examine(data.open(folder)), "label_conflicts")
    assert found.verdict == "fail" and found.notes == ("a or b",)
    assert set(found.items[0]) == {"train/b/1.png", "train/a/wrong.png"}


def test_blank_images_are_found_and_are_no_duplicates_of_each_other(folder: Path) -> None:
    for level in (0, 1):
        path = folder / "train" / "a" / f"blank{level}.png"
        save(Image.new("RGB", (96, 96), (level, 9, 9)), path)
    health = examine(data.open(folder))
    blank = {"train/a/blank0.png", "train/a/blank1.png"}
    assert named(finding(health, "blank_images")) == blank
    assert finding(health, "near_duplicates").count == 0


def test_hidden_and_empty_folders_are_found(folder: Path) -> None:
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    (folder / "train" / "a" / ".thumbs").write_bytes(b"")
    (folder / "train" / "a" / "nothing").mkdir()
    found = finding(examine(data.open(folder)), "hidden_or_empty")
    assert sorted(found.notes) == ["empty folder", "hidden file", "hidden folder"]


def test_uneven_classes_get_weights(tmp_path: Path) -> None:
    for number in range(20):
        save(picture(number), tmp_path / ("rare" if number < 4 else "frequent") / f"{number}.png")
    health = examine(data.open(tmp_path))
    assert finding(health, "uneven_classes").items == (("rare",),)
    assert {each.id: each.weight for each in health.classes} == {"rare": 2.5, "frequent": 0.625}


def test_a_film_on_both_sides_is_a_series_but_numbers_alone_are_not(tmp_path: Path) -> None:
    for number in range(60):
        part = "test" if number % 5 == 0 else "train"
        save(picture(number), tmp_path / part / "ab"[number % 2] / f"photo_{number:03}.png")
    for frame in range(2):
        path = tmp_path / ("train", "test")[frame] / "a" / f"film07_frame{frame}.png"
        save(picture(100 + frame), path)
    found = finding(examine(data.open(tmp_path)), "series_across_parts")
    assert named(found) == {"train/a/film07_frame0.png", "test/a/film07_frame1.png"}


def test_near_tells_a_changed_picture_from_another() -> None:
    def thumbnail(image: Image.Image) -> np.ndarray:
        return resample_8bit(np.asarray(image.convert("L"))[..., None], (32, 32), "bilinear")[
            ..., 0
        ]

    whole = [picture(seed, 200) for seed in range(30)]
    cropped = whole[3].crop((9, 4, 192, 195)).resize((150, 150))
    brightened = whole[5].point(lambda level: min(255, int(level * 1.2)))
    images = [*whole, cropped, brightened]
    found = near(np.stack([thumbnail(image) for image in images]), np.full(len(images), 150))
    assert found.tolist() == [[3, 30], [5, 31]]


def test_the_page_shows_pictures_and_escapes_names(folder: Path) -> None:
    save(picture(1), folder / "test" / "b" / "<b>&.png")
    dataset = data.open(folder)
    html = page(examine(dataset), dataset)
    assert html.count("<img") >= 2 and "&lt;b&gt;&amp;.png" in html and "<b>&" not in html
    assert "http" not in html


def test_ten_thousand_small_images_take_less_than_half_a_minute() -> None:
    chance = np.random.default_rng(0)
    small = chance.integers(0, 256, (2000, 32, 32, 3), np.uint8)
    samples = data.ArraySamples(small, np.arange(2000) % 2, [f"{i}" for i in range(2000)])
    dataset = data.Dataset("noise", "noise", data.open("digits").classes[:2], {"all": samples})
    began = time.process_time()
    assert finding(examine(dataset), "near_duplicates").count == 0
    assert time.process_time() - began < 12  # 2,000 of them, on one core


# -- the natural-image folder ----------------------------------------------------------------------


class Planted:
    """A copy of the natural-image folder with faults whose places are known."""

    def __init__(self, place: Path) -> None:
        shutil.copytree(PHOTOGRAPHS, place)
        self.place, self.random = place, random.Random(0)
        train = sorted((place / "train").rglob("*.jpg"))
        self.random.shuffle(train)
        self.sources = iter(train)
        self.corrupt = [self._corrupt(number) for number in range(30)]
        self.exact = [self._exact(number) for number in range(40)]
        self.near = [self._near(number) for number in range(40)]
        self.conflicts = [self._conflict(number) for number in range(20)]
        for number in range(5):
            (next(self.sources).parent / f".hidden{number}.jpg").write_bytes(b"\xff\xd8\xff")
        self._modes()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.place).as_posix()

    def _corrupt(self, number: int) -> str:
        path = next(self.sources)
        content = path.read_bytes()
        kinds = (b"", content[: len(content) // 2], b"no image" * 50)
        path.write_bytes(kinds[number % 3])
        return str(path)

    def _exact(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        copy = self.place / "test" / source.parent.name / f"exact{number}.jpg"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(source, copy)
        return self._name(source), self._name(copy)

    def _near(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        copy = self.place / "test" / source.parent.name / f"near{number}.jpg"
        copy.parent.mkdir(exist_ok=True)
        with Image.open(source) as image:
            image.load()
        width, height = image.size
        some, draw = self.random.uniform, self.random
        if number % 4 == 1:
            factor = some(0.5, 1.5)
            image = image.resize((int(width * factor), int(height * factor)))
        elif number % 4 == 2:
            left, top = some(0, 0.05) * width, some(0, 0.05) * height
            right, bottom = some(0.95, 1) * width, some(0.95, 1) * height
            image = image.crop((int(left), int(top), int(right), int(bottom)))
        elif number % 4 == 3:
            factor = some(1, 1.2)
            image = image.point(lambda level: min(255, int(level * factor)))
        image.save(copy, quality=draw.randint(50, 95))
        return self._name(source), self._name(copy)

    def _conflict(self, number: int) -> tuple[str, str]:
        source = next(self.sources)
        classes = sorted(path.name for path in (self.place / "train").iterdir())
        other = classes[(classes.index(source.parent.name) + 1 + number) % len(classes)]
        if other == source.parent.name:
            other = classes[(classes.index(other) + 1) % len(classes)]
        copy = self.place / "train" / other / f"conflict{number}.jpg"
        shutil.copy(source, copy)
        return self._name(source), self._name(copy)

    def _modes(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        where = next(self.sources).parent
        save(picture(900), where / "turned.jpg", exif=exif)
        save(picture(901).convert("CMYK"), where / "cmyk.jpg")
        levels = np.asarray(picture(902).convert("L")).astype(np.uint16) * 257
        save(Image.fromarray(levels), where / "sixteen.png")


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no natural-image folder in $STRIATE_DATA")
def test_faults_planted_in_photographs_are_found(tmp_path: Path) -> None:
    clean = examine(data.open(PHOTOGRAPHS))
    flagged_before = {name for each in clean.findings for name in named(each)}
    planted = Planted(tmp_path / "planted")
    health = examine(data.open(planted.place))
    assert named(finding(health, "bad_files")) == set(planted.corrupt)
    hidden = finding(health, "hidden_or_empty")
    assert hidden.count == 5
    exact, close = finding(health, "exact_duplicates"), finding(health, "near_duplicates")
    for pair in [*planted.exact, *planted.conflicts]:
        assert any(set(pair) <= set(group) for group in exact.items), pair
    found = [any(set(pair) <= set(group) for group in close.items) for pair in planted.near]
    assert np.mean(found) >= 0.95
    assert {copy for _, copy in planted.exact} <= set(health.leaked)
    for pair in planted.conflicts:
        conflicts = finding(health, "label_conflicts").items
        assert any(set(pair) <= set(group) for group in conflicts), pair
    modes = {each.what: each.count for each in health.modes}
    assert modes["RGB, turned by EXIF"] == 1 and modes["CMYK"] == 1 and modes["16 bits"] == 1
    known = {name for pair in (*planted.exact, *planted.near, *planted.conflicts) for name in pair}
    known |= named(finding(health, "bad_files")) | named(hidden) | flagged_before
    flagged = {name for each in health.findings for name in named(each)}
    assert len(flagged - known) <= 0.005 * sum(health.images.values())


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no natural-image folder in $STRIATE_DATA")
def test_near_duplicates_are_found_under_all_changes_at_once(tmp_path: Path) -> None:
    for number, source in enumerate(sorted((PHOTOGRAPHS / "train").rglob("*.jpg"))[::25]):
        path = tmp_path / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(source, path)
        with Image.open(source) as image:
            width, height = image.size
            image = image.crop((int(0.04 * width), 3, width - 2, int(0.96 * height)))
            image = image.point(lambda level: min(255, int(level * 1.15)))
            content = io.BytesIO()
            image.resize((120, 120)).save(content, "JPEG", quality=60)
        path.with_name(f"{number}x.jpg").write_bytes(content.getvalue())
    dataset = data.open(tmp_path)
    close = finding(examine(dataset), "near_duplicates")
    pairs = {frozenset(Path(name).stem.rstrip("x") for name in group) for group in close.items}
    assert sum(len(pair) == 1 for pair in pairs) >= 0.95 * len(dataset.parts["all"]) / 2
