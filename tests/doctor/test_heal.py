"""Findings while a run trains, and remedies tried and kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.doctor.test_diagnose import recipe

from striate import doctor, runs, train
from striate.doctor.live import write, written
from striate.doctor.story import Finding
from striate.errors import NotFiniteError
from striate.train import Recipe


def at(rate: float, **changes: object) -> Recipe:
    return recipe(optimiser=train.SGD(rate=rate), epochs=6, **changes)


def test_a_finding_is_said_once_and_written_down(tmp_path: Path) -> None:
    live = doctor.Live(tmp_path / "run")
    slow = at(1e-7)
    watched = train.train(slow, out=tmp_path / "run", observers=[live], plan="default")
    assert [each.finding for each in live.findings] == ["rate_too_low"]
    text = (tmp_path / "run" / "findings.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["finding"] for line in lines] == ["rate_too_low"] and lines[0]["evidence"]
    alone = train.train(slow, out=tmp_path / "alone", plan="default")
    assert watched.test == alone.test
    assert (tmp_path / "run/model.safetensors").read_bytes() == (
        tmp_path / "alone/model.safetensors"
    ).read_bytes()


def test_a_healthy_run_is_left_alone(tmp_path: Path) -> None:
    result = doctor.heal(at(0.05), tmp_path / "run", plan="default")
    assert result.run == str(tmp_path / "run") and result.state == "finished"
    assert not (tmp_path / "run" / "findings.jsonl").exists()
    assert not (tmp_path / "run-healed").exists()


def test_too_low_a_rate_is_healed_from_where_it_stands(tmp_path: Path) -> None:
    result = doctor.heal(at(1e-5), tmp_path / "run", plan="default", steps=20)
    assert result.state == "finished"
    healed = runs.open(tmp_path / "run-healed")
    assert healed.info.parent == "run"
    told = [line["text"] for line in healed.history("event") if line["event"] == "healing"]
    assert len(told) == len(set(told))
    (event,) = runs.open(tmp_path / "run").history("event")[-1:]
    assert event["event"] == "healing" and "better" in event["text"]
    forked = [line for line in healed.history("event") if line["event"] == "forked"]
    assert len(forked) == 1 and forked[0]["settings"][0].startswith("optimiser.rate=")
    losses = [line["loss"] for line in runs.open(result.run).history("step")]
    first, last = float(np.mean(losses[:16])), float(np.mean(losses[-16:]))  # an epoch each
    assert last < first - 0.01  # most of its rate is behind it by then
    assert runs.open(tmp_path / "run").state == "interrupted"
    (found, *_) = doctor.diagnose(tmp_path / "run")
    assert found.experiment is not None and found.experiment["text"] == event["text"]
    (said, *_) = doctor.healings(healed)
    assert said.startswith("Tried at step ") and event["text"] in said


def test_weights_that_are_spoilt_are_begun_anew(tmp_path: Path) -> None:
    result = doctor.heal(at(30.0), tmp_path / "run", plan="default", steps=20)
    healed = runs.open(result.run)
    assert healed.path != tmp_path / "run" and healed.info.parent is not None
    assert result.test is not None and result.test.accuracy > 0.5


def test_damage_that_takes_long_is_waited_for(tmp_path: Path) -> None:
    """Branches last as long as it took the run to be spoilt; a finding is written once."""
    train.train(at(0.5), out=tmp_path / "run", plan="default")
    run = runs.open(tmp_path / "run")
    spoilt = Finding(
        finding="dead_rectifiers",
        confidence=1.0,
        evidence={},
        meaning="",
        remedy="",
        settings=("optimiser.rate=0.05",),
    )
    steps = [doctor.experiment(run, spoilt, steps=asked, seeds=(0,)).steps for asked in (1, 5, 200)]
    write(run.path, spoilt, 12)
    steps += [doctor.experiment(run, spoilt, steps=2, seeds=(0,)).steps]
    assert steps == [10, 50, 200, 12]
    assert [each["step"] for each in written(run)] == [12]


def test_what_no_remedy_helps_is_still_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError):
        doctor.heal(at(1e25), tmp_path / "run", plan="default", steps=5, seeds=(0,))
