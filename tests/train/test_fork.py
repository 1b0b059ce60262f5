"""Forks: a run that goes on from another's checkpoint by a changed recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from striate import data, recipes, runs, train
from striate.errors import RunError, UsageError
from striate.train.fork import fork


class Stop:
    """Asks a training to end after some steps, as ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def see(self, line, net) -> None:  # type: ignore[no-untyped-def]
        if line["kind"] == "step" and line["step"] == self.after:
            raise KeyboardInterrupt


@pytest.fixture
def halted(tmp_path: Path) -> runs.Run:
    """A run of two epochs that ended in the second one."""
    recipe = recipes.make(
        "auto", data.open("digits"), settings=("epochs=2", "checkpoint_steps=4", "batch=256")
    )
    with pytest.raises(KeyboardInterrupt):
        train.train(recipe, out=tmp_path / "first", observers=(Stop(7),))
    return runs.open(tmp_path / "first")


def test_a_fork_that_changes_nothing_ends_where_the_run_ends(
    halted: runs.Run, tmp_path: Path
) -> None:
    other = fork(halted, tmp_path / "other", ("epochs=2",))
    assert other.info.parent == "first"
    train.resume(other.path)
    train.resume(halted.path)
    one, two = (load_file(each.weights) for each in (halted, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_rate_is_another_from_there_on(halted: runs.Run, tmp_path: Path) -> None:
    done = halted.checkpoints()[-1][0]
    rate = halted.recipe_document()["optimiser"]["rate"]
    other = fork(halted, tmp_path / "other", (f"optimiser.rate={rate / 10}",))
    train.resume(other.path)
    train.resume(halted.path)
    old, new = (run.history("step") for run in (halted, runs.open(other.path)))
    assert [line["loss"] for line in old[:done]] == [line["loss"] for line in new[:done]]
    assert new[done]["rate"] == pytest.approx(old[done]["rate"] / 10)
    assert halted.recipe_document()["optimiser"]["rate"] == rate


def test_what_cannot_be_forked_is_said(halted: runs.Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps its parent's seed"):
        fork(halted, tmp_path / "other", ("seed=5",))
    with pytest.raises(RunError, match="already a run"):
        fork(halted, halted.path, ("optimiser.rate=0.1",))
    for _, place in halted.checkpoints():
        import shutil

        shutil.rmtree(place)
    with pytest.raises(RunError, match="no checkpoint to fork from"):
        fork(halted, tmp_path / "other", ("optimiser.rate=0.1",))
