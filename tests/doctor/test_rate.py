"""The range test: near the best of a small grid, wherever it starts, spikes or not."""

from __future__ import annotations

from typing import Any

import pytest

from striate import train
from striate.design import Sketch
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


def test_mistakes_are_said() -> None:
    with pytest.raises(UsageError, match="Expected 0 < start < end"):
        rate_range(recipe(), start=1.0, end=0.1)
    with pytest.raises(UsageError, match="The loss never fell at any rate"):
        rate_range(recipe(), start=1e-9, end=1e-7)
