"""How a run does its arithmetic on this machine: an input of the run, not a measurement of it.

The first process makes the plan before step 1, writes it to plan.json, and sends it to the others;
resume and replay obey it. "Same seed, same weights" means: same recipe, plan, machine, threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from striate.ops import machine
from striate.records import Record
from striate.train.processes import Processes
from striate.train.recipe import Recipe

_WORTH_THREADS = 25_000_000  # multiply-adds forward, below which threads wait more than they work


class Plan(Record, frozen=True, kw_only=True):
    """What identity of two runs is promised under, beside the recipe.

    Args:
        version: of this format.
        device: cpu or cuda.
        machine: the processor and its vector instructions, or the graphics card.
        threads: that torch computes with in each process; a sum's rounding depends on it.
        dtype: what convolutions and products are computed in.
        layout: memory order of images and weights.
        torch: its version.
        processes: that shared the first batch.
        algorithms: the convolution algorithm of a layer, where not torch's choice.
    """

    version: int = 1
    device: str
    machine: str
    threads: int
    dtype: Literal["float32", "bfloat16", "float16"]
    layout: Literal["channels_last", "contiguous"]
    torch: str
    processes: int = 1
    algorithms: dict[str, str] = {}

    def differences(self, now: Plan) -> tuple[str, ...]:
        """Return, in words, what differs from the plan one would make now and matters for bits."""
        names = ("device", "machine", "torch", "processes")
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in names)
        return tuple(
            f"{name} {then} then, {today} now" for name, then, today in pairs if then != today
        )


def make_plan(recipe: Recipe, together: Processes) -> Plan:
    """Return the plan for a recipe on this machine.

    Torch's present number of threads, but one where a step is so small that the others would only
    wait for each other (8x8 digits in batches of 32: 2.4 ms a step on one thread, 2.1 on two alone,
    90 on two beside another busy program).
    """
    rows = -(-recipe.batch // (recipe.accumulate * together.world))
    tiny = recipe.network.macs() * rows < _WORTH_THREADS
    return Plan(
        device=together.device.type,
        machine=_processor(together.device),
        threads=1 if tiny else torch.get_num_threads(),
        dtype=recipe.precision,
        layout=recipe.layout,
        torch=str(torch.__version__),
        processes=together.world,
    )


@contextmanager
def obeying(plan: Plan) -> Iterator[None]:
    """Compute as the plan says; torch's settings and generators are left as they were found."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        if threads != plan.threads:
            torch.set_num_threads(plan.threads)
        if plan.device == "cuda":  # on CPUs the layers' kernels have one order of summing
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, cudnn
        torch.set_rng_state(state)
        if threads != plan.threads:
            torch.set_num_threads(threads)


def _processor(device: torch.device) -> str:
    here = machine()
    if device.type == "cuda":
        return here.gpus[device.index or 0]
    return f"{here.cpu}, {here.vector}"
