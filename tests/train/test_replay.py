from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from striate import runs, train
from striate.errors import UsageError

MakeRecipe = Callable[..., train.Recipe]


@pytest.fixture(scope="module")
def run(make_recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps with checkpoints after steps 15 and 20."""
    recipe = make_recipe(epochs=4, schedule=train.Plateau(patience=0, by="accuracy"))
    path = tmp_path_factory.mktemp("replay") / "run"
    train.train(recipe, out=path)
    return path


@pytest.mark.parametrize(
    ("first", "last", "start"), [(1, 20, 0), (3, 4, 0), (16, 20, 15), (15, 17, 0), (18, 18, 15)]
)
def test_recorded_steps_are_identical(run: Path, first: int, last: int, start: int) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    result = train.replay(run, first, last)
    assert result.identical and result.difference is None
    assert (result.start, result.steps) == (start, last - first + 1)
    assert (result.tensors > 0) == (last >= 5 and last // 5 > start // 5)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def altered(run: Path, folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Copy a run whose history has been changed, line by line."""
    import shutil

    copy = folder / "copy"
    shutil.copytree(run, copy)
    lines = [json.loads(line) for line in (copy / "history.jsonl").read_text().splitlines()]
    for line in lines:
        change(line)
    (copy / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return copy


def test_a_step_that_differs_is_named(run: Path, tmp_path: Path) -> None:
    def change(line: dict[str, object]) -> None:
        if line["kind"] == "step" and line["step"] == 17:
            line["loss"] = float(line["loss"]) * (1 + 1e-15)  # type: ignore[arg-type]

    result = train.replay(altered(run, tmp_path, change), 16, 20)
    assert not result.identical and result.step == 17 and result.tensor is None
    assert (result.difference or "").startswith("Step 17: loss was ")


def test_the_first_tensor_that_differs_is_named(run: Path, tmp_path: Path) -> None:
    def change(line: dict[str, object]) -> None:
        if line.get("event") == "checkpoint" and line["step"] == 20:
            line["tensors"]["net/classifier.weight"] = "0" * 16  # type: ignore[index]

    result = train.replay(altered(run, tmp_path, change), 18, 20)
    assert not result.identical and result.tensor == "net/classifier.weight"
    assert "The tensor net/classifier.weight differs after step 20." in (result.difference or "")


def test_what_was_not_compared_is_said(run: Path) -> None:
    [note] = train.replay(run, 16, 17).notes
    assert note.startswith("No checkpoint lies within these steps")
    assert train.replay(run, 18, 20).notes == ()


def test_steps_that_the_history_lacks_are_never_identical(run: Path, tmp_path: Path) -> None:
    def change(line: dict[str, object]) -> None:
        if line["kind"] == "step" and line["step"] in (17, 18):
            line["kind"] = "lost"

    with pytest.raises(UsageError, match=r"lacks 2 steps of 16\.\.20, step 17 first"):
        train.replay(altered(run, tmp_path, change), 16, 20)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (4, 3), (15, 21)])
def test_steps_that_were_not_recorded(run: Path, first: int, last: int) -> None:
    with pytest.raises(UsageError, match=rf"1 <= A <= B <= 20, received {first}\.\.{last}"):
        train.replay(run, first, last)


def test_a_resumed_run_replays(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    import signal

    class Stop:
        def see(self, line: object, net: object) -> None:
            if line["kind"] == "step" and line["step"] == 3:  # type: ignore[index]
                signal.raise_signal(signal.SIGINT)

    train.train(make_recipe(), out=tmp_path / "run", observers=[Stop()])
    train.resume(tmp_path / "run")
    assert train.replay(tmp_path / "run", 1, 10).identical
    assert runs.open(tmp_path / "run").state == "finished"
