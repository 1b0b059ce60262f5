"""Labels that disagree between the parts, classes changed about, weights loaded in part."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.doctor.test_diagnose import names, probe, recipe, story
from torch import nn

from striate import train
from striate.doctor import Subject, swaps
from striate.doctor.begun import start_sizes
from striate.doctor.diagnose import diagnose_story
from striate.doctor.loaded import loaded_whole


def counts(classes: int = 10, right: float = 0.8, images: int = 90) -> Any:
    """Return answers of a network that is right so often, and wrong evenly."""
    wrong = (1 - right) / (classes - 1)
    return np.round(images * (wrong + (right - wrong) * np.eye(classes)))


def told(table: Any) -> dict[str, Any]:
    return {"results": {"test": {"confusion": table.tolist()}}}


@pytest.mark.parametrize("classes", [(3, 8), (0, 1), (2, 5, 7)])
def test_classes_in_each_others_name(classes: tuple[int, ...]) -> None:
    table = counts()
    table[list(classes)] = table[list(np.roll(classes, 1))]
    finding = {each.finding: each for each in diagnose_story(story(**told(table)))}
    assert "class_order" not in finding
    found = finding["classes_swapped"].evidence
    assert found["classes"] == ", ".join(map(str, classes)) and found["moved"] == len(classes)
    assert found["as_the_other"] == pytest.approx(0.8, abs=0.01) and found["accuracy"] < 0.66
    assert found["accuracy_if_renamed"] == pytest.approx(0.8, abs=0.01)


def test_classes_that_cannot_be_told_apart_are_not_swapped() -> None:
    chance = np.random.default_rng(0)
    for _ in range(200):
        table = counts(right=0.4)
        for row in (3, 5):  # answered as one of the two, whichever of them it is
            both = int(table[row, 3] + table[row, 5])
            table[row, 3] = chance.binomial(both, 0.5)
            table[row, 5] = both - table[row, 3]
        assert "classes_swapped" not in names(story(**told(table)))


def test_one_class_answered_as_another_is_not_swapped() -> None:
    table = counts()
    table[3, [3, 8]] = table[3, [8, 3]]
    assert "classes_swapped" not in names(story(**told(table)))


def disagreeing(accuracy: float, **changes: Any) -> set[str]:
    late = np.stack([np.linspace(2.4, 5.0, 10), np.full(10, accuracy)], 1)
    return names(story(validations=late, **changes))


def test_labels_that_are_wrong_more_often_than_by_guessing() -> None:
    assert "labels_disagree" in disagreeing(0.02)
    assert "labels_disagree" not in disagreeing(0.06)  # bad luck, at most
    assert "labels_disagree" not in disagreeing(0.02, losses=np.full(400, 2.3))  # nothing learnt
    assert "labels_disagree" not in disagreeing(0.02, held_out=20)


def first(**sizes: float) -> dict[str, Any]:
    made = probe() | {"step": 1}
    for name, size in sizes.items():
        made["weights"][f"{name}.weight"]["size"] = size
    return made


def test_norms_that_are_not_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"conv1.weight": 1.0, "conv2.weight": 1.0, "classifier.weight": 7.0}
    monkeypatch.setattr("striate.doctor.begun._sizes", lambda *place: tuple(given.items()))
    begun = recipe(start=train.Start(path="there", identity="0", anew=("classifier",)))
    assert start_sizes(begun.start) == {"conv1.weight": 1.0, "conv2.weight": 1.0}
    whole, part = first(), first(conv2=1.5)
    assert swaps.loaded_in_part(story(recipe=begun, probes=(whole,))) is None
    assert swaps.loaded_in_part(story(recipe=recipe(), probes=(part,))) is None
    assert swaps.loaded_in_part(story(recipe=begun, probes=(part | {"step": 5},))) is None
    finding = swaps.loaded_in_part(story(recipe=begun, probes=(part,)))
    assert finding is not None and finding.evidence["layer"] == "conv2.weight"
    assert (finding.evidence["layers"], finding.evidence["of"]) == (1, 2)


def test_a_start_that_is_gone_has_no_sizes(tmp_path: Path) -> None:
    assert start_sizes(train.Start(path=str(tmp_path / "gone"), identity="1")) == {}


def small(norm: bool, kaiming: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, 48, 3, bias=not norm)]
    layers += [nn.BatchNorm2d(48)] if norm else []
    layers += [nn.ReLU(), nn.Conv2d(48, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)]
    net = nn.Sequential(*layers)
    for module in net if kaiming else ():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def trained(net: nn.Sequential, steps: int) -> nn.Sequential:
    optimiser = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 3
        images[torch.arange(32), 0, 2 * labels + 1] += 1.0  # a bright row, by class
        nn.functional.cross_entropy(net(images), labels).backward()
        optimiser.step()
    return net


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kaiming", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_a_layer_as_its_initialiser_left_it(norm: bool, kaiming: bool, seed: int) -> None:
    torch.manual_seed(seed)
    net = trained(small(norm, kaiming), 100)
    images, labels = torch.randn(40, 1, 8, 8), torch.arange(40) % 3

    def check(net: nn.Module, **more: Any) -> Any:
        return loaded_whole(Subject(net, images, labels, 3, begun=True, **more))

    assert check(net).verdict == "pass"
    fresh = small(norm, kaiming)
    names = dict(net.named_modules())
    for place, module in enumerate(fresh[:-1]):
        if not list(module.parameters()):
            continue
        part = copy.deepcopy(net)
        part[place].load_state_dict(module.state_dict())
        found = check(part)
        if norm and place == 0:  # a convolution without bias, drawn normally, bears no mark
            assert found.verdict == ("pass" if kaiming else "fail")
            continue
        assert found.verdict == "fail" and found.measured == 1.0, names[str(place)]
        assert f"as an initialiser leaves them: {place}" in found.meaning
        assert check(part, anew=(str(place),)).verdict == "pass"
    part = copy.deepcopy(net)
    part[-1].load_state_dict(fresh[-1].state_dict())
    assert check(part).verdict == "pass"  # a new head
    assert loaded_whole(Subject(fresh, images, labels, 3)).verdict == "skip"
