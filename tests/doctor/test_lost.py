"""Histories that lost lines, or hold two runs: what is left is judged, what is missing is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.doctor.test_diagnose import recipe

from striate import doctor, runs, train
from striate.doctor.lost import counting, lost
from striate.doctor.story import read

Lines = list[bytes]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train.train(recipe(), out=path, plan="default")
    return path


def without(first: int, last: int) -> Callable[[Lines], Lines]:
    """Lose the lines of some steps."""
    return lambda lines: [
        each for each in lines if not first <= json.loads(each).get("step", 0) <= last
    ]


def spoilt(healthy: Path, place: Path, change: Callable[[Lines], Lines]) -> runs.Run:
    shutil.copytree(healthy, place)
    file = place / "history.jsonl"
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    return runs.open(place)


def last_step(path: Path) -> int:
    return max(line["step"] for line in runs.open(path).history("step"))


def test_nothing_is_missing_from_a_whole_history(healthy: Path) -> None:
    run = runs.open(healthy)
    assert lost(run) == () and counting(run.history()) == run.history()
    assert read(run).whole and doctor.diagnose(run) == ()


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_history_cut_in_half(healthy: Path, tmp_path: Path, checkpoints: bool) -> None:
    total = last_step(healthy)
    run = spoilt(
        healthy, tmp_path / "run", lambda lines: [*lines[: len(lines) // 2], lines[-1][:9]]
    )
    if not checkpoints:
        shutil.rmtree(run.path / "checkpoints")
    there = last_step(run.path)
    test = {"accuracy": 0.99, "n": 500}  # of weights that a validation chose which is lost
    (run.path / "results.json").write_text(json.dumps({"test": test}))
    (said,) = lost(run)
    assert said.startswith(f"The history has lost {total - there} steps of {total} ({there + 1} to")
    assert f"rests on the other {there}, " in said and said.endswith("ended is not known.")
    assert doctor.diagnose(run) == () and not read(run).whole


def test_steps_lost_in_the_middle(healthy: Path, tmp_path: Path) -> None:
    def change(lines: Lines) -> Lines:
        for first, last in ((3, 3), (10, 19), (30, 31), (40, 40), (44, 47)):
            lines = without(first, last)(lines)
        return lines

    run = spoilt(healthy, tmp_path / "run", change)
    (said,) = lost(run)
    total = last_step(healthy)
    assert f"lost 18 steps of {total} (3, 10 to 19, 30 to 31 and 2 more stretches)" in said
    assert said.endswith(" of layers.") and not read(run).whole
    assert doctor.diagnose(run) == ()


def test_a_history_without_its_beginning(healthy: Path, tmp_path: Path) -> None:
    run = spoilt(healthy, tmp_path / "run", without(0, 20))
    assert "(1 to 20)" in lost(run)[0] and not read(run).whole


def test_a_run_that_goes_on_has_lost_nothing(healthy: Path, tmp_path: Path) -> None:
    run = spoilt(healthy, tmp_path / "run", lambda lines: lines[: len(lines) // 2])
    shutil.rmtree(run.path / "checkpoints")
    run.set_state("interrupted")
    assert lost(run) == ()


def test_two_runs_in_one_folder(healthy: Path, tmp_path: Path) -> None:
    def of_another(line: bytes) -> bytes:
        told = json.loads(line)
        if told.get("kind") == "step":
            told["loss"] = 50.0
        return json.dumps(told).encode() + b"\n"

    run = spoilt(healthy, tmp_path / "run", lambda lines: [*map(of_another, lines), *lines])
    (said,) = lost(run)
    assert "holds some steps twice, as where two runs wrote into one folder" in said
    assert doctor.diagnose(run) == ()  # the later one is judged, which is healthy
    story, whole = read(run), read(runs.open(healthy))
    assert story.losses.tolist() == whole.losses.tolist() and story.whole
    assert len(story.validations) == len(whole.validations)


def test_two_runs_that_write_at_the_same_time(healthy: Path, tmp_path: Path) -> None:
    """Line by line: probes of one beside losses of the other would blame either at random."""

    def change(lines: Lines) -> Lines:
        other = [each.replace(b'"loss":', b'"loss":9') for each in lines]
        return [each for pair in zip(lines, other, strict=True) for each in pair]

    run = spoilt(healthy, tmp_path / "run", change)
    (said,) = lost(run)
    assert "at the same time" in said and "nothing can be said" in said
    assert doctor.diagnose(run) == ()


def test_a_run_resumed_again_and_again_is_one_run(healthy: Path, tmp_path: Path) -> None:
    def change(lines: Lines) -> Lines:
        made: Lines = []
        for least in range(0, last_step(healthy), 12):  # two steps of each are done again
            made += [e for e in lines if least - 2 < json.loads(e).get("step", 0) <= least + 12]
        return made

    run = spoilt(healthy, tmp_path / "run", change)
    assert "later ones" in lost(run)[0]


def test_losses_that_others_wrote_as_nan(healthy: Path, tmp_path: Path) -> None:
    """JSON has no NaN, and Python's writer writes it all the same."""

    def change(lines: Lines) -> Lines:
        told = [json.loads(each) for each in lines]
        spoilt = [t | ({"loss": float("nan")} if t["kind"] == "step" else {}) for t in told]
        return [json.dumps(each).encode() + b"\n" for each in spoilt]

    run = spoilt(healthy, tmp_path / "run", change)
    first = doctor.diagnose(run)[0]
    assert first.finding == "not_finite"
    assert f"all {last_step(healthy)} losses" in first.meaning
    assert doctor.plot(run, (first,)).exists()


def test_a_resume_whose_line_is_lost(healthy: Path, tmp_path: Path) -> None:
    def change(lines: Lines) -> Lines:
        again = [k for k, each in enumerate(lines) if json.loads(each)["step"] > 20]
        return [*lines[: again[30]], *lines[again[0] :]]

    run = spoilt(healthy, tmp_path / "run", change)
    assert "twice" in lost(run)[0]
    steps: list[Any] = [line["step"] for line in counting(run.history()) if line["kind"] == "step"]
    assert steps == list(range(1, last_step(healthy) + 1))
