"""The range test: near the best of a small grid, wherever it starts, spikes or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate import train
from striate.design import Sketch
from striate.doctor import rate as room
from striate.doctor.rate import rate_range
from striate.errors import NotFiniteError, UsageError
from striate.train.prepare import prepare


def recipe(**changes: Any) -> train.Recipe:
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1)
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    made = train.Recipe(
        name="small",
        network=pen.finish(),
        data=train.DataChoice(path="digits", test=0.3, validation=0.3),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.05),
        schedule=train.Constant(),
        epochs=2,
        batch=32,
        workers=0,
        device="cpu",
    )
    return made.replace(**changes)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_answer_holds_against_a_grid(momentum: float, tmp_path: Any) -> None:
    made = recipe(optimiser=train.SGD(momentum=momentum))
    found = rate_range(made)
    losses = {}
    for factor in (0.01, 0.1, 1.0, 10.0):
        rate = found.suggested * factor
        try:
            result = train.train(
                made.replace(optimiser=train.SGD(rate=rate, momentum=momentum)),
                out=tmp_path / f"at{factor}",
            )
            losses[factor] = result.validation.loss if result.validation else 99.0
        except NotFiniteError:
            losses[factor] = 99.0
    assert losses[1.0] < 1.25 * min(losses.values())
    assert losses[1.0] < losses[0.01]
    assert found.learns_from is not None and found.learns_from < found.suggested * 10


def test_the_answer_does_not_depend_on_the_start() -> None:
    prepared = prepare(recipe())
    answers = [
        rate_range(recipe(), prepared, start=start).suggested for start in (1e-7, 1e-5, 1e-4)
    ]
    assert max(answers) < 2 * min(answers)


@pytest.mark.parametrize("seed", range(3))
def test_a_fall_that_is_noise_is_not_said(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat to 0.003, with a few low batches on the way; lowest at 0.1, blown up at 1."""
    chance = np.random.default_rng(seed)
    rates = np.geomspace(1e-6, 10, 175)
    losses = 3.0 + 0.25 * chance.standard_normal(175)
    losses[20:26] -= 0.6
    losses[100:106] -= 0.6
    losses -= np.interp(np.log10(rates), [-2.6, -1, 0, 1], [0, 1.8, 1.0, -20])
    losses[0] = 3.4
    points = room._Points(rates.tolist(), losses.tolist())
    monkeypatch.setattr(room, "_climb", lambda *arguments: points)
    found = rate_range(recipe())
    assert found.learns_from is not None and 0.002 < found.learns_from < 0.02
    assert found.suggested > found.learns_from


def test_mistakes_are_said() -> None:
    with pytest.raises(UsageError, match="Expected 0 < start < end"):
        rate_range(recipe(), start=1.0, end=0.1)
    with pytest.raises(UsageError, match="The loss never fell at any rate"):
        rate_range(recipe(), start=1e-9, end=1e-7)
