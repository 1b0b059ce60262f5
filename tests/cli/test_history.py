"""`striate history`: epochs, every number as CSV, event files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runs.made import make

from striate import runs, zoo


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended in the middle of its second epoch, and of a line."""
    run = make(tmp_path_factory.mktemp("history") / "lost, crashed", zoo.network("lenet"))
    for step, loss in ((1, 4.0), (2, 2.0), (3, 1.0)):
        epoch = (step + 1) // 2
        run.append({"kind": "step", "step": step, "epoch": epoch, "loss": loss, "rate": 1e-5})
        if step == 2:
            figures = {"loss": None, "accuracy": 0.5, "best": True}
            run.append({"kind": "validation", "step": 2, "epoch": 1, **figures})
    run.sync()
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 4, "lo')
    return run.path


def test_epochs_are_a_table_and_a_document(run: Callable[..., Any], crashed: Path) -> None:
    shown = run("history", crashed)
    assert shown.code == 0 and shown.err == ""
    assert shown.out.splitlines() == [
        f"{crashed}, crashed",
        "epoch  step   rate  loss  validation loss  accuracy",
        "    1     2  1e-05     3                     50.00%  best",
        "    2     3  1e-05     1",
    ]
    document = json.loads(run("history", crashed, "--json").out)
    first, second = document["runs"][0].pop("epochs")
    assert document == {"runs": [{"run": str(crashed), "state": "crashed", "tensorboard": None}]}
    figures = {"validation_loss": None, "accuracy": 0.5, "best": True}
    assert first == {"epoch": 1, "step": 2, "loss": 3.0, "rate": 1e-5, **figures}
    assert second == {"epoch": 2, "step": 3, "loss": 1.0, "rate": 1e-5}


def test_every_number_is_a_row_of_the_csv(run: Callable[..., Any], crashed: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("history", crashed, "--csv").out)))
    known = runs.open(crashed).scalars()
    assert [each["run"] for each in rows] == [str(crashed)] * len(known)
    assert [each["tag"] for each in rows] == [each.tag for each in known]
    for row, scalar in zip(rows, known, strict=True):
        assert (int(row["step"]), int(row["epoch"])) == (scalar.step, scalar.epoch)
        assert float(row["time"]) == scalar.time
        value = float(row["value"])
        assert value == scalar.value or math.isnan(value) and math.isnan(scalar.value)
    assert [each["value"] for each in rows if each["tag"] == "validation/loss"] == ["nan"]


def test_runs_are_written_beside_each_other_for_tensorboard(
    run: Callable[..., Any], crashed: Path, tmp_path: Path
) -> None:
    other = make(tmp_path / "other", zoo.network("lenet"))
    shown = run("history", crashed, other.path, "--tensorboard", tmp_path / "board", "--json")
    files = [Path(each["tensorboard"]) for each in json.loads(shown.out)["runs"]]
    assert [each.parent.name for each in files] == ["lost, crashed", "other"]
    assert all(each.is_file() for each in files)
    assert f"tensorboard --logdir {tmp_path / 'board'}" in shown.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "There is no run folder nowhere."),
        (["nowhere", "--csv", "--json"], "Expected --csv or --json, received both: leave one out."),
    ],
)
def test_mistakes_are_one_sentence(
    run: Callable[..., Any], arguments: list[str], sentence: str
) -> None:
    ended = run("history", *arguments)
    assert ended.code == 2 and sentence in ended.err and ended.err.count("\n") == 1


def test_two_runs_of_one_name_cannot_share_a_folder(
    run: Callable[..., Any], crashed: Path, tmp_path: Path
) -> None:
    ended = run("history", crashed, crashed, "--tensorboard", tmp_path / "board")
    assert ended.code == 2 and not (tmp_path / "board").exists()
    assert "Expected runs of different names, received 'lost, crashed' twice: Tensor" in ended.err
