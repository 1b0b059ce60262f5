"""How a run does its arithmetic on this machine: an input of the run, not a measurement of it.

The first process makes the plan before step 1, writes it to plan.json, and sends it to the others;
resume and replay obey it. "Same seed, same weights" means: same recipe, plan, machine, threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from striate import engine, progress
from striate.design import Network
from striate.engine import Direction
from striate.errors import RecordError, RunError, UsageError
from striate.inference.evaluate import evaluation_batch
from striate.layers import Conv2d, Net, fuse
from striate.ops import machine
from striate.records import Record, from_json
from striate.train.processes import Processes
from striate.train.recipe import Recipe
from striate.wording import count

Choice = Literal["measure", "default"] | Path
Normalisation = Literal["default", "fused"]
_WORTH_MEASURING = 2e12  # multiply-adds of a whole training: some 40 s of two cores
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
        algorithms: the convolution algorithm of a layer in training, where not torch's choice.
        inference: the same in evaluation.
        normalisation: torch's batch-norm in training, or ours with what comes after it.
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
    inference: dict[str, str] = {}
    normalisation: Normalisation = "default"

    def differences(self, now: Plan) -> tuple[str, ...]:
        """Return, in words, what differs from the plan one would make now and matters for bits."""
        names = ("device", "machine", "torch", "processes")
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in names)
        return tuple(
            f"{name} {then} then, {today} now" for name, then, today in pairs if then != today
        )


class _Chosen(NamedTuple):
    """What is not torch's choice: algorithms by layer in each direction, and the batch-norm."""

    training: dict[str, str]
    inference: dict[str, str]
    normalisation: Normalisation


def make_plan(
    recipe: Recipe,
    together: Processes,
    choice: Choice = "default",
    images: float = math.inf,
) -> Plan:
    """Return the plan for a recipe on this machine.

    Torch's present number of threads, but one where a step is so small that the others would only
    wait for each other (8x8 digits in batches of 32: 2.4 ms a step on one thread, 2.1 on two alone,
    90 on two beside another busy program).

    Args:
        recipe: what is trained.
        together: the processes that train it.
        choice: how convolutions are computed: `default` by torch; `measure` times what there is,
            or takes what was measured on this machine before, on CPUs, in float32 and where step
            and training are long enough to gain by it; or a file with a plan.
        images: of the training part.

    Raises:
        RunError: the file has no plan, or one of another network.
    """
    rows = -(-recipe.batch // (recipe.accumulate * together.world))
    tiny = recipe.network.macs() * rows < _WORTH_THREADS
    threads = 1 if tiny else torch.get_num_threads()
    long = 3 * recipe.network.macs() * images * recipe.epochs > _WORTH_MEASURING
    chosen = _Chosen({}, {}, "default")
    if isinstance(choice, Path):
        chosen = _from_file(choice, recipe, threads)
    elif choice == "measure" and together.device.type == "cpu" and not tiny and long:
        chosen = _measured(recipe, rows)
    return Plan(
        device=together.device.type,
        machine=_processor(together.device),
        threads=threads,
        dtype=recipe.precision,
        layout=recipe.layout,
        torch=str(torch.__version__),
        processes=together.world,
        algorithms=chosen.training,
        inference=chosen.inference,
        normalisation=chosen.normalisation,
    )


def follow(net: Net, plan: Plan) -> None:
    """Let a net's convolutions be computed as the plan says.

    Raises:
        RunError: the plan names a layer or an algorithm that there is not.
    """
    _check(net.network, plan.algorithms, "training")
    for name, algorithm in plan.algorithms.items():
        part = net.get_submodule(name)
        if isinstance(part, Conv2d):
            part.algorithm = algorithm
    if plan.normalisation == "fused":
        fuse(net)


def _measured(recipe: Recipe, rows: int) -> _Chosen:
    """Return what is fastest on this machine."""
    if recipe.precision != "float32":
        return _Chosen({}, {}, "default")
    progress.say("Choosing convolution algorithms (measured once; --plan default leaves it out).")
    network = recipe.network
    step = engine.plan(network, batch=rows, direction="training", layout=recipe.layout)
    batch = evaluation_batch(*network.input_shape[-2:])
    answer = engine.plan(network, batch=batch)
    normalisation: Normalisation = "fused" if recipe.layout == "channels_last" else "default"
    return _Chosen(step.algorithms, answer.algorithms, normalisation)


def _from_file(path: Path, recipe: Recipe, threads: int) -> _Chosen:
    """Read a plan: a run's folder or plan.json, or what `striate plan --out` wrote."""
    file = path / "plan.json" if path.is_dir() else path
    try:
        document = file.read_bytes()
    except OSError as error:
        raise RunError(f"{file}: expected a plan, but it cannot be read ({error}).") from error
    here = f"{_processor(torch.device('cpu'))} with {count(threads, 'thread')}"
    try:
        found = from_json(engine.Plan, document, str(file))
        if found.key.direction == "training":
            chosen = _Chosen(found.algorithms, {}, "fused")
        else:
            chosen = _Chosen({}, found.algorithms, "default")
        made = f"{found.machine.cpu}, {found.machine.vector}"
        there = f"{made} with {count(found.machine.threads, 'thread')}"
    except RecordError:
        own = from_json(Plan, document, str(file))
        chosen = _Chosen(own.algorithms, own.inference, own.normalisation)
        there = f"{own.machine} with {count(own.threads, 'thread')}"
    _check(recipe.network, chosen.training, "training")
    _check(recipe.network, chosen.inference, "inference")
    if there != here:
        progress.say(
            f"The algorithms of {file} are obeyed. They were measured on {there}; this is {here}: "
            "others may be faster, and the bits of the two will differ."
        )
    return chosen


def _check(network: Network, chosen: Mapping[str, str], direction: Direction) -> None:
    try:
        engine.check(network, chosen, direction)
    except UsageError as error:  # not of the command, but of what is in a file
        raise RunError(str(error)) from error


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
