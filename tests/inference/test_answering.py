"""Evaluation and prediction go through the fused net, and `accelerate` takes whatever there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import striate
from striate import inference, runs
from striate.engine import Program
from striate.errors import WeightsError


def test_a_run_by_its_folder(trained: runs.Run) -> None:
    images = torch.randn(4, 3, 16, 16)
    net = inference.load(trained)
    with torch.no_grad():
        expected = net(images)
    for run in (trained, trained.path, str(trained.path)):
        fast = striate.accelerate(run, images)
        assert isinstance(fast, Program)
        assert torch.allclose(fast(images), expected, atol=1e-6)


def test_a_module_of_anybody_s() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten()).eval()
    images = torch.randn(2, 3, 6, 6)
    assert torch.allclose(
        striate.accelerate(module, images, plan="default")(images), module(images), atol=1e-6
    )


def test_evaluation_and_prediction_use_it(
    trained: runs.Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = Program.forward

    def counted(self: Program, *inputs: torch.Tensor) -> torch.Tensor:
        calls.append(len(inputs[0]))
        return forward(self, *inputs)

    monkeypatch.setattr(Program, "forward", counted)
    evaluation = inference.evaluate(trained)
    assert sum(calls) == evaluation.test.n
    calls.clear()
    inference.predict(trained, [folder / "blue"], device="cpu")
    assert sum(calls) == 20


def test_a_plan_that_is_not_one_is_refused(trained: runs.Run) -> None:
    (trained.path / "plan.json").write_text('{"inference": "fast"}')
    with pytest.raises(WeightsError, match="expected algorithms by layer"):
        striate.accelerate(trained)
