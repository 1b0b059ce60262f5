"""The fast way to a net's answers, for whoever has a net, a module or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate import engine, runs
from striate.engine import Example
from striate.errors import WeightsError
from striate.inference.weights import load


def accelerate(
    module_or_run: nn.Module | runs.Run | Path | str,
    example: Example = None,
    *,
    algorithms: dict[str, str] | None = None,
) -> engine.Program:
    """Return a module that gives the same answers in evaluation, faster.

    Args:
        module_or_run: a Net, anybody's module, or a run folder, whose weights and plan are taken.
        example: a batch of images, or the shape of one without batch; see `engine.accelerate`.
        algorithms: of convolutions by name, where not torch's own.

    Raises:
        RunError: the run has no weights yet.
        DesignError, WeightsError, UsageError: as `engine.accelerate`.
    """
    if isinstance(module_or_run, nn.Module):
        return engine.accelerate(module_or_run, example, algorithms=algorithms)
    run = module_or_run if isinstance(module_or_run, runs.Run) else runs.open(module_or_run)
    chosen = planned(run) if algorithms is None else algorithms
    return engine.accelerate(load(run), example, algorithms=chosen)


def answering(run: runs.Run, device: torch.device, batch: int) -> engine.Program | Any:
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
    return engine.accelerate(net, example, algorithms=planned(run))


def planned(run: runs.Run) -> dict[str, str]:
    """Return the convolution algorithms that a run's plan has for inference."""
    found = run.plan().get("inference", {})
    if not isinstance(found, dict):
        raise WeightsError(f"{run.path}/plan.json: expected algorithms by layer under inference.")
    return found
