"""The doctor beside a loop that is not ours: what it finds, what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from striate import data, doctor, inference, runs
from striate.cli.main import main as striate
from striate.errors import RunError, UsageError
from striate.web.telling import summary, whole

EPOCHS, BATCH = 6, 50


class Mine(nn.Module):
    """As somebody writes it: functional and reused rectifiers, a norm, dropout."""

    def __init__(self, drop: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(24)
        self.second = nn.Conv2d(24, 24, 3, padding=1)
        self.hidden = nn.Linear(24 * 4 * 4, 48)
        self.drop = nn.Dropout(drop)
        self.classes = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.first(x)))
        x = functional.max_pool2d(functional.relu(self.second(x)), 2).flatten(1)
        return self.classes(self.drop(functional.relu(self.hidden(x))))


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    samples = data.open("digits").parts["all"]
    levels = np.stack([samples.stored(k) for k in range(1500)]).transpose(0, 3, 1, 2)
    return torch.from_numpy(levels) / 255 - 0.3, torch.from_numpy(samples.labels[:1500].copy())


def batches(count: int, shuffled: bool = True) -> Iterator[Tensor]:
    order = torch.randperm(count) if shuffled else torch.arange(count)
    yield from order.split(BATCH)


def loop(
    digits: tuple[Tensor, Tensor],
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    watch: doctor.Watch | None,
    *,
    epochs: int = EPOCHS,
    shuffled: bool = True,
    clears: bool = True,
    wakes: bool = True,
    evaluates: bool = True,
) -> None:
    images, labels = digits
    for _ in range(epochs):
        if wakes:
            net.train()
        for rows in batches(1000, shuffled):
            loss = functional.cross_entropy(net(images[rows]), labels[rows])
            if clears:
                optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if watch is not None:
                watch.step(loss, labels[rows])
        if evaluates:
            net.eval()
        with torch.no_grad():
            outputs = net(images[1000:])
        right = float((outputs.argmax(1) == labels[1000:]).float().mean())
        if watch is not None:
            loss = functional.cross_entropy(outputs, labels[1000:])
            watch.validation(float(loss), right, len(outputs))


@pytest.fixture
def watched(digits: tuple[Tensor, Tensor], tmp_path: Path) -> Callable[..., Any]:
    """Train watched, and return the findings, those told at once, and the folder."""

    def run(
        net: nn.Module, rate: float = 0.02, *, parameters: Any = None, **how: Any
    ) -> tuple[dict[str, doctor.Finding], list[str], Path]:
        optimiser = torch.optim.SGD(parameters or net.parameters(), rate, momentum=0.9)
        told: list[str] = []
        with doctor.Watch(
            net,
            optimiser,
            tmp_path / "mine",
            images=digits[0][:BATCH],
            steps=1000 // BATCH,
            epochs=how.get("epochs", EPOCHS),
            told=lambda found: told.append(found.finding),
        ) as watch:
            loop(digits, net, optimiser, watch, **how)
        found = {each.finding: each for each in watch.findings()}
        return found, told, tmp_path / "mine"

    return run


def test_a_healthy_loop_is_left_alone(watched: Callable[..., Any]) -> None:
    found, told, folder = watched(Mine(0.2))
    assert not told and not [n for n, each in found.items() if each.confidence >= doctor.SURE]
    run = runs.open(folder)
    assert run.state == "finished"
    assert len(run.history("step")) == EPOCHS * 20 and len(run.history("validation")) == EPOCHS
    probes = [line for line in run.history("probe") if line["probe"] == "layers"]
    assert [line["step"] for line in probes] == [1, 5, 10, *range(20, 121, 20)]
    assert probes[0]["weights"].keys() == {
        f"{name}.weight" for name in ("first", "second", "hidden", "classes")
    }
    assert len(probes[0]["values"]) == 3  # functional, and one function each
    assert probes[1]["norms"]["norm"] > 0
    assert 1e-5 < probes[3]["weights"]["first.weight"]["update"] < 1


def test_a_rate_far_too_high_is_found_at_once(watched: Callable[..., Any]) -> None:
    found, told, _ = watched(Mine(), 1e4)
    assert {"not_finite", "exploding"} & set(told)
    assert {"not_finite", "exploding", "rate_too_high"} & found.keys()
    best = max(found.values(), key=lambda each: each.confidence)
    assert "learning rate" in best.remedy


def test_dead_rectifiers_are_found_where_they_are_functional(watched: Callable[..., Any]) -> None:
    net = Mine()
    nn.init.constant_(net.second.bias, -50.0)  # type: ignore[arg-type]
    found, told, _ = watched(net)
    assert "dead_rectifiers" in told
    assert found["dead_rectifiers"].evidence["dead"] == 1.0


def test_an_optimiser_of_another_network_is_found(watched: Callable[..., Any]) -> None:
    found, _, _ = watched(Mine(), parameters=list(Mine().parameters()))
    assert found["layers_not_trained"].evidence["layers"] == 4


def test_gradients_that_are_never_cleared_are_found(watched: Callable[..., Any]) -> None:
    found, _, _ = watched(Mine(), 1e-4, clears=False)
    assert found["gradients_accumulate"].evidence["kept"] >= 2


def test_a_network_left_in_the_wrong_mode_is_found(watched: Callable[..., Any]) -> None:
    found, _, folder = watched(Mine(0.2), wakes=False)  # asleep from the first validation on
    assert next(iter(found)) == "trained_in_evaluation_mode"
    assert "batch-norm (1 layer)" in found["trained_in_evaluation_mode"].meaning
    modes = [line["mode"] for line in runs.open(folder).history("probe") if "mode" in line]
    assert modes[:4] == ["training"] * 4 and set(modes[4:]) == {"evaluation"}


def test_a_validation_in_training_mode_is_found(watched: Callable[..., Any]) -> None:
    found, told, _ = watched(Mine(0.2), evaluates=False)
    assert told == ["validated_in_training_mode"] == list(found)[:1]
    assert found["validated_in_training_mode"].evidence["in_training_mode"] == EPOCHS


def test_a_mode_that_changes_nothing_is_left_alone(watched: Callable[..., Any]) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    found, told, _ = watched(plain, evaluates=False, wakes=False)
    assert not told and not found.keys() & {"trained_in_evaluation_mode"}


@pytest.mark.parametrize("shuffled", [True, False])
def test_the_order_of_the_images_is_seen_by_their_labels(
    shuffled: bool, watched: Callable[..., Any]
) -> None:
    found, _, _ = watched(Mine(), shuffled=shuffled)
    assert ("not_shuffled" in found) is not shuffled


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_the_loop_ends_where_it_ends_unwatched(
    kind: Any, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    ends = []
    for on in (False, True):
        torch.manual_seed(3)
        net = Mine(0.5)
        optimiser = kind(net.parameters(), lr=0.01)
        if on:
            with doctor.Watch(
                net, optimiser, tmp_path / "w", images=digits[0][:BATCH], steps=20, epochs=2
            ) as watch:
                loop(digits, net, optimiser, watch, epochs=2)
        else:
            loop(digits, net, optimiser, None, epochs=2)
        ends.append((torch.random.get_rng_state(), net.state_dict()))
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert torch.equal(ends[0][0], ends[1][0])
    assert all(torch.equal(value, ends[1][1][name]) for name, value in ends[0][1].items())


def test_every_reader_of_a_run_reads_it(
    watched: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    net = Mine()
    nn.init.constant_(net.second.bias, -50.0)  # type: ignore[arg-type]
    found, _, folder = watched(net, epochs=2)

    def said(*arguments: object, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as ended:
            striate([*map(str, arguments), "--json"])
        assert (ended.value.code or 0) == code
        return json.loads(capsys.readouterr().out)

    (first, *_) = said("doctor", folder, code=1)["findings"]
    assert first["finding"] in found and (folder / "figures" / "doctor.svg").is_file()
    (document,) = said("history", folder)["runs"]
    assert [row["epoch"] for row in document["epochs"]] == [1, 2]
    shown = summary(runs.open(folder))
    assert shown["network"] == "Mine" and shown["classes"] == 10 and shown["epoch"] == 2
    assert whole(runs.open(folder))["settings"]["optimiser"]["momentum"] == 0.9


def test_every_user_of_weights_or_data_says_what_a_watched_run_lacks(
    watched: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, _, folder = watched(Mine(), epochs=1)
    picture = tmp_path / "one.png"
    Image.new("L", (8, 8)).save(picture)
    for wanted in (
        ("evaluate", folder),
        ("predict", folder, picture),
        ("explain", folder, picture),
        ("attack", folder),
        ("export", folder),
        ("check", "--run", folder),
        ("train", "--resume", folder),
        ("train", folder),
        ("train", "digits", "--recipe", folder),
        ("augment", folder),
        ("transfer", "digits", "--from", folder),
        ("replay", folder, "1..2"),
    ):
        with pytest.raises(SystemExit) as ended:
            striate([*map(str, wanted)])
        said = capsys.readouterr().err
        assert ended.value.code == 2, wanted
        assert f"{folder} was watched in a loop of your own: it has no weights and no data" in said
        assert "doctor, history and view work on it" in said
    with pytest.raises(RunError, match="was watched in a loop of your own"):
        inference.load(runs.open(folder))


def test_a_watched_run_is_not_experimented_on(
    watched: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found, _, folder = watched(Mine(), 1e4)
    assert any(each.settings for each in found.values())
    with pytest.raises(SystemExit) as ended:
        striate(["doctor", str(folder), "--experiment"])
    assert ended.value.code == 1
    assert "No experiment: the loop is your own, and has to try" in capsys.readouterr().out


def test_what_is_told_prints_as_a_sentence(watched: Callable[..., Any]) -> None:
    found, _, _ = watched(Mine(), 1e-4, clears=False)
    one = found["gradients_accumulate"]
    said = f"gradients accumulate (confidence {one.confidence:.0%}): {one.meaning}."
    assert str(one) == f"{said}\n  To do: {one.remedy}."


class Counting(nn.Module):
    """Looks at values, so that no Net can be built of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x.flatten(1)))
        return self.last(x / 2 if float(x.detach().mean()) > 1e9 else x)


def test_a_module_that_no_net_can_be_built_of_shows_its_own_rectifiers(
    watched: Callable[..., Any],
) -> None:
    net = Counting()
    nn.init.constant_(net.first.bias, -50.0)
    found, _, _ = watched(net)
    assert found["dead_rectifiers"].evidence["layer"] == "relu"


def test_what_is_no_watching_is_refused(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    images, labels = digits[0][:BATCH], digits[1][:BATCH]
    net = Mine()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)

    def watch(**more: Any) -> doctor.Watch:
        given = {"images": images, "steps": 20, "epochs": 2, "overwrite": True} | more
        return doctor.Watch(net, optimiser, tmp_path / "mine", **given)

    with pytest.raises(UsageError, match=r"Expected steps of at least 1, received steps=0\."):
        watch(steps=0)
    with watch() as watching:
        losses = functional.cross_entropy(net(images), labels, reduction="none")
        with pytest.raises(UsageError, match=r"one number, received shape \(50,\)\. Give its mean"):
            watching.step(losses)
        with pytest.raises(UsageError, match=r"\(n,\), received shape \(50, 10\)\. Give lab"):
            watching.step(losses.mean(), functional.one_hot(labels, 10))
        with pytest.raises(UsageError, match=r"at least 1 image, received images=0\."):
            watching.validation(1.0, 0.5, 0)
        watching.validation(float("nan"), 0.1, 10)  # a net that diverges is not ended by it
        assert watching.run.history("validation")[-1]["loss"] is None
    with pytest.raises(UsageError, match=r"as a tensor, .* received numpy\.ndarray of shape"):
        watch(images=images.numpy())
    with pytest.raises(UsageError, match=r"as a tensor, .* received builtins\.dict\. Give one"):
        watch(images={"a": images})
    with watch() as watching, pytest.raises(UsageError, match="received none. Give Watch the mod"):
        watching.step(1.0)
    with pytest.raises(RunError, match=r"already a run; .*, or replace it with overwrite=True\."):
        watch(overwrite=False)
    with pytest.raises(KeyError), watch():
        raise KeyError
    assert runs.open(tmp_path / "mine").state == "failed"
    assert not net._forward_pre_hooks


@pytest.mark.parametrize("accuracy", [50.0, -0.1, float("nan")])
def test_an_accuracy_that_is_no_share_is_refused(
    accuracy: float, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    net = Mine()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    with doctor.Watch(
        net, optimiser, tmp_path / "mine", images=digits[0][:BATCH], steps=1, epochs=1
    ) as watch:
        watch.validation(2.3, 1.0, 10)
        with pytest.raises(UsageError, match=r"0 to 1, received accuracy=.*Divide per cent by 100"):
            watch.validation(2.3, accuracy, 10)
