"""What is said of a run before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from striate import zoo
from striate.cli.estimate import estimate_text, read_bytes
from striate.design.forecast import forecast
from striate.errors import UsageError
from striate.train import Estimate, Footprint


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8GB", 8 * 10**9),
        ("800 MB", 8 * 10**8),
        ("7.5GiB", 7.5 * 2**30),
        ("12G", 12 * 10**9),
        ("1000", 1000),
        ("3kB", 3000),
    ],
)
def test_memory_is_read(text: str, count: float) -> None:
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["", "8 parsecs", "-1GB", "GB", "8GBB", "i", "5i"])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="Expected memory like 8GB"):
        read_bytes(text)


def test_an_estimate_in_lines() -> None:
    paper = forecast(zoo.network("lenet"), batch=64)
    measured = Footprint(peak=7_400_000, step=4_000_000, seconds=0.01, steps=5, device="cpu")
    text = estimate_text(
        Estimate(
            forecast=paper,
            memory=8 * 10**9,
            largest_batch=70_000,
            found_batch=None,
            measured=measured,
            images=60_000,
            epoch_seconds=9.38,
        )
    )
    assert "training with batch 64, sgd, float32: 4.6 MB at the peak" in text
    assert "largest batch in 8.0 GB by this forecast: 70,000" in text
    assert "measured on cpu: 7.4 MB, 10 ms a step (median of 5), 6,400 images a second" in text
    assert "an epoch of 60,000 images: 9.4 s, if the data keep up" in text


def test_design_train_forecasts_and_measures(run: Callable[..., Any]) -> None:
    told = run("design", "lenet", "--train", "--batch", "8", "--images", "800", "--json")
    training = json.loads(told.out)["training"]
    assert training["peak_bytes"] == sum(training["parts"].values())
    assert training["measured"]["device"] in ("cpu", "cuda")
    assert training["epoch_seconds"] == pytest.approx(100 * training["measured"]["step_seconds"])


def test_an_unknown_precision_is_one_sentence(run: Callable[..., Any]) -> None:
    told = run("design", "lenet", "--train", "--precision", "fp8")
    assert told.code == 2 and "expected one of 'float32', 'bfloat16', 'float16'" in told.err
