"""Steps measured in a child process: near what was forecast, and safe where they do not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from striate import train, zoo
from striate.design.forecast import forecast, largest_batch
from striate.errors import TrainingError, UsageError

NETWORK = zoo.network("resnet20", classes=10)


def test_a_step_takes_what_was_forecast() -> None:
    paper = forecast(NETWORK, batch=96)
    found = train.measure(train.Trial(network=NETWORK, batch=96, device="cpu", seconds=0.0))
    assert found is not None and found.device == "cpu" and found.steps == 2
    assert found.seconds > 0 and 0 < found.step < found.peak
    assert abs(found.peak - paper.peak) <= max(0.08 * found.peak, 32e6)
    assert found.peak > 120e6  # so that the bound says something


def test_the_batch_that_is_found_fits() -> None:
    memory = 80_000_000
    trial = train.Trial(network=NETWORK, batch=1, device="cpu", seconds=0.0, threads=1)
    batch, found = train.find_batch(trial, memory)
    assert found is not None and found.peak <= memory
    assert 0.6 * largest_batch(NETWORK, memory) <= batch <= largest_batch(NETWORK, memory)
    assert train.find_batch(trial, 100_000) == (0, None)


def test_a_child_that_cannot_measure_says_why() -> None:
    trial = train.Trial(network=NETWORK, batch=2, device="cuda:7", seconds=0.0)
    with pytest.raises(TrainingError, match="resnet20 could not be measured: .*cuda:7"):
        train.measure(trial)


def test_a_child_without_memory_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real child, killed as the kernel kills for memory."""
    run = subprocess.run

    def killed(command: list[str], **more: object) -> object:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        return run([sys.executable, "-c", code], **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", killed)
    trial = train.Trial(network=NETWORK, batch=2, device="cpu")
    assert train.measure(trial) is None
    assert train.find_batch(trial, 50_000_000) == (0, None)


def test_an_estimate_has_both() -> None:
    found = train.estimate(NETWORK, batch=16, images=1000, device="cpu")
    assert found.measured is not None and found.epoch_seconds is not None
    assert found.epoch_seconds == pytest.approx(63 * found.measured.seconds)
    document = found.document()
    assert document["peak_bytes"] == sum(document["parts"].values())
    assert document["largest_batch"] == largest_batch(NETWORK, found.memory)


def test_what_does_not_fit_is_not_measured() -> None:
    found = train.estimate(NETWORK, batch=4096, memory=10_000_000, device="cpu")
    assert found.measured is None and found.epoch_seconds is None
    assert found.forecast.peak > found.memory and found.largest_batch < 8


def test_an_unknown_optimiser_comes_before_any_measurement() -> None:
    with pytest.raises(UsageError, match="received 'lion'"):
        train.estimate(NETWORK, batch=1, optimiser="lion")
