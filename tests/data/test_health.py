"""The data doctor on planted faults: those the lectures' practitioners complain of."""

from __future__ import annotations

import io
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from benchmarks.planted import Planted, finding, named, picture, save
from PIL import Image

from striate import data
from striate.data.health import examine, page
from striate.data.health.pairs import near
from striate.data.health.signature import signatures
from striate.data.prepare import resample_8bit
from striate.errors import DataError

PHOTOGRAPHS = Path(os.environ.get("STRIATE_DATA", "")) / "grocery"
CIFAR = Path(os.environ.get("STRIATE_DATA", "")) / "cifar10"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(24):
        part = "train" if number % 3 else "test"
        save(picture(number), tmp_path / part / "ab"[number % 2] / f"{number}.png")
    return tmp_path


def test_a_large_image_is_looked_at_without_copies_of_it() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 3000, 2500, 3), np.uint8)
    samples = data.ArraySamples(images, [0], ["large"])
    signatures(samples.subset([0]))  # imports, and what is made once
    tracemalloc.start()
    try:
        (found,) = signatures(samples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * images.nbytes  # its grey levels (a third), and strips
    assert found.total == pytest.approx(images[0].reshape(-1, 3).mean(axis=0) / 255)


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


def test_an_empty_class_is_found_and_the_rest_looked_at(folder: Path) -> None:
    (folder / "train" / "empty").mkdir()
    save(picture(1), folder / "train" / "a" / "wrong.png")
    health = examine(data.open(folder))
    hidden, refused = (finding(health, each) for each in ("hidden_or_empty", "training_refused"))
    assert hidden.verdict == "pass"  # it is no folder to ignore, but a class to put right
    assert refused.verdict == "fail" and refused.items == (("empty",),)
    assert finding(health, "label_conflicts").count == 2
    assert next(each.weight for each in health.classes if each.id == "empty") is None


@pytest.mark.parametrize(("classes", "images"), [("a", 4), ("ab", 1)])
def test_what_training_would_refuse_is_said_in_its_words(
    tmp_path: Path, classes: str, images: int
) -> None:
    for number, name in enumerate(classes * images):
        save(picture(number), tmp_path / name / f"{number}.png")
    dataset = data.open(tmp_path)
    with pytest.raises(DataError) as caught:
        data.split(dataset)
    refused = finding(examine(dataset), "training_refused")
    assert refused.verdict == "fail" and f"{refused.meaning}." == str(caught.value)


def test_uneven_classes_get_weights(tmp_path: Path) -> None:
    for number in range(20):
        save(picture(number), tmp_path / ("rare" if number < 4 else "frequent") / f"{number}.png")
    health = examine(data.open(tmp_path))
    assert finding(health, "uneven_classes").items == (("rare",),)
    assert finding(health, "uneven_classes").notes == ("4 images: weight 2.5",)
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


def test_bursts_across_parts_are_found_by_number_and_likeness(tmp_path: Path) -> None:
    """Numbers dealt at random over the parts are no series, whatever they count."""
    order = np.random.default_rng(1).permutation(80)
    for number in range(80):
        part = "test" if number % 4 == 0 else "train"
        save(picture(int(order[number])), tmp_path / part / "ab"[number % 2] / f"cat_{number}.png")
    for burst, name in enumerate(("frame_{:04}", "burst_a-{}")):
        scene = picture(200 + burst, 240)
        for frame in range(5):
            seen = scene.crop((4 * frame, 5 * frame, 180 + 4 * frame, 150 + 5 * frame))
            part = "test" if frame == 4 else "train"
            save(seen, tmp_path / part / "ab"[burst] / f"{name.format(frame)}.png")
    found = finding(examine(data.open(tmp_path)), "series_across_parts")
    assert len(found.items) == 2
    for group, name in zip(found.items, ("frame_{:04}", "burst_a-{}"), strict=True):
        stems = {Path(each).stem for each in group}
        assert {name.format(3), name.format(4)} <= stems <= {name.format(k) for k in range(5)}


def test_digits_in_files_of_numbers_are_no_series(tmp_path: Path) -> None:
    digits = data.open("digits").parts["all"]
    for number in np.random.default_rng(0).permutation(len(digits))[:600].tolist():
        part = "test" if number % 5 == 0 else "train"
        path = tmp_path / part / str(digits.labels[number]) / f"{number:04}.png"
        save(Image.fromarray(digits.stored(number)[..., 0]), path)
    assert finding(examine(data.open(tmp_path)), "series_across_parts").count == 0


def test_names_that_count_nothing_make_no_series(tmp_path: Path) -> None:
    """Hexadecimal names, of small images and large ones; and numbers of all classes together."""
    digits = data.open("digits").parts["all"]
    for number in range(len(digits)):
        part = "test" if number % 5 == 0 else "train"
        name = f"img{chr(97 + number % 26)}{number * 7919 % 100003:06x}.png"
        path = tmp_path / "digits" / part / str(digits.labels[number]) / name
        save(Image.fromarray(digits.stored(number)[..., 0]), path)
    for number in range(120):
        part = "test" if number % 5 == 0 else "train"
        save(
            picture(number), tmp_path / "hex" / part / "a" / f"x{number * 37 % 997 + 2700:03x}.png"
        )
        save(picture(number), tmp_path / "apart" / part / "a" / f"v2_{number * 7919 % 100003}.png")
    for number in range(60):
        part = "test" if number % 5 == 0 else "train"
        save(
            picture(number),
            tmp_path / "all" / part / "ab"[number % 2] / f"set{number // 3}_{number}.png",
        )
    for name in ("digits", "hex", "apart", "all"):
        save(picture(500), tmp_path / name / "train" / "b" / "another.png")
        found = finding(examine(data.open(tmp_path / name)), "series_across_parts")
        assert found.count == 0, (name, found.items[:3])


@pytest.mark.parametrize(("side", "classes"), [(30, "a"), (176, "ab")])
def test_small_frames_and_those_of_several_classes_are_a_series_where_they_look_alike(
    tmp_path: Path, side: int, classes: str
) -> None:
    for number in range(60):
        part = "test" if number % 5 == 0 else "train"
        save(
            picture(number).resize((side, side)),
            tmp_path / part / "ab"[number % 2] / f"x{number}y.png",
        )
    scene = picture(200, 240)
    for frame in range(3):
        seen = scene.crop((4 * frame, 5 * frame, 180 + 4 * frame, 150 + 5 * frame))
        where = tmp_path / ("test" if frame == 2 else "train") / classes[frame % len(classes)]
        save(seen.resize((side, side)), where / f"film07_frame{frame}.png")
    found = finding(examine(data.open(tmp_path)), "series_across_parts")
    (group,) = found.items
    stems = {Path(each).stem for each in group}
    assert {"film07_frame1", "film07_frame2"} <= stems <= {f"film07_frame{k}" for k in range(3)}


def thumbnail(image: Image.Image) -> np.ndarray:
    return resample_8bit(np.asarray(image.convert("L"))[..., None], (32, 32), "bilinear")[..., 0]


def test_near_tells_a_changed_picture_from_another() -> None:
    whole = [picture(seed, 200) for seed in range(30)]
    cropped = whole[3].crop((9, 4, 192, 195)).resize((150, 150))
    brightened = whole[5].point(lambda level: min(255, int(level * 1.2)))
    images = [*whole, cropped, brightened]
    found = near(np.stack([thumbnail(image) for image in images]), np.full(len(images), 150))
    assert found.tolist() == [[3, 30], [5, 31]]


def test_tiny_images_of_one_kind_are_alike_by_chance() -> None:
    digits = [
        Image.fromarray(samples.stored(index)[..., 0])
        for samples in data.open("digits").parts.values()
        for index in range(len(samples))
    ]
    again = digits[5].point(lambda level: int(level * 0.8) + 20)
    images = [thumbnail(image) for image in (*digits, again)]
    assert near(np.stack(images), np.full(len(images), 8)).tolist() == [[5, len(digits)]]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_tiny_images_have_no_company_to_be_judged_by(count: int) -> None:
    images = np.stack([thumbnail(picture(1))] * count) if count else np.zeros((0, 32, 32), np.uint8)
    assert near(images, np.full(count, 32)).shape == (0, 2)


@pytest.mark.skipif(not CIFAR.is_dir(), reason="no CIFAR-10 in $STRIATE_DATA")
def test_tiny_photographs_changed_a_little_are_found() -> None:
    test = data.open("cifar10").parts["test"]
    whole = [Image.fromarray(test.stored(index)) for index in range(2000)]
    chosen = np.random.default_rng(0).choice(len(whole), 80, replace=False)
    changed = []
    for number, image in enumerate(whole[index] for index in chosen):
        content = io.BytesIO()
        image.save(content, "JPEG", quality=50)
        changed.append(
            (
                Image.open(content),
                image.crop((1, 1, 32, 31)).resize((32, 32), Image.Resampling.BICUBIC),
                image.point(lambda level: min(255, int(level * 1.2))),
                image.resize((28, 28)).resize((32, 32), Image.Resampling.BICUBIC),
            )[number % 4]
        )
    images = np.stack([thumbnail(image) for image in (*whole, *changed)])
    found = {tuple(pair) for pair in near(images, np.full(len(images), 32)).tolist()}
    planted = {(int(index), len(whole) + number) for number, index in enumerate(chosen)}
    assert len(found & planted) >= 0.95 * len(planted)
    assert len(found - planted) <= 0.005 * len(whole)


def test_the_page_shows_pictures_and_escapes_names(folder: Path) -> None:
    save(picture(1), folder / "test" / "b" / "<b>&.png")
    dataset = data.open(folder)
    html = page(examine(dataset), dataset)
    assert html.count("<img") >= 2 and "&lt;b&gt;&amp;.png" in html and "<b>&" not in html
    assert "http" not in html


def test_the_page_keeps_names_whole_and_explains_its_weights(folder: Path) -> None:
    (folder / "train" / "a" / "broken.jpg").write_bytes(b"xx")
    dataset = data.open(folder)
    html = page(examine(dataset), dataset, ["<h2>with a network</h2>"])
    assert ">train/<wbr>a/<wbr>broken.jpg</figcaption>" in html  # lines break between folders
    assert "overflow-wrap:anywhere" not in html
    assert "Weight: the mean number of training images of a class over that of this one" in html
    assert html.count("<h2>with a network</h2>") == 1


# -- the natural-image folder ----------------------------------------------------------------------


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no natural-image folder in $STRIATE_DATA")
def test_faults_planted_in_photographs_are_found(tmp_path: Path) -> None:
    clean = examine(data.open(PHOTOGRAPHS))
    assert finding(clean, "series_across_parts").count == 0
    planted = Planted(PHOTOGRAPHS, tmp_path / "planted")
    health = examine(data.open(planted.place))
    score = planted.score(health, clean)
    assert score.pop("near_duplicates") >= 0.95
    assert score.pop("flagged_beside") <= 0.005
    assert score == dict.fromkeys(score, 1.0) and len(score) == 6
    assert named(finding(health, "bad_files")) == set(planted.corrupt)


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
