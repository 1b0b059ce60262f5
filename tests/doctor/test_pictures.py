"""Each finding's evidence is drawn, on axes that do not make a trend of noise."""

from __future__ import annotations

import inspect
import math
import re
import sys
from typing import Any

import numpy as np
import pytest
from tests.doctor.test_diagnose import dropped, prepared, probe, recipe, story

from striate import train
from striate.doctor import pictures
from striate.doctor.diagnose import RULES
from striate.doctor.story import Finding, Story, of_check
from striate.doctor.subject import Check
from striate.draw import Bands, Bars, Chart, Figure, Table, charts

FOUND = sorted(
    set(
        name
        for module in {rule.__module__ for rule in RULES}
        for name in re.findall(r'finding="(\w+)"', inspect.getsource(sys.modules[module]))
    )
)
NUMBERS: dict[str, float | str] = {
    "in_training_mode": 6.0,
    "in_evaluation_mode": 2.0,
    "part": "validation",
    "shared": 3.0,
    "of": 4.0,
    "validation_accuracy": 0.9,
    "test_accuracy": 0.5,
    "chance": 2.303,
    "guessing": 0.15,
    "least_by_luck": 0.05,
    "layers": 2.0,
    "floor": 1.461,
    "promised_accuracy": 0.6,
    "left": 0.05,
}


def lines(made: Story, **figures: Any) -> list[dict[str, Any]]:
    """Write a story as the history it would be read from."""
    steps = [
        {"kind": "step", "step": k + 1, "loss": loss, "rate": rate, "gradient_norm": 1.0}
        for k, (loss, rate) in enumerate(zip(made.losses, made.rates, strict=True))
    ]
    checks = [
        {"kind": "validation", "step": 40 * (k + 1), "loss": loss, "accuracy": accuracy}
        for k, (loss, accuracy) in enumerate(made.validations)
    ]
    probes = [
        {"kind": "probe", "probe": "layers", "step": 80 * k + 1, **probe(**figures)}
        for k in range(5)
    ]
    return [*steps, *checks, *probes]


def found(name: str) -> Finding:
    return Finding(
        finding=name, confidence=0.9, evidence=NUMBERS, meaning="it is so", remedy="mend it"
    )


def shown(monkeypatch: pytest.MonkeyPatch, *names: str, **changes: Any) -> tuple[list[Any], Figure]:
    """Return the charts of findings, and the figure made of them."""
    kept: list[Any] = []
    drawn = pictures.charts

    def keeping(charts: Any, **more: Any) -> Figure:
        kept.extend(charts)
        return drawn(charts, **more)

    monkeypatch.setattr(pictures, "charts", keeping)
    made = story(**changes)
    history = lines(made, norms={"norm1": 0.2})
    return kept, pictures.picture("run", made, history, [found(each) for each in names])


def test_every_finding_has_a_picture_of_its_evidence() -> None:
    assert sorted(pictures._EVIDENCE) == FOUND


@pytest.mark.parametrize("name", sorted(pictures._EVIDENCE))
def test_each_has_a_chart_beside_the_curves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.doctor.begun._sizes", lambda *place: (("conv1.weight", 2.0),))
    charts, figure = shown(
        monkeypatch,
        name,
        results={"test": {"confusion": np.eye(10).tolist()}},
        orders=({"classes": 3, "expected": 9.0, "digest": 7},) * 4,
        recipe=recipe(network=dropped, start=train.Start(path="there", identity="0")),
        contract=prepared(0.5, 0.2),
        start=prepared(0.1, 0.3),
    )
    assert len(charts) == 2 + len(pictures._EVIDENCE[name])
    assert all(isinstance(each, Chart | Bands | Bars | Table) for each in charts)
    text = figure.svg()
    assert all(each.title in text for each in charts) and f"run: {name.replace('_', ' ')}" in text
    assert figure.raster().width == 1640


def test_charts_of_several_findings_are_each_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    charts, figure = shown(monkeypatch, "exploding", "rate_too_high", "dead_rectifiers")
    titles = [each.title for each in charts]
    assert len(set(titles)) == len(titles) == 5
    assert "also: rate too high, dead rectifiers" in figure.svg()


def test_noise_about_guessing_does_not_look_like_a_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = np.stack([np.full(10, 2.303), np.linspace(0.094, 0.106, 10)], 1)
    charts, _ = shown(monkeypatch, "rate_too_low", validations=stuck)
    accuracy = charts[1]
    assert accuracy.up.low == 0 and accuracy.up.high >= 0.3
    assert accuracy.levels == {"guessing": 0.1}


def test_the_best_epoch_is_marked_and_the_usual_update(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = np.stack([np.abs(np.arange(10) - 3) + 0.5, np.linspace(0.4, 0.9, 10)], 1)
    charts, _ = shown(monkeypatch, "overfitting", "rate_too_low", validations=losses)
    assert charts[0].marked == ((4.0, 0.5), "best: epoch 4")
    assert charts[3].levels == {"usual, 1e-3": 1e-3}
    assert charts[3].series["conv1"][0] == (1 / 40, pytest.approx(1e-3))


def test_what_is_zero_lies_on_the_bottom_of_a_logarithmic_axis() -> None:
    made = story(recipe=recipe(clip=1.0))
    line = probe(ratio=0.0) | {"kind": "probe", "probe": "layers", "step": 1}
    told = pictures.Told(made, [line])
    for drawer in (pictures._updates, pictures._depth):
        chart = drawer(told, found("no_gradient"))
        assert isinstance(chart, Chart)
        assert all(y >= chart.up.low for points in chart.series.values() for _, y in points)


def test_an_empty_history_has_a_picture_too() -> None:
    empty = story(losses=np.zeros(0), validations=np.zeros((0, 2)), probes=())
    drawn = pictures.picture("run", empty, [], [found(each) for each in FOUND])
    assert drawn.svg().startswith("<svg")


def test_failed_checks_are_drawn_beside_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(name: str, measured: float | None, *band: float | None) -> Finding:
        return of_check(
            Check(
                check=name, measured=measured, expected="less", band=band or None, verdict="fail",
                meaning="it is so", fix="mend it",
            )
        )  # fmt: skip

    checks = (
        failed("no_leak", 0.7, 0.0, 0.0),
        failed("last_batch", 1.0, 8.0, None),
        failed("order_varies", 0.9, 0.5, None),  # fails by its order: the figure is as it should be
        failed("modes_agree", None),
    )
    kept: list[Any] = []
    monkeypatch.setattr(pictures, "charts", lambda shown, **more: kept.extend(shown))
    pictures.picture("run", story(failed=checks), [], checks)
    assert kept[2].rows == {"no leak": (0.7, 0.0, 0.0), "last batch": (1.0, 8.0, math.inf)}
    written = charts(kept[2:], title="").svg()
    assert "no leak: 0.7, expected 0<" in written
    assert "last batch: 1, expected at least 8<" in written
    assert checks[1].evidence == {"measured": 1.0, "at_least": 8.0}


def test_the_gap_is_that_of_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = np.repeat([2.0, 1.0, 0.5], 40)
    apart = np.stack([[2.1, 1.4, 1.5], [0.2, 0.5, 0.6]], 1)
    drawn, _ = shown(
        monkeypatch, "overfitting", losses=losses, rates=np.ones(120), validations=apart
    )
    assert drawn[2].series == {
        "gap": [(1.0, pytest.approx(0.1)), (2.0, pytest.approx(0.4)), (3.0, pytest.approx(1.0))]
    }
