"""Findings: each rule on a story made for it, silence on healthy ones, and real runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import doctor, runs, train
from striate.contract import Contract
from striate.data import Sampling
from striate.data.dataset import classes_of
from striate.design import BatchNorm, Network, Sketch
from striate.doctor.diagnose import RULES, diagnose_story
from striate.doctor.story import Story, of_check
from striate.errors import NotFiniteError


def network(norm: bool = False, momentum: float = 0.1) -> Network:
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1)
    if norm:
        pen.put(BatchNorm(name="norm1", inputs=(pen.last,), momentum=momentum))
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    return pen.finish()


def recipe(**changes: Any) -> train.Recipe:
    made = train.Recipe(
        name="small",
        network=network(),
        data=train.DataChoice(path="digits", test=0.6, validation=0.3),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.05),
        epochs=3,
        batch=32,
        workers=0,
        device="cpu",
    )
    return made.replace(**changes)


def probe(ratio: float = 1e-3, **more: Any) -> dict[str, Any]:
    weight = {"size": 1.0, "gradient": 0.1, "update": ratio, "apart": 0.9}
    names = ("conv1.weight", "conv2.weight", "classifier.weight")
    line = {
        "weights": {name: dict(weight) for name in names},
        "values": {"relu1": {"mean": 0.5, "spread": 1.0, "dead": 0.0, "saturated": 0.0}},
        "norms": {},
        "waiting": 0.05,
    }
    return line | more


def story(**changes: Any) -> Story:
    """A healthy run of 400 steps in 10 epochs: the loss falls, validation follows."""
    steps = np.arange(400)
    falling = 0.2 + 2.1 * np.exp(-steps / 60)
    healthy = Story(
        recipe=recipe(),
        classes=10,
        losses=falling,
        rates=0.05 * (1 + np.cos(np.pi * steps / 400)) / 2,
        gradients=np.ones(400),
        steps_per_epoch=40,
        validations=np.stack([falling[39::40] + 0.03, np.linspace(0.4, 0.95, 10)], 1),
        probes=tuple(probe() for _ in range(6)),
        failure=None,
        data={
            "train": {"ids": [str(k) for k in range(1280)], "hashes": [f"t{k}" for k in range(9)]},
            "validation": {"ids": [str(k) for k in range(300)], "hashes": ["v0", "v1"]},
        },
        results=None,
        images=1280,
        held_out=300,
    )
    return healthy._replace(**changes)


def names(made: Story) -> set[str]:
    return {each.finding for each in diagnose_story(made)}


def test_a_healthy_run_is_left_alone() -> None:
    assert names(story()) == set()


flat = np.full(400, 2.302)
chance = np.stack([np.full(10, 2.302), np.full(10, 0.1)], 1)
norms = probe(norms={"norm1": 0.2})
frozen_layers = tuple(
    each.replace(trainable=False) if each.name == "norm1" else each for each in network(True).layers
)
steep = probe()
steep["weights"]["conv1.weight"]["gradient"] = 1e-9
blown = probe()
blown["weights"]["conv1.weight"]["gradient"] = 1e6
alike = probe()
alike["weights"]["conv1.weight"]["apart"] = 1e-6
silent = probe()
silent["weights"]["conv1.weight"]["gradient"] = 0.0
unheld = probe()
del unheld["weights"]["conv1.weight"]
stopped = probe()
stopped["weights"]["conv1.weight"] |= {"update": 0.0, "gradient": None}
frozen_body = tuple(
    each.replace(trainable=False) if each.name == "conv1" else each for each in network().layers
)
_pen = Sketch("dropped", (1, 8, 8))
_pen.flatten()
_pen.dropout("drop", 0.95)
_pen.linear("classifier", 10)
dropped = _pen.finish()
_pen = Sketch("rectified", (1, 8, 8))
_pen.flatten()
_pen.linear("classifier", 10)
_pen.relu("relu1")
rectified = _pen.finish()


own = recipe(data=train.DataChoice(path="(a loop of its own)"))


redrawn = np.random.default_rng(0).multinomial(200, 0.6 * np.eye(10) + 0.04)  # 36% are others
weak = np.random.default_rng(0).multinomial(
    200,
    [np.roll([0.6, 0.25, 0.09, 0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005], k) for k in range(10)],
)
mixed = 60 * np.eye(10)
mixed[np.ix_([4, 9], [4, 9])] = [[35.0, 25.0], [22.0, 38.0]]


unknown = 28 * np.eye(10, dtype=int) + 1
unknown[:, 7:] = 0  # classes that training never saw
unknown[7:, :3] = 10


few = np.zeros((10, 10), int)
few[:, :4] = 5 + 60 * np.eye(10, dtype=int)[:, :4]


def shrunk(size: float, moves: float = 1e-3) -> dict[str, Any]:
    made = probe(moves)
    for each in made["weights"].values():
        each["size"] = size
    return made


def prepared(mean: float, std: float) -> Contract:
    return Contract(
        classes=classes_of(list("0123456789")),
        channels="grey",
        size=(8, 8),
        mean=(mean,),
        std=(std,),
    )


shifted = {"test": {"confusion": np.roll(np.eye(10, dtype=int) * 30, 1, axis=1).tolist()}}

changed_about = [0, 1, 2, 8, 4, 5, 6, 7, 3, 9]

STORIES: dict[str, dict[str, Any]] = {
    "not_finite": {"failure": {"at": 7, "layer": "conv1"}},
    "exploding": {"losses": np.linspace(2.3, 50.0, 400)},
    "rate_too_high": {
        "losses": flat + 0.2,
        "validations": chance,
        "probes": tuple(probe(0.2) for _ in range(6)),
    },
    "rate_too_low": {
        "losses": np.linspace(2.31, 2.29, 400),
        "validations": np.stack([np.full(10, 2.29), np.linspace(0.1, 0.3, 10)], 1),
        "probes": tuple(probe(1e-6) for _ in range(6)),
    },
    "plateau": {
        "losses": np.maximum(2.3 - np.arange(400) / 60, 0.9),
        "rates": np.full(400, 0.05),
        "validations": np.stack([np.full(10, 0.95), np.full(10, 0.8)], 1),
    },
    "overfitting": {
        "losses": 2.3 * np.exp(-np.arange(400) / 50),
        "validations": np.stack(
            [np.r_[1.0, 0.7, 0.6, np.linspace(0.7, 1.6, 7)], np.linspace(0.4, 0.8, 10)], 1
        ),
    },
    "still_improving": {
        "losses": np.linspace(2.3, 1.4, 400),
        "validations": np.stack([np.linspace(2.24, 1.43, 10), np.linspace(0.2, 0.6, 10)], 1),
    },
    "underfitting": {
        "losses": 1.6 + 0.7 * np.exp(-np.arange(400) / 20),
        "validations": np.stack([np.full(10, 1.65), np.full(10, 0.4)], 1),
    },
    "dead_rectifiers": {
        "probes": (probe(values={"relu1": {"dead": 0.9, "saturated": 0.0}}),) * 4,
        "losses": flat,
        "validations": chance,
    },
    "saturation": {"probes": (probe(values={"tanh1": {"dead": 0.0, "saturated": 0.8}}),) * 4},
    "vanishing_gradients": {"probes": (steep,) * 4},
    "exploding_gradients": {"probes": (blown,) * 4},
    "frozen_norm_moves": {
        "recipe": recipe(network=network(True).replace(layers=frozen_layers)),
        "probes": (norms,) * 4,
    },
    "small_batches_for_norm": {"recipe": recipe(network=network(True), batch=2)},
    "data_starved": {"probes": (probe(waiting=0.8),) * 5},
    "validation_leak": {
        "data": {"train": {"hashes": ["a", "b"]}, "validation": {"ids": ["1"], "hashes": ["a"]}}
    },
    "labels_look_shuffled": {
        "losses": np.r_[np.full(40, 2.3), 2.3 * np.exp(-np.arange(360) / 200)],
        "validations": chance + np.array([1.0, 0.0]),
    },
    "class_order": {"results": shifted},
    "classes_swapped": {
        "results": {
            "test": {"confusion": (30 * np.eye(10)[[0, 1, 2, 8, 4, 5, 6, 7, 3, 9]]).tolist()}
        }
    },
    "labels_disagree": {
        "validations": np.stack([np.linspace(2.4, 5.0, 10), np.full(10, 0.02)], 1),
        "held_out": 300,
    },
    "loaded_in_part": {
        "recipe": recipe(start=train.Start(path="there", identity="of another")),
        "probes": (probe() | {"step": 1},) * 4,
    },
    "rate_falls_too_soon": {
        "rates": np.r_[np.full(100, 0.05), np.full(300, 5e-5)],
        "losses": np.maximum(2.3 - np.arange(400) / 60, 0.9),
        "probes": tuple(probe(1e-5) for _ in range(6)),
    },
    "warm_up_too_long": {
        "rates": np.linspace(1e-4, 0.05, 400),
        "losses": 2.3 - np.arange(400) / 400,
        "recipe": recipe(warmup_epochs=10.0),
    },
    "momentum_too_long": {"recipe": recipe(optimiser=train.SGD(rate=0.05, momentum=0.999))},
    "softmax_twice": {
        "losses": 1.5 + 0.8 * np.exp(-np.arange(400) / 60),
        "validations": np.stack([np.full(10, 1.56), np.full(10, 0.9)], 1),
    },
    "weights_stand_still": {"probes": (probe(0.0),) * 4, "losses": flat},
    "never_answered": {"results": {"test": {"confusion": unknown.tolist()}}},
    "no_gradient": {"probes": (silent,) * 4},
    "features_alike": {"probes": (alike,) * 4},
    "rectified_outputs": {"recipe": recipe(network=rectified)},
    "loss_rises": {
        "losses": np.linspace(2.3, 2.5, 400),
        "validations": chance,
    },
    "labels_partly_wrong": {
        "results": {"test": {"confusion": redrawn.tolist(), "loss": 1.62}},
    },
    "classes_mixed_up": {"results": {"test": {"confusion": mixed.tolist(), "loss": 0.3}}},
    "norms_lag": {
        "recipe": recipe(network=network(True, momentum=0.001)),
        "validations": chance,
    },
    "norms_stand_still": {
        "recipe": recipe(network=network(True)),
        "probes": (probe(norms={"norm1": 0.0}),) * 4,
    },
    "layers_not_trained": {
        "recipe": recipe(network=network().replace(layers=frozen_body)),
        "probes": (unheld,) * 4,
    },
    "gradients_accumulate": {"gradients": np.linspace(1.0, 90.0, 400)},
    "watched_too_soon": {
        "recipe": own,
        "probes": tuple(shrunk(0.9**k, moves=0.0) for k in range(4)),
    },
    "optimiser_made_anew": {"probes": (probe(optimiser_steps=0),) * 4},
    "layers_stop_moving": {
        "recipe": own,
        "probes": (*(probe(),) * 6, *(stopped,) * 8),
    },
    "starts_again": {
        "losses": np.tile(0.3 + 2.0 * np.exp(-np.arange(40) / 8), 10),
        "validations": np.stack([np.full(10, 0.35), np.full(10, 0.9)], 1),
    },
    "clipped_short": {
        "recipe": recipe(clip=1e-4),
        "probes": tuple(probe(1e-6) for _ in range(6)),
    },
    "too_much_decay": {
        "recipe": recipe(optimiser=train.SGD(rate=0.05, decay=0.5)),
        "losses": flat,
        "probes": tuple(shrunk(0.5**k) for k in range(6)),
    },
    "too_much_dropout": {
        "recipe": recipe(network=dropped),
        "losses": 1.8 + 0.5 * np.exp(-np.arange(400) / 60),
        "validations": np.stack([np.full(10, 1.6), np.full(10, 0.4)], 1),
    },
    "impossible_loss": {"recipe": own, "losses": story().losses - 2.0},
    "training_harder": {  # of some labels nothing can be learnt
        "losses": 1.5 + 0.8 * np.exp(-np.arange(400) / 60),
        "validations": np.stack([np.linspace(1.6, 0.85, 10), np.full(10, 0.75)], 1),
    },
    "trained_in_evaluation_mode": {
        "recipe": recipe(network=network(True)),
        "probes": (
            probe(mode="evaluation"),
            *(probe(mode="training"),) * 3,
            probe(mode="evaluation"),
        ),
    },
    "validated_in_training_mode": {"recipe": recipe(network=dropped), "unevaluated": 9},
    "validation_differs": {
        "losses": 0.5 + 1.8 * np.exp(-np.arange(400) / 15),
        "validations": np.stack([np.full(10, 4.0), np.full(10, 0.2)], 1),
    },
    "few_steps": {
        "recipe": recipe(epochs=5, batch=1280),
        **{"steps_per_epoch": 1, "losses": np.array([4.0, 3.6, 3.2, 2.9, 2.7])},
        **{"rates": np.full(5, 1e-3), "gradients": np.ones(5)},
    },
    "smoothed_away": {"recipe": recipe(objective=train.CrossEntropy(label_smoothing=0.95))},
    "chosen_on_test": {"data": {"validation": {"hashes": ["a"]}, "test": {"hashes": ["a"]}}},
    "not_shuffled": {
        "orders": ({"digest": 7, "images": 32, "classes": 1, "expected": 9.6},) * 3,
    },
    "one_answer": {"results": {"test": {"confusion": (np.eye(10)[[3] * 10] * 30).tolist()}}},
    "test_differs": {"results": {"test": {"accuracy": 0.4, "n": 500}}},
    "wrong_normalisation": {
        "recipe": recipe(start=train.Start(path="there", identity="0")),
        "contract": prepared(0.1, 0.3),
        "start": prepared(0.9, 0.1),
    },
}


def norms_of_another(path: str, identity: str) -> tuple[tuple[str, float], ...]:
    return (("conv1.weight", 2.0),) if identity == "of another" else ()


@pytest.mark.parametrize("name", STORIES)
def test_each_rule_speaks_on_its_story(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.doctor.begun._sizes", norms_of_another)
    made = story(**STORIES[name])
    found = {each.finding: each for each in diagnose_story(made)}
    assert name in found
    assert found[name].evidence and found[name].meaning and found[name].remedy
    assert 0 < found[name].confidence <= 1


def test_every_rule_has_a_story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.doctor.begun._sizes", norms_of_another)
    speaking = {
        rule for rule in RULES for changes in STORIES.values() if rule(story(**changes)) is not None
    }
    assert speaking == set(RULES)


SLOW: dict[str, dict[str, Any]] = {  # faults whose trace is faint
    "too_much_decay": {  # they keep their size, and forget
        "recipe": recipe(optimiser=train.SGD(rate=0.05, momentum=0.9, decay=0.1)),
        "rates": np.full(400, 0.05),
        "losses": 0.6 + 1.7 * np.exp(-np.arange(400) / 60),
    },
    "labels_look_shuffled": {  # one lucky validation
        **STORIES["labels_look_shuffled"],
        "validations": np.stack([np.full(10, 3.3), np.r_[np.full(7, 0.1), 0.3, 0.1, 0.1]], 1),
    },
    "nothing_learnt": {  # a square loss that falls to that of one answer for all
        "recipe": recipe(objective=train.SquareLoss(), data=own.data),
        "losses": 0.09 + 0.3 * np.exp(-np.arange(400) / 30),
        "validations": np.stack([np.full(10, 0.09), np.full(10, 0.105)], 1),
    },
    "validation_differs": {  # images that are not normalised: no better than guessing, and worse
        "losses": 1.2 + 1.1 * np.exp(-np.arange(400) / 120),
        "validations": np.stack([np.full(10, 2.9), np.full(10, 0.17)], 1),
    },
    "starts_again": {
        "losses": np.tile(2.3 - np.arange(40) / 200, 10)
        + 0.1 * np.random.default_rng(1).normal(size=400),
        "validations": np.stack([np.full(10, 2.1), np.full(10, 0.3)], 1),
    },
    "overfitting": {  # nothing rises, but a quarter of the loss is all that training has left
        "losses": np.maximum(2.3 * np.exp(-np.arange(400) / 80), 0.2),
        "validations": np.stack([np.r_[1.5, np.full(9, 1.0)], np.full(10, 0.7)], 1),
    },
}


@pytest.mark.parametrize("name", SLOW)
def test_a_rule_sees_a_faint_trace(name: str) -> None:
    assert name in names(story(**SLOW[name]))


def test_classes_that_are_weighed_by_zero_are_shown_again() -> None:
    half = recipe(sampling=Sampling(classes=(1.0,) * 7 + (0.0,) * 3))
    found = {e.finding: e for e in diagnose_story(story(**STORIES["never_answered"], recipe=half))}
    assert found["never_answered"].settings == ("sampling.classes=as_found",)
    assert "7, 8, 9" in found["never_answered"].meaning


improving = STORIES["still_improving"]
UNSAID: dict[str, dict[str, Any]] = {
    "rectified_outputs": {  # a loss that asks for no other sign
        "recipe": recipe(network=rectified, objective=train.SquareLoss()),
    },
    "rectified_outputs ": {  # it does no harm
        "recipe": recipe(network=rectified),
        "validations": np.stack([np.linspace(1.0, 0.1, 10), np.full(10, 0.98)], 1),
    },
    "warm_up_too_long": {  # what it climbs to is too low as well
        **STORIES["warm_up_too_long"],
        "probes": (probe(1e-6),) * 6,
    },
    "overfitting    ": {  # nothing was learnt that could be overfitted
        "losses": np.linspace(2.46, 2.28, 400),
        "validations": np.stack([np.linspace(2.47, 3.85, 10), np.full(10, 0.1)], 1),
    },
    "still_improving": {  # the last epoch was not the best
        **improving,
        "validations": improving["validations"] + np.array([[0.0, 0.0]] * 9 + [[0.2, 0.0]]),
    },
    "still_improving ": {  # a percent an epoch
        **improving,
        "validations": np.stack([np.geomspace(1.6, 1.45, 10), np.linspace(0.2, 0.6, 10)], 1),
    },
    "still_improving  ": {**improving, "recipe": recipe(epochs=30)},  # it goes on
    "still_improving   ": {**improving, "losses": np.geomspace(2.3, 0.2, 400)},  # by heart
    "still_improving    ": {  # there is next to nothing left to learn
        **improving,
        "validations": np.stack([np.geomspace(1.0, 0.01, 10), np.linspace(0.2, 0.99, 10)], 1),
        "losses": np.geomspace(2.3, 0.01, 400),
    },
    "never_answered": {  # few images, which the others' share of mistakes may have taken
        "results": {"test": {"confusion": (0.1 * unknown).astype(int).tolist()}},
    },
    "never_answered  ": {  # four answers to everything: it has not learnt the rest
        "results": {"test": {"confusion": few.tolist()}},
    },
    "never_answered ": {  # a network that hardly knows the others
        "results": {"test": {"confusion": np.tile([12, 9, 9, 0], (4, 1)).tolist()}},
        "classes": 4,
    },
    "softmax_twice ": {  # right in 70%, and on its way down
        "losses": np.linspace(2.3, 1.75, 400),
        "validations": np.array([[2.3, 0.1], [2.1, 0.4], [1.76, 0.7], [1.4, 0.8]]),
    },
    "rate_too_high  ": {  # mixed images have a loss that jumps; validation goes on falling
        "losses": np.r_[np.linspace(2.3, 0.22, 250), np.full(150, 0.5)],
        "rates": np.full(400, 0.05),
        "probes": (probe(0.01),) * 6,
    },
    "plateau  ": {  # what is mixed cannot be told for sure
        "losses": np.maximum(2.3 - np.arange(400) / 60, 0.9),
        "rates": np.full(400, 0.05),
        "recipe": recipe(objective=train.Mixup()),
    },
    "plateau   ": {  # in other units than it knows of: nearly everything is right
        "losses": np.maximum(2.3 - np.arange(400) / 60, 0.9),
        "rates": np.full(400, 0.05),
        "validations": np.stack([np.full(10, 0.3), np.full(10, 0.98)], 1),
    },
    "plateau    ": {  # what an explosion left, no better than guessing
        "losses": np.r_[2.3, 900.0, np.full(398, 2.38)],
        "rates": np.full(400, 0.05),
        "validations": chance,
    },
    "underfitting ": {
        "losses": np.maximum(2.3 - np.arange(400) / 60, 1.2),
        "validations": np.stack([np.full(10, 1.25), np.full(10, 0.98)], 1),
        "rates": np.full(400, 0.05),
    },
    "rate_too_low    ": {  # nothing gets through, at whatever rate
        "losses": flat,
        "probes": (
            probe(
                1e-7, values={"relu1": {"mean": 0.0, "spread": 0.0, "dead": 1.0, "saturated": 0.0}}
            ),
        )
        * 6,
    },
    "few_steps": {  # one of its steps is twenty
        "recipe": recipe(epochs=5, batch=1280, optimiser=train.LBFGS()),
        **{"steps_per_epoch": 1, "losses": np.array([4.0, 3.6, 3.2, 2.9, 2.7])},
        **{"rates": np.full(5, 1e-3), "gradients": np.ones(5)},
    },
    "loss_rises": {"losses": np.linspace(2.3, 2.5, 400), "probes": (probe(0.2),) * 6},  # thrown
    "loss_rises ": {"losses": 2.3 + 0.05 * np.random.default_rng(0).normal(size=400)},
    "labels_partly_wrong": {  # weak: surer of some images, and takes classes for one another
        "results": {"test": {"confusion": weak.tolist(), "loss": 1.25}},
    },
    "labels_partly_wrong ": {
        "results": {"test": {"confusion": redrawn.tolist(), "loss": 1.0}},
    },
    "classes_mixed_up": {"results": {"test": {"confusion": weak.tolist(), "loss": 1.25}}},
    "norms_lag": {"recipe": recipe(network=network(True, momentum=0.001))},  # it does no harm
    "norms_lag ": {"recipe": recipe(network=network(True)), "validations": chance},
    "norms_lag  ": {  # weights of another training brought their own
        "recipe": recipe(
            network=network(True, momentum=0.001), start=train.Start(path="there", identity="0")
        ),
        "validations": chance,
    },
    "softmax_twice": {  # a slow start passes by the law once
        "losses": np.linspace(2.3, 1.75, 400),
        "validations": np.array([[2.3, 0.1], [2.08, 0.38]]),
    },
    "class_order": {"results": shifted, "losses": flat},  # it has learnt nothing to be right in
    "rate_too_low": {  # fine-tuning: what it could learn it knows
        "losses": np.linspace(0.6, 0.61, 400),
        "probes": tuple(probe(8e-4) for _ in range(6)),
    },
    "data_starved": {"probes": (probe(waiting=0.8),) * 5, "waited": 0.5},  # nobody noticed
    "data_starved ": {  # the processor that trains augments
        "probes": (probe(waiting=0.6),) * 5,
        "waited": 10.0,
        "augmenting": 9.0,
    },
    "rate_too_low  ": {  # updates that were large, and ended when all rectifiers had died
        "losses": np.r_[50.0, np.full(399, 2.303)],
        "probes": (probe(0.5), *(probe(1e-6),) * 5),
    },
    "plateau": {  # as low as smoothed labels let it be
        "losses": np.maximum(2.3 - np.arange(400) / 60, 0.55),
        "rates": np.full(400, 0.05),
        "recipe": recipe(objective=train.CrossEntropy(label_smoothing=0.1)),
    },
    "overfitting  ": {  # the training loss is a square loss, the other one a cross-entropy
        "losses": 1.0 * np.exp(-np.arange(400) / 50),
        "validations": np.stack([np.full(10, 1.9), np.full(10, 0.95)], 1),
        "recipe": recipe(objective=train.SquareLoss()),
    },
    "gradients_accumulate": {  # nearly the same batch each time
        **{"gradients": np.exp(np.linspace(0, 2, 400)), "steps_per_epoch": 1},
    },
    "labels_look_shuffled": {  # nothing was learnt by heart: no weight moves
        "losses": np.full(400, 0.0),
        "validations": chance + np.array([1.0, 0.0]),
        "probes": (probe(0.0),) * 4,
    },
    "starts_again ": {  # batches that begin badly, while validation goes on from epoch to epoch
        **STORIES["starts_again"],
        "validations": np.stack([np.geomspace(1.9, 1.0, 10), np.linspace(0.3, 0.7, 10)], 1),
    },
    "starts_again": {  # a loss that stays where it was jumps by chance alone
        "losses": 1.5 + 0.2 * np.random.default_rng(0).normal(size=400),
    },
    "overfitting": {  # the gap of a network that is nearly always right
        "losses": 2.3 * np.exp(-np.arange(400) / 50),
        "validations": np.stack([np.full(10, 0.2), np.full(10, 0.95)], 1),
    },
}


@pytest.mark.parametrize("name", UNSAID)
def test_a_rule_is_silent_where_its_sign_means_nothing(name: str) -> None:
    rule = name.strip()
    assert rule in names(story(**STORIES[rule]))
    assert rule not in names(story(**UNSAID[name]))


@pytest.mark.parametrize(
    ("dead", "learns", "said"), [(0.7, True, False), (0.99, True, True), (0.7, False, True)]
)
def test_features_that_are_silent_while_a_network_learns(
    dead: float, learns: bool, said: bool
) -> None:
    changes: dict[str, Any] = {} if learns else {"losses": flat, "validations": chance}
    silent = probe(values={"relu1": {"dead": dead, "saturated": 0.0}})
    made = story(probes=(silent,) * 4, **changes)
    assert ("dead_rectifiers" in names(made)) == said
    young = made._replace(losses=flat[:20], validations=chance[:0])
    assert ("dead_rectifiers" in names(young)) == (dead > 0.9)


def test_depth_is_the_networks_and_not_that_of_names() -> None:
    pen = Sketch("named", (1, 8, 8))
    for name in ("stem", "body", "middle"):
        pen.conv(name, 8, 3, padding=1)
    pen.flatten()
    pen.linear("a_head", 10)
    made, line = recipe(network=pen.finish()), probe()
    weight = line["weights"].pop("conv1.weight")
    line["weights"] = {
        "a_head.weight": weight | {"gradient": 0.5},
        "body.weight": weight | {"gradient": 1e-6},  # a branch that starts at zero
        "middle.weight": weight,
        "stem.weight": weight,
    }
    told = {"recipe": made, "probes": (line,) * 4}
    assert not {"vanishing_gradients", "exploding_gradients"} & set(names(story(**told)))
    line["weights"]["stem.weight"] = weight | {"gradient": 1e3}
    found = {each.finding: each for each in diagnose_story(story(**told))}
    assert found["exploding_gradients"].evidence["layer"] == "stem.weight"


def test_classes_answered_at_random_are_in_no_order() -> None:
    chance = np.random.default_rng(0)
    for _ in range(20):
        table = np.zeros((3, 3), int)
        np.add.at(table, (np.arange(18) % 3, chance.integers(0, 3, 18)), 1)
        assert "class_order" not in names(story(results={"test": {"confusion": table.tolist()}}))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_short_and_empty_histories_are_no_error(steps: int) -> None:
    short = np.full(steps, 2.3)
    nothing = np.empty((0, 2))
    made = story(losses=short, rates=short, gradients=short, validations=nothing, probes=())
    assert names(made) == set()


def test_settings_are_settings_of_the_recipe() -> None:
    from striate.records import with_settings

    for changes in STORIES.values():
        made = story(**changes)
        for finding in diagnose_story(made):
            assert with_settings(made.recipe, list(finding.settings)) is not None


def failed(check: str) -> doctor.Check:
    return doctor.Check(
        check=check,
        measured=0.95,
        expected="few",
        verdict="fail",
        meaning="95% are silent",
        fix="start biases at 0",
    )


def test_symptoms_have_no_settings_to_try_while_their_cause_stands() -> None:
    """A rate that looks too low, because no gradient comes or a check failed, is left alone."""
    low = {key: STORIES["rate_too_low"][key] for key in ("losses", "validations")}
    found = {each.finding: each for each in diagnose_story(story(**STORIES["rate_too_low"]))}
    assert found["rate_too_low"].settings
    line = probe(1e-6)
    line["weights"]["conv1.weight"]["gradient"] = 0.0
    found = {each.finding: each for each in diagnose_story(story(**low, probes=(line,) * 6))}
    assert not found["rate_too_low"].settings
    assert "no_gradient" in found and " first; then multiply" in found["rate_too_low"].remedy
    told = story(**STORIES["rate_too_low"], failed=(of_check(failed("overfits_few")),))
    found = {each.finding: each for each in diagnose_story(told)}
    assert found["overfits_few"].evidence == {"measured": 0.95}
    assert not found["rate_too_low"].settings


def test_what_blew_up_without_growing_is_not_the_rates_fault() -> None:
    failure = {"at": 401, "layer": "conv1"}
    (sudden,) = diagnose_story(story(failure=failure))
    assert sudden.finding == "not_finite" and not sudden.settings and "division" in sudden.remedy
    for losses in (np.empty(0), np.array([np.nan]), np.zeros(5)):  # the first steps say no more
        few = diagnose_story(story(failure=failure, losses=losses, rates=losses, probes=()))
        told = {each.finding: each for each in few}["not_finite"]
        assert told.settings and np.isfinite(float(told.evidence["loss_risen"]))
    grown = story().losses.copy()
    grown[-5:] = np.geomspace(3, 1e6, 5)
    found = {each.finding: each for each in diagnose_story(story(failure=failure, losses=grown))}
    assert found["not_finite"].settings


def test_what_was_saturated_from_the_start_is_not_the_rates_fault() -> None:
    ends = {"tanh1": {"dead": 0.0, "saturated": 0.8}}
    driven = (probe(values={"tanh1": {"dead": 0.0, "saturated": 0.1}}), *(probe(values=ends),) * 3)
    for probes, settings in ((driven, True), ((probe(values=ends),) * 4, False)):
        (found,) = diagnose_story(story(probes=probes))
        assert found.finding == "saturation" and bool(found.settings) == settings


def test_checks_that_failed_are_kept_with_the_run(tmp_path: Path) -> None:
    live = doctor.Live(tmp_path / "run", failed=[failed("dead_units")])
    train.train(recipe(), out=tmp_path / "run", observers=[live])
    (found,) = doctor.diagnose(tmp_path / "run")
    assert found.finding == "dead_units" and found.remedy == "start biases at 0"
    assert found.meaning == "before the training: 95% are silent (expected few)"


def test_one_class_may_be_most_of_the_images_and_still_all_of_the_answers() -> None:
    table = np.zeros((10, 10), int)
    table[:, 3] = 20
    table[3, 3] = 720  # of 900: 80%
    assert "one_answer" in names(story(results={"test": {"confusion": table.tolist()}}))
    table[:, 4] += 2
    assert "one_answer" not in names(story(results={"test": {"confusion": table.tolist()}}))


def test_a_validation_part_prepared_otherwise_is_told_from_the_test() -> None:
    """Either way round; but the best of ten validations may be a little above the test."""
    told = {"test": {"accuracy": 0.99, "n": 500}}
    poor = np.stack([np.full(10, 2.0), np.full(10, 0.3)], 1)
    assert "test_differs" in names(story(results=told, validations=poor))
    fair = np.stack([np.full(10, 0.3), np.full(10, 0.93)], 1)
    assert "test_differs" not in names(story(results=told, validations=fair))


def test_real_runs(tmp_path: Path) -> None:
    """Too low a rate, one that is not finite, and the same run cut in the middle of a line."""
    slow = train.train(recipe(optimiser=train.SGD(rate=1e-6)), out=tmp_path / "slow")
    assert [each.finding for each in doctor.diagnose(slow.run)] == ["rate_too_low"]
    with pytest.raises(NotFiniteError):
        train.train(recipe(optimiser=train.SGD(rate=1e20)), out=tmp_path / "blown")
    first = doctor.diagnose(tmp_path / "blown")[0]
    assert first.finding == "not_finite" and first.evidence["first_layer"]
    history = tmp_path / "slow" / "history.jsonl"
    history.write_bytes(history.read_bytes()[:-20])
    assert doctor.diagnose(tmp_path / "slow")
    history.write_bytes(b"")
    assert doctor.diagnose(tmp_path / "slow") == ()
    picture = doctor.plot(runs.open(tmp_path / "slow"), ())
    assert picture.read_text().startswith("<svg")
    shutil.rmtree(tmp_path / "slow")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli.main import main

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out + shown.err

    train.train(recipe(optimiser=train.SGD(rate=1e-6)), out=tmp_path / "slow")
    capsys.readouterr()
    code, text = run("doctor", str(tmp_path / "slow"))
    assert code == 1 and "rate too low (confidence 90%)" in text
    assert "try       --set optimiser.rate=0.0" in text
    code, text = run("doctor", str(tmp_path / "slow"), "--json")
    document = json.loads(text[: text.index("\nrate") + 1])
    assert document["findings"][0].keys() >= {
        *("finding", "confidence", "evidence", "meaning", "remedy", "experiment")
    }
    train.train(recipe(epochs=6), out=tmp_path / "well")
    capsys.readouterr()
    code, text = run("doctor", str(tmp_path / "well"))
    assert code == 0 and text.startswith("Nothing found (finished)")
    assert f"striate explain {tmp_path / 'well'} --part maps" in text and "mistakes" not in text
    mistakes = tmp_path / "well" / "figures" / "mistakes.png"
    mistakes.parent.mkdir(exist_ok=True)
    mistakes.touch()
    assert (
        f"the mistakes in {mistakes} or by striate explain"
        in run("doctor", str(tmp_path / "well"))[1]
    )
    assert run("doctor", str(tmp_path / "nowhere"))[0] == 2
