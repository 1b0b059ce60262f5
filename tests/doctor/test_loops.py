"""Mistakes in loops of somebody's own: when the optimiser steps, what it holds, when it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import doctor
from striate.doctor.unregistered import unregistered

STEPS, EPOCHS, BATCH = 10, 6, 40
Loop = Callable[[doctor.Watch, nn.Module, torch.optim.Optimizer, Tensor, Tensor], None]


def task() -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    labels = torch.arange(STEPS * BATCH) % 4
    patterns = torch.randn(4, 1, 6, 6, generator=chance)
    return patterns[labels] + torch.randn(len(labels), 1, 6, 6, generator=chance), labels


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 4)
    )


def right(
    watch: doctor.Watch, net: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> None:
    loss = functional.cross_entropy(net(x), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    watch.step(loss)


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., dict[str, doctor.Finding]]:
    """Train watched by a loop's body, and return the findings, read from the folder too."""

    def run(
        body: Loop = right,
        net: nn.Module | None = None,
        make: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
        epochs: int = EPOCHS,
        between: Callable[[int, nn.Module], object] = lambda epoch, net: None,
    ) -> dict[str, doctor.Finding]:
        net = net if net is not None else plain()
        optimiser = make(net) if make else torch.optim.SGD(net.parameters(), 0.02, momentum=0.9)
        images, labels = task()
        with doctor.Watch(
            net,
            optimiser,
            tmp_path / "run",
            images=images[:BATCH],
            steps=STEPS,
            epochs=epochs,
            overwrite=True,
        ) as watch:
            for epoch in range(epochs):
                between(epoch, net)
                for rows in torch.randperm(len(images)).split(BATCH):
                    body(watch, net, optimiser, images[rows], labels[rows])
        found = watch.findings()
        assert found == doctor.diagnose(tmp_path / "run")
        return {each.finding: each for each in found}

    return run


def alarms(found: dict[str, doctor.Finding]) -> list[str]:
    return [name for name, each in found.items() if each.confidence >= doctor.SURE]


def cleared_before_step(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    loss = functional.cross_entropy(net(x), y)
    loss.backward()
    optimiser.zero_grad()
    optimiser.step()
    watch.step(loss)


def no_backward(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    loss = functional.cross_entropy(net(x), y)
    optimiser.step()
    watch.step(loss)


def told_late(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    loss = functional.cross_entropy(net(x), y)
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    watch.step(loss)


@pytest.mark.parametrize("body", [cleared_before_step, no_backward, told_late])
def test_no_gradient_at_all_is_watched_on_and_found(body: Loop, watched: Any) -> None:
    found = watched(body)
    first = next(iter(found.values()))
    assert first.finding == "no_gradient" and first.evidence["step"] == 1
    for one in ("between backward and step", "there was no backward", "after zero_grad"):
        assert one in first.meaning


def test_a_step_noted_before_it_is_taken_is_said_to_be(watched: Any) -> None:
    def early(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
        loss = functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        watch.step(loss)
        optimiser.step()

    found = watched(early)
    assert alarms(found) == ["watched_too_soon"]
    assert "before optimiser.step()" in found["watched_too_soon"].meaning


def test_an_optimiser_that_never_steps_is_another_matter(watched: Any) -> None:
    def still(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
        loss = functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        watch.step(loss)

    assert "weights_stand_still" in alarms(found := watched(still))
    assert not found.keys() & {"watched_too_soon", "optimiser_made_anew"}


@pytest.mark.parametrize("from_epoch", [0, 1])
def test_an_optimiser_made_anew_is_found(from_epoch: int, watched: Any) -> None:
    steps = 0

    def anew(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
        nonlocal steps
        steps += 1
        late = steps > from_epoch * STEPS
        right(watch, net, torch.optim.Adam(net.parameters(), 1e-3) if late else optimiser, x, y)

    found = watched(anew)["optimiser_made_anew"]
    assert (found.confidence >= doctor.SURE) is (from_epoch == 0)  # one may take over on purpose
    assert found.evidence["by_another"] == (6 if from_epoch == 0 else 3)


class Sign(torch.optim.Optimizer):
    """As somebody writes one."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for each in group["params"]:
                each.sub_(each.grad.sign(), alpha=group["lr"])


class Twice(torch.optim.Optimizer):
    """Never stepped by that name, as SAM's is not."""

    def __init__(self, parameters: Any) -> None:
        self.base = torch.optim.SGD(parameters, lr=0.02)
        super().__init__(self.base.param_groups, {"lr": 0.02})

    def second_step(self) -> None:
        self.base.step()


def scaled(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    loss = functional.cross_entropy(net(x), y)
    optimiser.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimiser)
    watch.step(loss)


def closed(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(net(x), y)
        loss.backward()
        return loss

    watch.step(optimiser.step(closure))


def twice(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    loss = functional.cross_entropy(net(x), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.second_step()
    watch.step(loss)


def gathered(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    for some in (slice(0, 20), slice(20, 40)):
        loss = functional.cross_entropy(net(x[some]), y[some])
        (loss / 2).backward()
    optimiser.step()
    watch.step(loss)
    optimiser.zero_grad()


def gathered_and_noted_each_time(
    watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor
) -> None:
    loss = functional.cross_entropy(net(x), y)
    (loss / 4).backward()
    fourth = (watch.done + 1) % 4 == 0
    if fourth:
        optimiser.step()
    watch.step(loss)
    if fourth:
        optimiser.zero_grad(set_to_none=False)


def scheduled(net: nn.Module) -> torch.optim.Optimizer:
    optimiser = torch.optim.SGD(net.parameters(), 0.02)
    torch.optim.lr_scheduler.StepLR(optimiser, 100)  # puts a step of its own before
    return optimiser


@pytest.mark.parametrize(
    ("body", "make"),
    [
        (scaled, None),
        (
            closed,
            lambda net: torch.optim.LBFGS(
                net.parameters(), 0.1, max_iter=2, line_search_fn="strong_wolfe"
            ),
        ),
        (twice, lambda net: Twice(net.parameters())),
        (gathered, None),
        (gathered_and_noted_each_time, None),
        (right, lambda net: Sign(net.parameters(), 1e-3)),
        (right, scheduled),
        (right, None),
    ],
)
def test_what_steps_and_clears_in_ways_of_its_own_is_left_alone(
    body: Loop, make: Any, watched: Any
) -> None:
    assert not alarms(watched(body, make=make))


def kept(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
    loss = functional.cross_entropy(net(x), y)
    loss.backward()
    optimiser.step()
    watch.step(loss)


@pytest.mark.parametrize("rate", [1e-4, 0.02])
def test_gradients_that_are_kept_are_seen_whatever_the_curve(rate: float, watched: Any) -> None:
    found = watched(kept, make=lambda net: torch.optim.SGD(net.parameters(), rate))
    assert next(iter(found)) == "gradients_accumulate"
    assert found["gradients_accumulate"].evidence == {"kept": 5, "of": 5}


def test_gradients_of_what_the_optimiser_does_not_hold_are_no_sum(watched: Any) -> None:
    """Nobody clears them, and they grow; that is no fault of its own."""
    found = watched(make=lambda net: torch.optim.SGD(net[-1].parameters(), 0.02))
    assert alarms(found) == ["layers_not_trained"]
    other = plain()
    found = watched(make=lambda net: torch.optim.SGD(other.parameters(), 0.02))
    assert "layers_not_trained" in found and "gradients_accumulate" not in found


class Listed(nn.Module):
    """Keeps layers where PyTorch does not see them."""

    def __init__(self, keep: Callable[[list[nn.Module]], Any] = list) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolutions = keep([nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3)])
        self.classes = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        for each in self.convolutions:
            x = functional.relu(each(x))
        return self.classes(x.flatten(1))


def preflight(net: nn.Module) -> doctor.Check:
    images, labels = task()
    checks = doctor.check_module(doctor.Subject(net, images, labels, classes=4), trainings=False)
    return next(each for each in checks if each.check == "all_trained")


def test_layers_in_a_python_list_are_found(watched: Any) -> None:
    found = watched(net=Listed())["layers_not_trained"]
    assert found.evidence == {"layer": "convolutions[0]", "layers": 2, "of": 3}
    assert "nn.ModuleList" in found.remedy
    check = preflight(Listed())
    assert check.verdict == "fail" and "nn.ModuleList" in check.fix
    assert check.meaning.startswith("convolutions[0], convolutions[1] keep random weights and are")
    registered = Listed(nn.ModuleList)  # type: ignore[arg-type]
    assert preflight(registered).verdict == "pass"
    assert "layers_not_trained" not in watched(net=registered)


def test_what_is_kept_aside_on_purpose_is_left_alone(watched: Any) -> None:
    class Taught(Listed):
        def __init__(self, frozen: bool) -> None:
            super().__init__(nn.ModuleList)  # type: ignore[arg-type]
            self.teacher = [plain().requires_grad_(not frozen)]
            self.all = (self.classes, {"first": self.convolutions[0]})  # registered elsewhere

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                taught = self.teacher[0](x)
            return super().forward(x) + 0 * taught

    assert not unregistered(Taught(frozen=True))
    assert len(unregistered(Taught(frozen=False))) == 6  # but no gradient reaches them
    for frozen in (True, False):
        assert preflight(Taught(frozen)).verdict == "pass"
        assert not alarms(watched(net=Taught(frozen)))


def test_what_hides_in_dicts_and_objects_is_seen() -> None:
    class Blocks:
        def __init__(self) -> None:
            self.scale = nn.Parameter(torch.ones(2))

    net = plain()
    net.aside = {"a": [nn.Linear(2, 2, bias=False)]}  # type: ignore[assignment]
    holder = Listed(nn.ModuleList)  # type: ignore[arg-type]
    holder.blocks = Blocks()  # type: ignore[assignment]
    assert list(unregistered(net)) == ["aside['a'][0].weight"]
    assert list(unregistered(holder)) == ["blocks.scale"]


def by_groups(trunk: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    def make(net: Any) -> torch.optim.Optimizer:
        groups = [{"params": net[:-1].parameters(), "lr": trunk}, {"params": net[-1].parameters()}]
        return torch.optim.SGD(groups, 0.02, momentum=0.9)

    return make


def test_a_group_without_a_rate_is_named(watched: Any) -> None:
    found = watched(make=by_groups(0.0))
    assert alarms(found) == ["layers_not_trained"]
    assert found["layers_not_trained"].evidence == {"layer": "0", "layers": 2, "of": 3}
    assert found["layers_not_trained"].remedy == "give their parameter group a rate above 0"
    assert not alarms(watched(make=by_groups(2e-4)))  # as fine-tuning has it


def test_groups_that_join_later_are_followed(watched: Any) -> None:
    def body(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
        if watch.done == STEPS:
            optimiser.add_param_group({"params": net[:-1].parameters()})
        right(watch, net, optimiser, x, y)

    found = watched(body, make=lambda net: torch.optim.SGD(net[-1].parameters(), 0.02))
    assert not alarms(found)


def test_layers_that_are_frozen_for_good_are_worth_a_look(watched: Any) -> None:
    def freeze(epoch: int, net: nn.Module) -> None:
        for each in net[:-1].parameters():  # type: ignore[index]
            each.requires_grad_(epoch < 1)

    found = watched(between=freeze, epochs=20)
    assert found["layers_stop_moving"].confidence == 0.5
    assert found["layers_stop_moving"].meaning.startswith("layer 0, 3 moved at first, and have not")
    assert "layers_stop_moving" not in watched(epochs=20)


@pytest.mark.parametrize("cut", ["norm", "value"])
def test_clipping_to_nothing_is_seen_by_its_gradients(cut: str, watched: Any) -> None:
    clips: Any = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}

    def clipped(limit: float) -> Loop:
        def body(watch: Any, net: Any, optimiser: Any, x: Tensor, y: Tensor) -> None:
            loss = functional.cross_entropy(net(x), y)
            optimiser.zero_grad()
            loss.backward()
            clips[cut](net.parameters(), limit)
            optimiser.step()
            watch.step(loss)

        return body

    found = watched(clipped(1e-6))
    assert found["clipped_short"].evidence["clip"] == pytest.approx(1e-6, rel=1e-3)
    assert not found["clipped_short"].settings
    assert "clipped_short" not in watched(clipped(0.1))


def test_a_layer_that_a_number_names_is_called_a_layer(watched: Any) -> None:
    net: Any = plain()
    nn.init.constant_(net[3].bias, -50.0)
    found = watched(net=net)["dead_rectifiers"]
    assert "of the features of layer 4 are zero" in found.meaning
    named = found.replace(evidence={"layer": "first"}, meaning="10% of the features of first")
    assert named.worded() == named
