"""NaN and infinity are named where they are, and nothing else is blamed for them."""

from __future__ import annotations

import math

import pytest
import torch
from tests.doctor.test_accepted import IMAGES, LABELS, Returning, plain
from torch import nn

from striate.doctor import Check, Subject, check_module

_BAD = (math.nan, math.inf, -math.inf)


def asked(net: nn.Module, **changes: object) -> dict[str, Check]:
    subject = Subject(net, IMAGES, LABELS, 3)
    for name, value in changes.items():
        object.__setattr__(subject, name, value)
    return {each.check: each for each in check_module(subject)}


def failed(found: dict[str, Check]) -> list[str]:
    return [name for name, each in found.items() if each.verdict != "pass"]


def test_it_is_asked_first_and_passes_where_all_is_finite() -> None:
    found = asked(plain())
    assert next(iter(found)) == "all_finite"
    assert found["all_finite"].verdict == "pass" and found["all_finite"].measured == 0


@pytest.mark.parametrize("bad", _BAD)
def test_pixels(bad: float) -> None:
    images = IMAGES.clone()
    images[3, 0, 1, 2] = images[7, 0] = bad
    found = asked(plain(), images=images)
    assert failed(found) == ["all_finite"]
    assert found["all_finite"].measured == 17
    assert "2 of 40 images, the first of them number 3" in found["all_finite"].meaning
    assert {"labels_differ", "regularised_loss", "features_differ", "all_trained"} <= found.keys()
    held_out = asked(plain(), held_out=(images, LABELS))
    assert "2 of 40 held-out images" in held_out["all_finite"].meaning
    assert failed(held_out) == ["all_finite"]


@pytest.mark.parametrize("bad", _BAD)
def test_weights(bad: float) -> None:
    net = plain()
    net.heads[0].weight.data[1, 2] = bad  # type: ignore[index, union-attr]
    found = asked(net)
    assert failed(found) == ["all_finite"]
    assert found["all_finite"].meaning == "NaN or infinite values in the weights heads.0.weight"
    assert "image_statistics" in found and "regularised_loss" not in found


def test_running_statistics_are_weights_too() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 3))
    net[0].running_var[0] = math.inf  # type: ignore[index]
    found = asked(net)
    assert failed(found) == ["all_finite"] and "0.running_var" in found["all_finite"].meaning


def test_outputs_name_the_layer_they_come_from() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sqrt()

    torch.manual_seed(0)
    found = asked(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), Root(), nn.Linear(8, 3)))
    assert failed(found) == ["all_finite"]
    assert found["all_finite"].meaning.endswith("are finite, the values of 2 are not")
    alone = asked(Returning(lambda scores: scores / 0))
    assert "the values of the outputs are not" in alone["all_finite"].meaning
