"""Checks on the parts of data, before `train` and for a loop of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate import data, doctor, recipes
from striate.doctor.feed import image_statistics, last_batch
from striate.doctor.parts import held_out_alike


def net(channels: int = 1, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(channels, 4, 3, padding=1)]
    body += [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(*body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    samples = data.open("digits").parts["all"]
    pixels = np.stack([samples.stored(k) for k in range(1000)]).transpose(0, 3, 1, 2)
    return torch.from_numpy(pixels).float() / 255, torch.from_numpy(samples.labels[:1000])


@pytest.mark.parametrize(("fault", "verdict"), [(None, "pass"), ("dark", "fail")])
def test_preflight_compares_the_parts(tmp_path: Path, fault: str | None, verdict: str) -> None:
    images, labels = drawn()
    pixels = (images[:, 0] * 255).round().byte().numpy()
    held_out = pixels[700:] // 6 if fault else pixels[700:]
    np.savez(
        tmp_path / "d.npz",
        train_images=pixels[:700],
        train_labels=labels[:700].numpy(),
        val_images=held_out,
        val_labels=labels[700:].numpy(),
    )
    recipe = recipes.make("auto", data.open(tmp_path / "d.npz"), network="lenet", size=(16, 16))
    found = {each.check: each for each in doctor.preflight(recipe, trainings=False)}
    assert found["parts_alike"].verdict == verdict, found["parts_alike"]
    assert found["validation_tells"].verdict == found["levels_used"].verdict == "pass"


def test_an_own_loop_compares_what_the_network_gets() -> None:
    images, labels = drawn()
    normal = (images - images.mean()) / images.std()
    one, other = slice(0, 700), slice(700, None)

    def said(held_out: torch.Tensor) -> doctor.Check:
        subject = doctor.Subject(
            net(), normal[one], labels[one], 10, held_out=(held_out, labels[other])
        )
        return held_out_alike(subject)

    assert said(normal[other]).verdict == "pass"
    unscaled = said(images[other])  # normalised in training alone
    assert unscaled.verdict == "fail" and "held-out images are" in unscaled.meaning
    assert "preprocessing" not in unscaled.fix
    both = images[other], labels[other]
    subject = doctor.Subject(net(), normal[one], labels[one], 10, held_out=both)
    found = doctor.check_module(subject, trainings=False)
    assert {each.check: each.verdict for each in found}["parts_alike"] == "fail"


@pytest.mark.parametrize(
    ("mean", "std", "verdict"),
    [(0.0, 1.0, "pass"), (0.5, 0.5, "pass"), (0.0, 1 / 255, "fail"), (0.0, 0.2, "warn")],
)
def test_usual_preparations_pass(mean: float, std: float, verdict: str) -> None:
    images, labels = drawn()
    subject = doctor.Subject(net(), (images - mean) / std, labels, 10)
    found = image_statistics(subject)
    assert found.verdict == verdict, found
    assert "preprocessing" not in found.fix


@pytest.mark.parametrize(("count", "verdict"), [(68, "pass"), (67, "warn")])
def test_a_norm_of_feature_maps_takes_four_images(count: int, verdict: str) -> None:
    images, labels = drawn()
    subject = doctor.Subject(net(norm=True), images[:8], labels[:8], 10)
    assert last_batch(subject, count, 64).verdict == verdict
