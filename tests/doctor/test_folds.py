"""Labels in doubt by networks that have not seen them, on digits of which some are mislabelled."""

from __future__ import annotations

import numpy as np
import pytest

from striate import data, recipes
from striate.data import ArraySamples, Dataset
from striate.doctor.folds import CrossDoubt, assign, cross_doubt
from striate.errors import UsageError

WRONG = 30


@pytest.fixture(scope="module")
def mislabelled() -> Dataset:
    """A training part of 700 digits, the first 30 of another class than they show, and a test."""
    digits = data.open("digits")
    samples = digits.parts["all"]
    assert isinstance(samples, ArraySamples)
    labels = samples.labels.copy()
    chance = np.random.default_rng(0)
    labels[:WRONG] = (labels[:WRONG] + chance.integers(1, 10, WRONG)) % 10
    changed = ArraySamples(samples.images, labels, samples.ids)
    parts = {"train": changed.subset(range(700)), "test": changed.subset(range(1700, 1797))}
    return Dataset("digits", "digits", digits.classes, parts)


def test_wrong_labels_of_the_training_part_are_found(mislabelled: Dataset) -> None:
    settings = ["epochs=20", "augmentation=[]", "batch=32", "workers=0"]
    recipe = recipes.make("auto", mislabelled, device="cpu", settings=settings)
    found = cross_doubt(recipe, mislabelled, folds=2)
    assert (found.images, found.folds) == (797, 2)
    assert 0.8 < found.accuracy < 1 - WRONG / 700 + 0.02, "wrong labels are answered wrongly"
    wrong = {f"train/{id}" for id in mislabelled.parts["train"].ids[:WRONG]}
    named = {each.sample for each in found.suspects}
    assert len(named & wrong) >= 0.7 * WRONG, "most wrong labels are suspects"
    assert len(named & wrong) >= 0.6 * len(named), "and most suspects are wrong labels"


def test_labels_drawn_anew_are_told_from_a_weak_network() -> None:
    """40% of the digits' labels; and their own labels, learnt by a network for a single epoch."""
    digits = data.open("digits")
    samples = digits.parts["all"]
    assert isinstance(samples, ArraySamples)
    chance = np.random.default_rng(0)
    drawn = chance.random(len(samples)) < 0.4
    labels = np.where(drawn, chance.integers(0, 10, len(samples)), samples.labels)

    def asked(labels: np.ndarray, images: int, epochs: int) -> CrossDoubt:
        part = ArraySamples(samples.images, labels, samples.ids).subset(range(images))
        dataset = Dataset("digits", "digits", digits.classes, {"train": part})
        settings = [f"epochs={epochs}", "augmentation=[]", "batch=32", "workers=0"]
        recipe = recipes.make("auto", dataset, device="cpu", settings=settings)
        return cross_doubt(recipe, dataset, folds=2)

    noisy = asked(labels, len(samples), 4)
    assert noisy.labels_wrong == pytest.approx(float((labels != samples.labels).mean()), abs=0.1)
    wrong = {f"train/{samples.ids[k]}" for k in np.flatnonzero(labels != samples.labels)}
    assert sum(each.sample in wrong for each in noisy.suspects[:20]) >= 19
    weak = asked(samples.labels, 300, 1)
    assert weak.accuracy < 0.7 and weak.labels_wrong is None


def test_folds_are_even_and_twins_stay_together(mislabelled: Dataset) -> None:
    samples = mislabelled.parts["train"]
    plain = assign(samples, 4, 0)
    table = np.zeros((10, 4), np.int64)
    np.add.at(table, (samples.labels, plain), 1)
    assert np.ptp(table, axis=1).max() <= 1 and np.ptp(table.sum(0)) <= 1
    assert (plain == assign(samples, 4, 0)).all() and (plain != assign(samples, 4, 1)).any()
    twins = assign(samples, 4, 0, [[3, 90, 200], [5, 6]])
    assert len(set(twins[[3, 90, 200]])) == len(set(twins[[5, 6]])) == 1
    assert (twins != plain).sum() <= 3


@pytest.mark.parametrize("folds", [1, 60, 10_000])
def test_folds_that_a_class_cannot_fill_are_refused(mislabelled: Dataset, folds: int) -> None:
    assert np.bincount(mislabelled.parts["train"].labels).min() < 80
    with pytest.raises(UsageError, match=f"received --folds {folds}"):
        assign(mislabelled.parts["train"].subset(range(500)), folds, 0)
