"""The checks on networks and loaders that were added to preflight: each fails on what it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.doctor.test_diagnose import prepared, recipe
from torch import nn

from striate import data, doctor
from striate.contract import Contract
from striate.data import Affine, Loader
from striate.doctor import Subject, feed, start
from striate.randomness import stream

_TURNED = (Affine(rotate_degrees=25.0),)


def subject(*layers: nn.Module, **more: object) -> Subject:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3), *layers)
    images = torch.randn(40, 1, 4, 4)
    return Subject(net, images, torch.arange(40) % 3, 3, **more)  # type: ignore[arg-type]


def loader(kind: type[Loader] = Loader, **options: object) -> Loader:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.4,)
    )
    whole = digits.parts["all"]
    inorder = whole.subset(np.argsort(whole.labels, kind="stable"))
    chosen = {"batch": 64, "seed": 0, "shuffle": True, **options}
    return kind(inorder, contract, **chosen)  # type: ignore[arg-type]


def test_features_that_start_alike() -> None:
    made = subject()
    assert start.features_differ(made).verdict == "pass"
    with torch.no_grad():
        made.net[1].weight.fill_(0.1)  # type: ignore[index]
    assert start.features_differ(made).verdict == "fail"


def test_probabilities_taken_for_scores() -> None:
    assert start.scores_not_probabilities(subject()).verdict == "pass"
    assert start.scores_not_probabilities(subject(nn.Softmax(1))).verdict == "fail"
    given = subject(nn.Softmax(1), answer="probabilities")
    assert start.scores_not_probabilities(given).verdict == "skip"


def test_random_weights_that_are_frozen() -> None:
    made = subject()
    made.net[1].weight.requires_grad_(False)  # type: ignore[index]
    assert start.all_trained(made).verdict == "fail"
    begun = Subject(made.net, made.images, made.labels, 3, begun=True)
    assert start.all_trained(begun).verdict == "pass"


class SameDraws(Loader):
    """Draws the same for every image and epoch."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        if self.augmenter is not None:
            draw = self.augmenter.draw
            self.augmenter.draw = lambda chance: draw(  # type: ignore[method-assign]
                stream(self.seed, "augment", 0, np.zeros(len(chance.keys), np.int64))
            )


def test_augmentation_that_repeats_itself() -> None:
    assert feed.augmentation_varies(loader()).verdict == "skip"
    assert feed.augmentation_varies(loader(augmentation=_TURNED)).verdict == "pass"
    assert feed.augmentation_varies(loader(SameDraws, augmentation=_TURNED)).verdict == "fail"


def test_order_that_does_not_change() -> None:
    def verdict(**options: object) -> str:
        made = loader(**options)
        return feed.order_varies(made, made.samples.labels.tolist(), 10).verdict

    assert verdict() == "pass"
    assert verdict(batch=4) == "pass"
    assert verdict(shuffle=False) == "fail"
    assert verdict(batch=10_000) == "pass"  # one batch of all, in another order each time


def test_weights_prepared_for_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = prepared(0.1, 0.3)
    for theirs, wanted in (
        (None, "skip"),
        (prepared(0.12, 0.3), "pass"),
        (prepared(0.9, 0.1), "fail"),
        (mine.replace(scale=1.0, mean=(25.5,), std=(76.5,)), "pass"),
    ):
        monkeypatch.setattr(feed, "start_contract", lambda recipe, theirs=theirs: theirs)
        assert feed.start_fits(recipe(), mine).verdict == wanted


def test_the_cheap_part_trains_nothing() -> None:
    found = {each.check for each in doctor.preflight(recipe(), trainings=False)}
    assert "overfits_few" not in found and "beats_shuffled_labels" not in found
    assert {"initial_loss", "augmentation_varies", "order_varies", "start_fits"} <= found
    assert not doctor.trainings_pay(recipe(epochs=3), 1000)
    assert doctor.trainings_pay(recipe(epochs=10), 50_000)
