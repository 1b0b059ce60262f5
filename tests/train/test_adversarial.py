"""Adversarial training: the attack inside, the probe at each epoch's end, the collapse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from striate import data, progress, recipes, runs, train
from striate.contract import Affine
from striate.design import Network
from striate.errors import RecordError
from striate.layers import build
from striate.randomness import stream
from striate.records import decode, from_json, to_json
from striate.train.adversarial import Robustness, collapsed
from striate.train.processes import Processes

ALONE = Processes(0, 1, torch.device("cpu"))
NORMAL = Affine((1 / 255 / 0.3,), (-0.13 / 0.3,))


def rows(images: torch.Tensor, labels: torch.Tensor, offset: int = 0) -> train.Rows:
    return train.Rows(images, labels, offset, (4, 1), 7, ALONE, NORMAL)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (6, 1, 8, 8), generator=generator).float()
    return pixels * NORMAL.slope[0] + NORMAL.offset[0], torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("steps", [1, 3])
def test_the_loss_is_that_of_a_reference_attack(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network], steps: int
) -> None:
    """Written out in plain torch, in normalised units, as Wong's and Madry's programs do it."""
    network = make_network(norm=False, dropout=0.0)
    net = build(network, seed=0).double()
    images, labels = batch[0].double(), batch[1]
    objective = train.Adversarial(eps=0.1, steps=steps)
    ours = objective.loss(net, network, rows(images, labels))

    scale = 255 * NORMAL.slope[0]
    eps, step = 0.1 * scale, objective.length * scale
    low, high = NORMAL.offset[0], NORMAL.offset[0] + scale
    drawn = stream(7, "adversarial", 4, 1, np.arange(6)).uniform("start", -0.1, 0.1, (1, 8, 8))
    delta = torch.from_numpy(drawn) * scale
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        functional.cross_entropy(net(images + delta), labels, reduction="sum").backward()
        moved = (delta + step * delta.grad.sign()).clamp(-eps, eps).detach()
        delta = (images + moved).clamp(low, high) - images
    theirs = functional.cross_entropy(net(images + delta), labels, reduction="sum")
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    clean = functional.cross_entropy(net(images), labels, reduction="sum")
    assert ours > clean
    net.zero_grad()
    ours.backward()
    assert all(each.grad is not None for each in net.parameters())


def test_how_a_batch_is_cut_changes_no_start(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network]
) -> None:
    network = make_network(norm=False, dropout=0.0)
    net = build(network, seed=0).double()
    images, labels = batch[0].double(), batch[1]
    objective = train.Adversarial(eps=0.1)
    whole = objective.loss(net, network, rows(images, labels))
    parts = [
        objective.loss(net, network, rows(images[cut], labels[cut], cut.start))
        for cut in (slice(0, 2), slice(2, 6))
    ]
    assert float(whole.detach()) == pytest.approx(float(sum(parts).detach()), rel=1e-6)


def test_no_row_gives_a_loss_of_zero(make_network: Callable[..., Network]) -> None:
    network = make_network(norm=False, dropout=0.0)
    net = build(network, seed=0)
    none = rows(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64))
    loss = train.Adversarial().loss(net, network, none)
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_a_recipe_carries_it_and_refuses_what_cannot_be() -> None:
    objective = train.Adversarial(eps=0.3, steps=7)
    assert from_json(train.Objective, to_json(objective)) == objective
    assert objective.length == pytest.approx(2.5 * 0.3 / 7)
    assert train.Adversarial(eps=8 / 255).length == pytest.approx(10 / 255)
    with pytest.raises(RecordError, match="expected 0 < eps <= 1"):
        decode(train.Objective, {"kind": "adversarial", "eps": 8})


def test_a_collapse_is_told_from_learning() -> None:
    healthy = [Robustness(0.9, 0.5, 0.4), Robustness(0.95, 0.6, 0.55)]
    assert not collapsed(healthy[:1]) and not collapsed(healthy)
    assert collapsed([*healthy, Robustness(0.97, 0.9, 0.05)])
    assert not collapsed([*healthy, Robustness(0.1, 0.1, 0.1)])  # it broke, but not in this way
    assert not collapsed([Robustness(0.97, 0.5, 0.01)])  # never robust: it may have just begun
    assert collapsed([Robustness(0.97, 0.5, 0.01)] * 5)
    assert not collapsed([Robustness(0.99, 0.05, 0.0)] * 9)  # an ordinary network


def test_a_run_probes_chooses_and_says(
    tmp_path: Path, make_recipe: Callable[..., train.Recipe]
) -> None:
    recipe = make_recipe(objective=train.Adversarial(eps=0.1, probe=40), ema=None, epochs=3)
    result = train.train(recipe, out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    probes = [line for line in run.history("probe") if line.get("probe") == "robustness"]
    assert [line["epoch"] for line in probes] == [1, 2, 3]
    assert all(line["clean"] >= line["one_step"] - 0.05 for line in probes)
    best = max(probes, key=lambda line: line["more_steps"])
    chosen = [line["epoch"] for line in run.history("validation") if line["best"]][-1]
    assert probes[chosen - 1]["more_steps"] == best["more_steps"]
    assert result.test is not None


def test_a_run_that_collapses_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step without a random start: the network learns to look right along that step only."""
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    recipe = recipes.make("fast_adversarial", data.open("digits"), device="cpu")
    objective = recipe.objective.replace(random=False, probe=128)
    recipe = recipe.replace(objective=objective, epochs=6, workers=0)
    train.train(recipe, out=tmp_path / "run", plan="default")
    events = [line for line in runs.open(tmp_path / "run").history("event")]
    found = [line for line in events if line.get("event") == "catastrophic overfitting"]
    assert found and found[-1]["one_step"] - found[-1]["more_steps"] > 0.2
    assert len([text for text in said if text.startswith("Catastrophic overfitting")]) == 1


def test_the_box_grows_along_the_ramp(
    batch: tuple[torch.Tensor, torch.Tensor], make_network: Callable[..., Network]
) -> None:
    network = make_network(norm=False, dropout=0.0)
    net = build(network, seed=0).double()
    images, labels = batch[0].double(), batch[1]
    at_once = train.Adversarial(eps=0.1)
    growing = train.Adversarial(eps=0.4, ramp=20)  # the fifth of twenty steps: a quarter
    expected = at_once.loss(net, network, rows(images, labels))
    assert float(growing.loss(net, network, rows(images, labels)).detach()) == pytest.approx(
        float(expected.detach()), rel=1e-6
    )
