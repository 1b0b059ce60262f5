"""Holding out: every class in its share, the same by the same seed, nothing twice, parts kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import data
from striate.data.dataset import Dataset, classes_of
from striate.data.split import SplitDocument
from striate.errors import DataError
from striate.records import from_json, to_json


def samples(labels: list[int], prefix: str = "") -> data.ArraySamples:
    """Return images of one pixel, all different."""
    count = len(labels)
    images = np.arange(count * 3, dtype=np.int64).astype(np.uint8).reshape(count, 1, 1, 3)
    images[..., 1] = np.arange(count)[:, None, None] // 256
    return data.ArraySamples(images, np.array(labels), [f"{prefix}{n}" for n in range(count)])


def dataset(classes: int = 3, **parts: list[int]) -> Dataset:
    made: Mapping[str, data.Samples] = {name: samples(each, name) for name, each in parts.items()}
    return Dataset("made", "made", classes_of([f"c{k}" for k in range(classes)]), made)


def counts(part: data.Samples, classes: int = 3) -> list[int]:
    return [int(count) for count in np.bincount(part.labels, minlength=classes)]


UNEVEN = [0] * 100 + [1] * 50 + [2] * 20


def test_every_class_in_its_share() -> None:
    split = data.split(dataset(all=UNEVEN), test=0.2, validation=0.1)
    assert counts(split.test) == [20, 10, 4]
    assert counts(split.validation) == [8, 4, 2]
    assert counts(split.train) == [72, 36, 14]
    ids = [*split.train.ids, *split.validation.ids, *split.test.ids]
    assert sorted(ids) == sorted(f"all{n}" for n in range(170))
    assert split.notes == ()


def test_one_seed_one_split() -> None:
    made = dataset(all=UNEVEN)
    first, again, other = (data.split(made, seed=seed).document() for seed in (3, 3, 4))
    assert first == again
    assert set(first.test.ids) != set(other.test.ids)
    assert len(first.test.ids) == len(other.test.ids)


def test_the_order_of_files_is_kept() -> None:
    split = data.split(dataset(all=UNEVEN))
    for part in (split.train, split.validation, split.test):
        places = [int(name.removeprefix("all")) for name in part.ids]
        assert places == sorted(places)


def test_no_more_than_so_many_for_validation() -> None:
    split = data.split(
        dataset(train=[0, 1, 2] * 1000, test=[0]), validation=0.5, validation_most=30
    )
    assert counts(split.validation) == [10, 10, 10]


def test_parts_that_are_given_are_kept() -> None:
    made = dataset(train=UNEVEN, test=[2, 1, 0, 0])
    split = data.split(made, validation=0.1, test=0.9)
    assert split.test is made.parts["test"]
    assert counts(split.validation) == [10, 5, 2] and len(split.train) == 153
    three = dataset(train=UNEVEN, validation=[0, 1], test=[2])
    split = data.split(three)
    assert [split.train, split.validation, split.test] == list(three.parts.values())


def test_the_validation_part_is_another_where_the_test_part_is_given() -> None:
    """Holding out less for the test moves no image from training to validation and back."""
    made = dataset(all=UNEVEN)
    nothing = data.split(made, test=0.0, validation=0.1)
    assert len(nothing.test) == 0 and counts(nothing.validation) == [10, 5, 2]


def test_a_class_of_one_image_stays_in_training_and_is_said() -> None:
    split = data.split(dataset(all=[0] * 40 + [1] * 40 + [2]), test=0.25, validation=0.2)
    assert counts(split.train)[2] == 1
    assert split.notes == (
        "Too few images to hold any out for the test part: c2.",
        "Too few images to hold any out for the validation part: c2.",
    )


def test_nothing_to_train_on() -> None:
    with pytest.raises(DataError, match=r"^made has nothing to train on: .* it has test\.$"):
        data.split(dataset(test=[0, 1]))


def test_one_class_is_too_few() -> None:
    with pytest.raises(DataError, match=r"at least two classes to train on, received 1 in made: "):
        data.split(dataset(all=[1] * 9))


def test_too_few_images_to_hold_any_out() -> None:
    with pytest.raises(DataError, match=r"made has too few images to hold out a test part: 3 of 3"):
        data.split(dataset(all=[0, 1, 2]))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(DataError, match=rf"share of 0 to 1 to hold out, received test={share}"):
        data.split(dataset(all=UNEVEN), test=share)


def test_the_document_names_and_hashes_every_image() -> None:
    made = dataset(all=UNEVEN)
    document = data.split(made).document()
    assert from_json(SplitDocument, to_json(document)) == document
    part = made.parts["all"]
    hashes = {name: part.content_hash(place) for place, name in enumerate(part.ids)}
    for each in (document.train, document.validation, document.test):
        assert [hashes[name] for name in each.ids] == list(each.hashes)
    assert len(set(hashes.values())) == 170


@given(
    st.lists(st.integers(0, 4), min_size=12, max_size=200),
    st.floats(0.05, 0.6),
    st.floats(0.05, 0.6),
    st.integers(0, 5),
)
def test_nothing_is_lost_or_twice(
    labels: list[int], test: float, validation: float, seed: int
) -> None:
    made = dataset(5, all=labels)
    try:
        split = data.split(made, seed=seed, test=test, validation=validation)
    except DataError as error:
        assert "at least two classes" in str(error) or "too few images" in str(error)
        return
    ids = [*split.train.ids, *split.validation.ids, *split.test.ids]
    assert sorted(ids) == sorted(made.parts["all"].ids)
    assert set(split.train.labels) == set(labels), "every class is trained on"
    assert len(split.test) and len(split.validation)
    share = np.array(counts(split.test, 5)) - test * np.bincount(labels, minlength=5)
    assert share.max() < 1 + 1e-9, "no class gives more than its share, rounded up"


def test_real_photographs(grocery: Path) -> None:
    split = data.split(data.open(str(grocery)))
    assert (len(split.test), len(split.train) + len(split.validation)) == (933, 1153)
    assert set(split.validation.labels) == set(range(24))
