"""Preflight: healthy networks pass, each injected fault is caught by the check made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import data, doctor, recipes, zoo
from striate.doctor import effort, learning
from striate.doctor.feed import last_batch
from striate.doctor.start import gradients_arrive
from striate.errors import UsageError
from striate.layers import build


class Batch(nn.Module):
    """Any function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def images(count: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Bars, upright or level, bright or dark: four classes that a small net tells apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    pictures = 0.5 * torch.randn(count, 1, 8, 8, generator=generator)
    places = torch.randint(0, 8, (count,), generator=generator)
    for picture, label, place in zip(pictures, labels.tolist(), places.tolist(), strict=True):
        bar = picture[0, :, place] if label % 2 else picture[0, place]
        bar += 3.0 if label > 1 else -3.0
    return (pictures - pictures.mean()) / pictures.std(), labels


def convnet(*middle: nn.Module, norm: bool = False, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    own = [nn.BatchNorm2d(16)] if norm else []
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), *own, nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), *middle, nn.Linear(256, 4)),
    )


def said(
    net: nn.Module, changed: tuple[Tensor, Tensor] | None = None, learn: bool = True
) -> dict[str, str]:
    pictures, labels = images() if changed is None else changed
    held_out = images(128, seed=1) if learn else None
    subject = doctor.Subject(net, pictures, labels, 4, held_out=held_out)
    return {each.check: each.verdict for each in doctor.check_module(subject)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", [False, True])
def test_healthy_networks_pass_whatever_the_seed(norm: bool, seed: int) -> None:
    verdicts = said(convnet(nn.Dropout(0.5), norm=norm, seed=seed))
    assert verdicts.pop("loaded_whole") == "skip"  # it begins with random weights
    assert set(verdicts.values()) == {"pass"}


class Dropped(nn.Module):
    """Dropout by a function that forward calls, as many write it; no module says so."""

    def __init__(self, drop: float = 0.9) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.drop, self.training)


class Skipped(Dropped):
    """Layers left out at random: what is drawn is no mask of zeros and ones that a function has."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand(len(x), 1) > self.drop) / (1 - self.drop) if self.training else x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [Dropped, Skipped])
def test_few_images_are_learnt_without_what_a_forward_drops(kind: type[Dropped], seed: int) -> None:
    net = convnet(kind(), norm=True, seed=seed)
    subject = doctor.Subject(net, *images(), 4, held_out=images(128, seed=1), seed=seed)
    state = torch.random.get_rng_state()
    assert learning.overfits_few(subject).verdict == "pass"
    assert {each.verdict for each in learning.beats_shuffled(subject)} == {"pass"}
    if kind is Dropped:  # nothing at all is drawn in the copy's training
        assert torch.equal(state, torch.random.get_rng_state())


class Shallow(nn.Module):
    """Stochastic depth: a whole block left out of half the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8 * 36, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if not self.training or bool(torch.rand(()) < 0.5):
            x = x + self.block(x).relu()
        return self.head(x.flatten(1))


@pytest.mark.parametrize("seed", range(4))
def test_blocks_left_out_at_random_are_taught_all_the_same(seed: int) -> None:
    torch.manual_seed(seed)
    subject = doctor.Subject(Shallow(), *images(32), 4, seed=seed)
    assert gradients_arrive(subject).verdict == "pass"


def scaled(net: nn.Sequential, index: int, weight: float, bias: float | None = None) -> nn.Module:
    layer = net[index]
    with torch.no_grad():
        layer.weight.mul_(weight)  # type: ignore[union-attr, operator]
        if bias is not None:
            layer.bias.fill_(bias)  # type: ignore[union-attr, operator]
    return net


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = convnet(), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.used(x)
        return y


def zeros() -> nn.Module:
    net = convnet()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return net


def deep() -> nn.Module:
    """Ten fully connected layers of the fixed Gaussian 0.01: the lectures' vanishing signal."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64) for _ in range(10)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.01)
    tanh = [each for layer in layers for each in (layer, nn.Tanh())]
    return nn.Sequential(nn.Flatten(), *tanh, nn.Linear(64, 4))


def loud() -> nn.Module:
    """Convolutions thirty times too large, each with a norm that hides it."""
    torch.manual_seed(0)
    layers = []
    for channels in (1, 16, 16):
        conv = nn.Conv2d(channels, 16, 3, padding=1)
        nn.init.normal_(conv.weight, std=3.0)
        layers += [conv, nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 4))


FAULTS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "zero weights": (zeros, "gradients_arrive"),
    "zero weights decay": (zeros, "regularised_loss"),
    "sure at the start": (lambda: scaled(convnet(), 6, 60.0), "initial_loss"),
    "dead rectifiers": (lambda: scaled(convnet(), 0, 1.0, -100.0), "dead_units"),
    "unused layer": (Unused, "gradients_arrive"),
    "vanishing signal": (deep, "activation_scale"),
    "loud under norms": (loud, "layer_gain"),
    "rectified scores": (
        lambda: nn.Sequential(convnet(), nn.ReLU()),
        "scores_not_probabilities",
    ),
    "squashed scores": (
        lambda: nn.Sequential(convnet(), nn.Sigmoid()),
        "scores_not_probabilities",
    ),
    "batch mixed by a reshape": (
        lambda: convnet(Batch(lambda x: x.reshape(x.shape[1], -1).T.reshape(x.shape))),
        "no_leak",
    ),
    "mean over the batch": (lambda: convnet(Batch(lambda x: x - x.mean(0))), "no_leak"),
    "dropout always on": (
        lambda: convnet(Batch(lambda x: functional.dropout(x, 0.5, True))),
        "modes_agree",
    ),
    "detached": (lambda: convnet(Batch(lambda x: x.detach())), "gradients_arrive"),
    "constant": (lambda: convnet(Batch(torch.zeros_like)), "overfits_few"),
}


def test_scales_that_begin_at_zero_let_gradients_through_after_a_step() -> None:
    """The last batch-norm of each residual block does, by many recipes; so may a head."""
    net = build(zoo.network("resnet20", classes=4), seed=0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bn2.weight"):
                parameter.zero_()
    before = [each.clone() for each in net.parameters()]
    pictures, labels = images(8)
    subject = doctor.Subject(net, pictures.repeat(1, 3, 4, 4), labels, 4)
    assert gradients_arrive(subject).verdict == "pass"
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_caught(fault: str) -> None:
    make, check = FAULTS[fault]
    torch.manual_seed(0)
    verdicts = said(make(), learn=False)
    assert verdicts[check] in ("warn", "fail"), verdicts


def test_shuffled_labels_and_pixels_are_caught() -> None:
    pictures, labels = images()
    mixed = labels[torch.randperm(256, generator=torch.Generator().manual_seed(3))]
    assert said(convnet(), (pictures, mixed))["beats_shuffled_labels"] == "fail"
    held_out = images(128, seed=1)
    held_out = (held_out[0], held_out[1][torch.randperm(128)])
    found = doctor.check_module(doctor.Subject(convnet(), pictures, labels, 4, held_out=held_out))
    assert "beats_shuffled_labels" in {each.check for each in found if each.verdict == "fail"}


def test_raw_pixels_are_caught() -> None:
    pictures, labels = images()
    raw = (pictures * 60 + 120).clamp(0, 255)
    assert said(convnet(), (raw, labels), learn=False)["image_statistics"] == "fail"


def test_the_net_is_left_as_it_was_found() -> None:
    net = convnet(nn.Dropout(0.5), norm=True).train()
    net[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    said(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not net[0].weight.requires_grad and net[0].weight.grad is None
    assert not any(module._forward_hooks for module in net.modules())
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_same_seed_gives_the_same_answers() -> None:
    pictures, labels = images()
    subject = doctor.Subject(
        convnet(nn.Dropout(0.3)), pictures, labels, 4, held_out=images(64, seed=2)
    )
    assert doctor.check_module(subject) == doctor.check_module(subject)


def test_edge_cases_are_sentences() -> None:
    pictures, _ = images(64)
    one = doctor.check_module(doctor.Subject(convnet(), pictures, torch.zeros(64).long(), 4))
    by = {each.check: each for each in one}
    assert by["labels_differ"].verdict == "fail" and by["overfits_few"].verdict == "skip"
    nothing = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    bare = doctor.Subject(nothing, pictures, torch.arange(64) % 4, 4)
    by = {each.check: each for each in doctor.check_module(bare)}
    assert by["gradients_arrive"].meaning == "the network has nothing to train"
    two = doctor.check_module(doctor.Subject(convnet(), pictures[:2], torch.tensor([0, 1]), 4))
    assert {each.check: each.verdict for each in two}["overfits_few"] == "pass"
    with pytest.raises(UsageError, match="at least two images with a label each, received 1"):
        doctor.check_module(doctor.Subject(convnet(), pictures[:1], torch.tensor([0]), 4))
    with pytest.raises(UsageError, match=r"that takes images of \(1, 8, 8\): in training"):
        doctor.check_module(doctor.Subject(nn.Linear(3, 4), pictures, torch.arange(64) % 4, 4))
    with pytest.raises(UsageError, match=r"Expected outputs of shape \(2, 4\) for 2 images"):
        doctor.check_module(doctor.Subject(nn.Flatten(), pictures, torch.arange(64) % 4, 4))


@pytest.mark.parametrize(
    ("count", "batch", "norm", "verdict"),
    [
        (129, 64, True, "pass"),
        (66, 64, True, "warn"),
        (66, 64, False, "pass"),
        (1, 8, True, "fail"),
        (64, 1, True, "fail"),
        (64, 1, False, "pass"),
    ],
)
def test_last_batch(count: int, batch: int, norm: bool, verdict: str) -> None:
    subject = doctor.Subject(convnet(norm=norm), *images(8), classes=4)
    assert last_batch(subject, count, batch).verdict == verdict


@pytest.mark.parametrize("network", ["auto", "lenet"])
def test_recipes_on_the_digits_pass(network: str) -> None:
    recipe = recipes.make("auto", data.open("digits"), network=network, size=(12, 12))
    found = doctor.preflight(recipe)
    assert not [each for each in found if each.verdict == "fail"]
    assert doctor.verdict(found) in ("pass", "warn")
    assert all(each.meaning and (each.fix or each.verdict in ("pass", "skip")) for each in found)


# -- what it may cost ------------------------------------------------------------------------------


class Costly(nn.Module):
    """A small net that takes any size, and is counted as a large one."""

    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, features, 3, padding=1)
        self.dear = nn.Conv2d(features, features, 3, padding=1)
        self.head = nn.Linear(features * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.dear(functional.relu(self.body(x))))
        return self.head(functional.adaptive_max_pool2d(x, 4).flatten(1))  # type: ignore[no-any-return]


def large(net: nn.Module, side: int = 160) -> doctor.Subject:
    def bigger(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return functional.interpolate(pair[0], size=(side, side)), pair[1]

    return doctor.Subject(net, *bigger(images(64)), 4, held_out=bigger(images(40, seed=1)))


def test_images_are_made_smaller_until_a_training_can_be_afforded() -> None:
    torch.manual_seed(0)
    subject = large(Costly())
    cost = effort.step_cost(subject, 20)
    same, steps = effort.affordable(subject, 20, 200, 30 * cost)
    assert same is subject and steps == 30
    less, steps = effort.affordable(subject, 20, 200, 14 * cost)
    assert less.images.shape == (64, 1, 128, 128) and 20 <= steps < 25
    assert less.held_out is not None and less.held_out[0].shape[-1] == 128
    least, steps = effort.affordable(subject, 20, 200, 0.001 * cost)
    assert least.images.shape[-1] == 32 and steps < 20
    fixed = large(nn.Sequential(nn.Flatten(), nn.Linear(160 * 160, 4)))
    assert effort.affordable(fixed, 20, 200, 0.0) == (fixed, 0), "it takes no other size"


def test_what_was_not_learnt_from_smaller_images_is_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    subject = large(Costly(), 64)
    monkeypatch.setattr("striate.doctor.learning._WORK", 10 * effort.step_cost(subject, 20))
    monkeypatch.setattr("striate.doctor.learning._WORKS", 50 * effort.step_cost(subject, 32))
    check = learning.overfits_few(subject)
    assert "scaled to" in check.meaning and check.verdict in ("pass", "skip")
    blank = replace(subject, images=torch.zeros_like(subject.images))
    found = [learning.overfits_few(blank), *learning.beats_shuffled(replace(blank, seed=1))]
    assert {each.verdict for each in found} <= {"skip"}
    monkeypatch.undo()
    assert learning.overfits_few(replace(blank, images=blank.images[..., :8, :8])).verdict == "fail"


def test_a_machine_that_is_too_slow_is_told_so_and_nothing_is_failed() -> None:
    pictures, labels = images()
    subject = doctor.Subject(convnet(), pictures, labels, 4, held_out=images(128, 1), until=0.0)
    found = {each.check: each for each in doctor.check_module(subject)}
    assert found["overfits_few"].verdict == found["beats_shuffled_labels"].verdict == "skip"
    assert "a slow machine" in found["overfits_few"].meaning
    assert "striate check DATA --net NET asks again" in found["overfits_few"].meaning
    assert not [each for each in found.values() if each.verdict == "fail"]
    assert learning.overfits_few(subject).verdict in ("pass", "skip")


def test_large_images_are_looked_at_in_smaller_number() -> None:
    few = effort.glance(large(Costly(512), 64))
    assert 8 <= len(few) < 64
    assert len(effort.glance(large(Costly(), 8))) == 64
    assert len(effort.glance(large(Costly(), 8), 5)) == 5
