"""The fast way to a net's answers, for whoever has a net, a module or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate import engine, runs
from striate.engine import Choice, Example
from striate.errors import UsageError, WeightsError
from striate.inference.model import Model, open_model
from striate.inference.weights import load


def accelerate(
    module_or_run: nn.Module | Model | Path | str,
    example: Example = None,
    *,
    plan: Choice | None = None,
) -> engine.Program:
    """Return a module that gives the same answers in evaluation, faster.

    Args:
        module_or_run: a Net, anybody's module, or a run folder, whose weights and plan are taken,
            or published weights.
        example: a batch of images, or the shape of one without batch; see `engine.accelerate`.
        plan: as `engine.accelerate` has it; of a run its own unless given, else `measure`.

    Raises:
        RunError: the run has no weights yet.
        DesignError, WeightsError, UsageError: as `engine.accelerate`.
    """
    if isinstance(module_or_run, nn.Module):
        return engine.accelerate(module_or_run, example, plan=plan or "measure")
    if not isinstance(module_or_run, Model | Path | str):
        raise UsageError(
            "Expected an nn.Module, a run folder or the name of published weights to accelerate, "
            f"received {type(module_or_run).__name__}; a function goes into the forward of a "
            "module, a network on paper into striate.layers.build."
        )
    run = open_model(module_or_run)
    chosen = planned(run) if plan is None else plan
    return engine.accelerate(load(run), example, plan=chosen)


def answering(run: Model, device: torch.device, batch: int) -> engine.Program | Any:
    """Return what answers for a run: its net, fused and planned where that is a CPU's work.

    Args:
        run: with weights.
        device: where.
        batch: images at a time.
    """
    net = load(run, device)
    if device.type != "cpu":
        return net
    example = torch.empty((batch, *net.network.input_shape), device="meta")
    return engine.accelerate(net, example, plan=planned(run))


def planned(run: Model) -> dict[str, str]:
    """Return the convolution algorithms that a run's plan has for inference."""
    if not isinstance(run, runs.Run):
        return {}
    found = run.plan().get("inference", {})
    if not isinstance(found, dict):
        raise WeightsError(
            f"{run.path}/plan.json: expected algorithms by layer under inference, received "
            f"{str(found)[:60]}: restore the file from a copy."
        )
    return found
