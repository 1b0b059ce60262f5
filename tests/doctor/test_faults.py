"""The fault corpus: what is counted of its runs, and that counting it changes no training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.faults import run
from benchmarks.faults.corpus import HEALTHY
from benchmarks.faults.rates import Row, rates
from benchmarks.faults.settings import SETTINGS, Make, healthy, thinned

from striate import doctor, train


def row(case: str = "plain", seed: int = 0, **changes: Any) -> Row:
    made = Row(case, "cifar10", "plain", seed, 0.4, [], [], [], 1.0, 9.0)
    return made._replace(**changes)


def test_live_alarms_are_counted_apart_from_those_at_the_end() -> None:
    rows = [
        row(seed=0, live=["data_starved", "overfitting"]),
        row(seed=1, live=[], doctor=["underfitting"]),
        row(seed=2, live=["overfitting"]),
        row("adam", live=[]),
        row("clipped", doctor=["plateau"]),  # made before live alarms were noted
        row("labels shuffled", live=["labels_look_shuffled"], doctor=["labels_look_shuffled"]),
    ]
    found = rates(rows)
    assert found["live_false_alarm_rate"] == 0.5
    live = found["live"]
    assert live["false_alarm_rate"]["hits"] == 2 and live["false_alarm_rate"]["of"] == 4
    low, high = live["false_alarm_rate"]["interval"]
    assert low < 0.5 < high
    assert live["which"] == {"data_starved": 1, "overfitting": 2}
    assert live["runs"]["plain (cifar10, plain, seed 2)"] == ["overfitting"]
    assert live["not_noted"] == 1
    assert found["false_alarm_rate"] == 0.4  # of all five, at their end
    quiet = rates([each._replace(live=None) for each in rows])
    assert quiet["live_false_alarm_rate"] is None and quiet["live"]["not_noted"] == 5
    same = {name: figure for name, figure in found.items() if not name.startswith("live")}
    assert same == {name: each for name, each in quiet.items() if not name.startswith("live")}


def test_rows_of_an_earlier_run_of_the_benchmark_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = row("adam", doctor=["plateau"])._asdict()
    del old["live"]
    kept = tmp_path / "rows"
    Path(f"{kept}.0").write_text(
        json.dumps(old) + "\n" + json.dumps(row(live=["data_starved"])._asdict()) + "\n"
    )
    asked = ["run.py", "--out", str(kept), "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", [*asked, "--json"])
    run.main()
    found = json.loads(capsys.readouterr().out)
    assert found["live_false_alarm_rate"] == 1.0 and found["live"]["not_noted"] == 1
    monkeypatch.setattr(sys, "argv", asked)
    run.main()
    said = capsys.readouterr().out
    assert "live {'false_alarm_rate': 1.0} {'data_starved': 1}" in said
    assert "plain (cifar10, plain, seed 0): data_starved" in said
    assert "1 healthy runs were made before" in said


def test_what_is_said_live_is_noted_and_changes_no_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = doctor.Finding(
        finding="overfitting", confidence=0.9, evidence={}, meaning="it passes", remedy="wait"
    )
    monkeypatch.setattr("striate.doctor.live.diagnose_story", lambda story, live: (said,))
    monkeypatch.setattr(doctor, "preflight", lambda recipe, prepared: ())
    (plain,) = (case for case in HEALTHY if case.name == "plain")
    setting = SETTINGS["digits"]
    made = run.run_one(run.Job(plain, "digits", "plain", 0))
    assert made.live == ["overfitting"] and "overfitting" not in made.doctor
    recipe = healthy(setting, Make("plain", setting.shape)(), 0)
    alone = train.train(recipe, out=tmp_path / "run", dataset=thinned(setting, 0), plan="default")
    assert alone.test is not None and made.accuracy == alone.test.accuracy
