"""Before a run: what its training will take, forecast on paper and measured for a few steps."""

from __future__ import annotations

from typing import Any

from striate.design import Network
from striate.design.forecast import Forecast, Precision, forecast, largest_batch
from striate.ops import choose_device, free_bytes
from striate.records import Record
from striate.train.footprint import Footprint, Trial, find_batch, measure


class Estimate(Record, frozen=True, kw_only=True):
    """What training a network takes.

    Args:
        forecast: memory at the peak of a step, by part.
        memory: bytes that there are, or that were named.
        largest_batch: whose forecast fits them.
        found_batch: the largest that was measured to fit, where that was asked for; 0 if none is.
        measured: a step of `forecast.batch` images, or of `found_batch`; None where it does not
            fit, or where no measurement was wanted.
        images: in an epoch.
        epoch_seconds: steps of an epoch times the seconds of one.
    """

    forecast: Forecast
    memory: int
    largest_batch: int
    found_batch: int | None
    measured: Footprint | None
    images: int
    epoch_seconds: float | None

    def document(self) -> dict[str, Any]:
        """Return the estimate as plain data for JSON."""
        parts = ("weights", "gradients", "state", "activations", "workspace")
        return {
            "batch": self.forecast.batch,
            "optimiser": self.forecast.optimiser,
            "precision": self.forecast.precision,
            "peak_bytes": self.forecast.peak,
            "parts": {part: getattr(self.forecast, part) for part in parts},
            "at": {"layer": self.forecast.layer, "phase": self.forecast.phase},
            "memory_bytes": self.memory,
            "largest_batch": self.largest_batch,
            "found_batch": self.found_batch,
            "measured": None
            if self.measured is None
            else {
                "peak_bytes": self.measured.peak,
                "step_seconds": self.measured.seconds,
                "steps": self.measured.steps,
                "device": self.measured.device,
            },
            "images": self.images,
            "epoch_seconds": self.epoch_seconds,
        }


def estimate(
    network: Network,
    *,
    batch: int,
    optimiser: str = "sgd",
    precision: Precision = "float32",
    memory: int | None = None,
    images: int = 50_000,
    find: bool = False,
    device: str = "auto",
) -> Estimate:
    """Forecast what training takes, and measure a few steps in a child process.

    Args:
        network: on paper.
        batch: images a step.
        optimiser: sgd (with momentum), sgd_plain, adam or adamw.
        precision: float32, or that of automatic mixed precision.
        memory: bytes that training may take; what the device has unless given.
        images: in an epoch.
        find: search the largest batch that is measured to fit.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: an unknown optimiser or device.
        TrainingError: the measurement failed.
    """
    paper = forecast(network, batch=batch, optimiser=optimiser, precision=precision)
    limit = free_bytes(choose_device(device)) if memory is None else memory
    most = largest_batch(network, limit, optimiser=optimiser, precision=precision)
    trial = Trial(
        network=network, batch=batch, optimiser=optimiser, precision=precision, device=device
    )
    if find:
        found, measured = find_batch(trial, limit)
        timed = found
    else:
        found, timed = None, batch
        measured = measure(trial) if paper.peak <= limit else None
    seconds = None if measured is None else measured.seconds * -(-images // timed)
    return Estimate(
        forecast=paper,
        memory=limit,
        largest_batch=most,
        found_batch=found,
        measured=measured,
        images=images,
        epoch_seconds=seconds,
    )
