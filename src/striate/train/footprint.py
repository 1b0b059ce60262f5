"""What a training step really takes: memory at its peak and seconds, measured in a child process.

The child builds the network, takes the run's own steps on random images, and reports. It exists so
that a measurement is not blurred by what this process already holds, and so that a batch that does
not fit kills nobody but the child. On a CPU the peak is of resident memory, with an allocator that
gives back what is freed; in a long run fragmentation adds to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import torch

from striate.data import Batch
from striate.design import Network, Sketch
from striate.design.forecast import Layout, Precision, largest_batch
from striate.errors import StriateError, TrainingError
from striate.layers import build
from striate.ops import Meter
from striate.records import Record, from_json, to_json
from striate.train.objective import CrossEntropy, Objective
from striate.train.optimiser import SGD, Adam, AdamW, Optimiser, Stepper
from striate.train.processes import Processes, processes
from striate.train.recipe import DataChoice, Preprocessing, Recipe
from striate.train.step import Step, place

_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
OPTIMISERS: dict[str, Optimiser] = {
    "sgd": SGD(rate=1e-4),
    "sgd_plain": SGD(rate=1e-4, momentum=0.0),
    "adam": Adam(rate=1e-6),
    "adamw": AdamW(rate=1e-6),
}


class Trial(Record, frozen=True, kw_only=True):
    """What to measure.

    Args:
        network: on paper.
        batch: images a step.
        optimiser: sgd (with momentum), sgd_plain, adam or adamw.
        precision: float32, or that of automatic mixed precision.
        layout: memory order of images and weights.
        objective: what the step minimises.
        device: auto, cpu, cuda or cuda:N.
        threads: that torch computes with; its own choice where 0.
        seconds: how long to go on after the warm-up step; two steps at least are taken.
    """

    network: Network
    batch: int
    optimiser: str = "sgd"
    precision: Precision = "float32"
    layout: Layout = "channels_last"
    objective: Objective = CrossEntropy()
    device: str = "auto"
    threads: int = 0
    seconds: float = 2.0


class Footprint(Record, frozen=True, kw_only=True):
    """What a step took.

    Args:
        peak: bytes at the most, beyond what the process held before the network was built.
        step: bytes at the most during a step, beyond what it held before that step.
        seconds: median of a step.
        steps: how many were timed.
        device: cpu or cuda.
    """

    peak: int
    step: int
    seconds: float
    steps: int
    device: str


def measure(trial: Trial) -> Footprint | None:
    """Measure a trial in a child process; None where its memory does not suffice.

    Raises:
        TrainingError: the child failed otherwise; says how.
    """
    done = subprocess.run(
        [sys.executable, "-m", "striate.train.footprint"],
        input=to_json(trial),
        capture_output=True,
        env=os.environ | _ALLOCATOR,
        check=False,
    )
    if done.returncode == 0:
        return from_json(Footprint, done.stdout)
    said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if done.returncode == -9 or "emory" in said:  # killed for memory, or torch could not have it
        return None
    raise TrainingError(f"{trial.network.name} could not be measured: {said}")


def find_batch(trial: Trial, memory: int) -> tuple[int, Footprint | None]:
    """Return the largest batch that is measured to fit, and its footprint.

    The forecast says where to begin; the measurement decides. Where it takes more than the forecast
    said, the batch shrinks in proportion and is measured again.

    Args:
        trial: its batch is ignored.
        memory: bytes that training may take.

    Returns:
        0 and None where not even one image fits.
    """
    batch = largest_batch(
        trial.network, memory, optimiser=trial.optimiser, precision=trial.precision
    )
    while batch:
        found = measure(trial.replace(batch=batch))
        if found is not None and found.peak <= memory:
            return batch, found
        over = 0.5 if found is None else memory / found.peak
        batch = min(batch - 1, int(batch * over))
    return 0, None


def _run(trial: Trial) -> Footprint:
    """Take the steps, in this process."""
    if trial.threads:
        torch.set_num_threads(trial.threads)
    with processes(trial.device) as together:
        _steps(trial.replace(network=_small(), batch=2, seconds=0.0), together)  # loads what it may
        return _steps(trial, together)


def _steps(trial: Trial, together: Processes) -> Footprint:
    network, meter = trial.network, Meter(together.device)
    recipe = Recipe(
        name="footprint",
        network=network,
        data=DataChoice(path="none"),
        preprocessing=Preprocessing(channels="rgb", size=(1, 1)),
        objective=trial.objective,
        optimiser=OPTIMISERS[trial.optimiser],
        batch=trial.batch,
        precision=trial.precision,
        layout=trial.layout,
    )
    empty = meter.held()
    net = place(build(network, seed=0), recipe, together.device)
    step = Step(recipe, net, Stepper(recipe.optimiser, network, net, False), together)
    chance = torch.Generator().manual_seed(0)
    images = torch.rand((trial.batch, *network.input_shape), generator=chance)
    labels = torch.randint(network.classes, (trial.batch,), generator=chance)
    batch = Batch(images, labels, labels.numpy(), trial.batch, 0)
    step([batch], 1, 1.0)
    times: list[float] = []
    peak = rise = 0
    while len(times) < 2 or sum(times) < trial.seconds:
        before = meter.held()
        meter.start()
        began = time.perf_counter()
        step([batch], len(times) + 2, 1.0)
        times.append(time.perf_counter() - began)
        peak, rise = max(peak, meter.peak() - empty), max(rise, meter.peak() - before)
    return Footprint(
        peak=peak,
        step=rise,
        seconds=median(times),
        steps=len(times),
        device=together.device.type,
    )


def _small() -> Network:
    """Return a network that uses what most do, but hardly any memory."""
    pen = Sketch("small", (3, 8, 8))
    pen.conv("conv", 16, 3, padding=1, bias="none")
    pen.batch_norm("norm")
    pen.relu("relu")
    pen.max_pool("pool", 2)
    pen.conv("conv2", 16, 3, padding=1)
    pen.flatten()
    pen.linear("fc", 2)
    return pen.finish()


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(to_json(_run(from_json(Trial, sys.stdin.buffer.read()))))
    except (StriateError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
