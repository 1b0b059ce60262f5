"""Neighbours by features: as scikit-learn finds them, and never the image itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from striate import data, weights
from striate.errors import DataError, MissingExtra, UnknownName
from striate.transfer import features, similar
from striate.transfer.neighbours import approximate, exact, unit


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path: Path, seed: int, colour: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(seed).integers(-60, 60, (32, 32, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of two colours, in two parts."""
    place = tmp_path / "colours"
    for part, count in (("train", 9), ("test", 5)):
        for name, colour in (("blue", (20, 40, 200)), ("red", (200, 60, 30))):
            for number in range(count):
                seed = len(part) * 100 + 10 * number + len(name)
                write(place / part / name / f"{number}.png", seed, colour)
    return place


def test_neighbours_are_the_nearest_of_all_parts(
    published_weights: Path, folder: Path, tmp_path: Path
) -> None:
    model = weights.open("resnet20_cifar10")
    asked = [folder / "test" / "red" / "2.png", tmp_path / "new.png"]
    write(asked[1], 999, (30, 30, 180))
    found = similar(model, asked, str(folder), count=6, out=tmp_path / "out", device="cpu")
    dataset = data.open(str(folder))
    parts = list(dataset.parts.values())
    known = np.concatenate([features(model, each, (found.layer,))[found.layer] for each in parts])
    paths = [str(path) for each in parts for path in each.paths]  # type: ignore[attr-defined]
    assert found.images == len(paths) == 28 and found.index == "exact"
    place = paths.index(str(asked[0]))
    oracle = NearestNeighbors(n_neighbors=7, metric="cosine").fit(known)
    distances, places = oracle.kneighbors(known[place : place + 1])
    first, second = found.answers
    assert [each.file for each in first.neighbours] == [paths[at] for at in places[0][1:]]
    likeness = [each.similarity for each in first.neighbours]
    np.testing.assert_allclose(likeness, 1 - distances[0][1:], atol=1e-5)
    assert first.itself == (str(asked[0]),) and second.itself == ()
    assert {each.id for each in second.neighbours} == {"blue"}
    assert json.loads((tmp_path / "out" / "similar.json").read_bytes())["images"] == 28
    with Image.open(first.picture) as picture:
        assert picture.width > 400
        colours = np.asarray(picture).reshape(-1, 3).astype(int)
    assert (colours[:, 0] - colours[:, 2] > 100).sum() > 6 * 100 * 100  # seven red tiles


def test_a_folder_without_classes_and_with_copies(
    published_weights: Path, folder: Path, tmp_path: Path
) -> None:
    """However often the image itself is among the data, as many others are found as are wanted."""
    album, asked = tmp_path / "album", folder / "train" / "red" / "0.png"
    album.mkdir()
    for number in range(12):
        (album / f"copy{number}.png").write_bytes(asked.read_bytes())
    for number in range(3):
        write(album / f"other{number}.png", number, (20, 40, 200))
    found = similar("resnet20_cifar10", [asked], str(album), count=2, out=tmp_path, device="cpu")
    (answer,) = found.answers
    assert found.images == 15
    assert len(answer.itself) == 12
    assert [Path(each.file).name[:5] for each in answer.neighbours] == ["other", "other"]
    assert {each.id for each in answer.neighbours} == {"album"}


def test_mistakes_are_named(published_weights: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"layer3\.0\.conv1"):
        similar("resnet20_cifar10", [folder], str(folder), layer="layer3.0.conv")
    alone = tmp_path / "alone"
    write(alone / "a" / "1.png", 1, (9, 9, 9))
    with pytest.raises(DataError, match="Nothing but"):
        similar("resnet20_cifar10", [alone / "a" / "1.png"], str(alone), out=tmp_path)


@pytest.fixture(scope="module")
def cloud() -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    centres = source.normal(size=(40, 32))
    known = centres[source.integers(40, size=3000)] + 0.4 * source.normal(size=(3000, 32))
    asked = centres[:20] + 0.4 * source.normal(size=(20, 32))
    return unit(asked.astype(np.float32)), unit(known.astype(np.float32))


def test_blocks_change_nothing(cloud: tuple[np.ndarray, np.ndarray], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    asked, known = cloud
    whole = exact(asked, known, 15)
    np.testing.assert_array_equal(whole[0], np.argsort(-(asked @ known.T), kind="stable")[:, :15])
    monkeypatch.setattr("striate.transfer.neighbours._BLOCK", 700)
    blocked = exact(asked, known, 15)
    np.testing.assert_array_equal(whole[0], blocked[0])
    np.testing.assert_allclose(whole[1], blocked[1], rtol=1e-6)


def test_an_index_finds_nearly_all_and_is_kept(
    cloud: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pytest.importorskip("usearch")
    asked, known = cloud
    wanted, likeness = exact(asked, known, 10)
    for _ in range(2):
        places, values = approximate(asked, known, 10)
        both = [len({*a} & {*b}) for a, b in zip(wanted.tolist(), places.tolist(), strict=True)]
        assert np.mean(both) > 9.5
        np.testing.assert_allclose(values[:, 0], likeness[:, 0], atol=1e-5)
    assert len(list((tmp_path / "cache" / "striate" / "features").glob("*.usearch"))) == 1


def test_without_its_package_the_index_says_what_to_install(
    cloud: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "usearch.index", None)
    with pytest.raises(MissingExtra, match=r"striate\[similar\]"):
        approximate(*cloud, 3)
