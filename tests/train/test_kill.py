"""A training killed at any moment, and resumed, ends with the weights of an undisturbed one."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from striate import runs, train

MakeRecipe = Callable[..., train.Recipe]

DIE = """
import os, signal, threading
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""

AFTER_SECONDS = """
from striate.train import session
fit = session.fit
def timed(training):
    threading.Timer({moment}, die).start()
    return fit(training)
session.fit = timed
"""

AT_A_STEP = """
from striate.train.training import Training
take_step, left = Training.take_step, {moment}
def counted(self, parts):
    global left
    taken = take_step(self, parts)
    left -= 1
    if left == 0:
        die()
    return taken
Training.take_step = counted
"""

# While tensors are written: half of them are in the file.
WHILE_WRITING = """
from striate.train import checkpoint
save_file, left = checkpoint.save_file, {moment}
def cut(tensors, path, *more):
    global left
    save_file(tensors, path, *more)
    left -= 1
    if left == 0:
        os.truncate(path, os.path.getsize(path) // 2)
        die()
checkpoint.save_file = cut
"""

# At some opening, renaming, linking or removing of a file in the run folder.
AT_A_FILE = """
left = {moment}
def watch(event, arguments):
    global left
    if event in ("open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"):
        if isinstance(arguments[0], (str, os.PathLike)) and "/run/" in os.fspath(arguments[0]):
            left -= 1
            if left == 0:
                die()
import sys
sys.addaudithook(watch)
"""

WHILE_VALIDATING = """
from striate import inference
measure, left = inference.measure, {moment}
def cut(net, batches, **more):
    global left
    left -= 1
    def some():
        for batch in batches:
            yield batch
            if left == 0:
                die()
    return measure(net, some(), **more)
inference.measure = cut
"""


def killings(count: int, seed: int) -> list[str]:
    """Draw that many moments, as Python that a process runs before it trains."""
    chance = random.Random(seed)
    kinds = [
        lambda: WHILE_WRITING.format(moment=chance.randint(1, 6)),
        lambda: WHILE_VALIDATING.format(moment=chance.randint(1, 2)),
        lambda: AT_A_FILE.format(moment=chance.randint(5, 80)),
        lambda: AFTER_SECONDS.format(moment=chance.uniform(0.0, 0.5)),
        lambda: AT_A_STEP.format(moment=chance.randint(1, 12)),
    ]
    return [DIE + kinds[index % len(kinds)]() for index in range(count)]


def compare(ours: Path, theirs: Path) -> None:
    one, other = runs.open(ours), runs.open(theirs)
    assert one.state == other.state == "finished"
    mine, yours = one.checkpoints()[-1], other.checkpoints()[-1]
    assert mine[0] == yours[0]
    tensors, expected = (load_file(at[1] / "tensors.safetensors") for at in (mine, yours))
    assert tensors.keys() == expected.keys()
    assert [name for name in tensors if not tensors[name].equal(expected[name])] == []
    assert one.weights.read_bytes() == other.weights.read_bytes()
    for kind in ("step", "validation"):
        lines = [
            [{name: value for name, value in line.items() if name != "time"} for line in lines]
            for lines in (one.history(kind), other.history(kind))
        ]
        assert lines[0] == lines[1]
    assert (one.results() or {})["test"] == (other.results() or {})["test"]


def live_and_die(
    recipe: train.Recipe, folder: Path, start: Callable[..., object], moments: list[str]
) -> int:
    """Train into `folder`/run, killed at each of the moments; return how often that worked."""
    killed = 0
    for before in [*moments, ""]:
        process = start(recipe, folder / "run", before)
        _, said = process.communicate(timeout=300)  # type: ignore[attr-defined]
        code = process.returncode  # type: ignore[attr-defined]
        assert code in (0, -signal.SIGKILL), said
        killed += code != 0
    return killed


def check(
    recipe: train.Recipe, folder: Path, start: Callable[..., object], count: int, seed: int
) -> None:
    killed = live_and_die(recipe, folder, start, killings(count, seed))
    assert killed == count
    train.train(recipe, out=folder / "undisturbed")
    compare(folder / "run", folder / "undisturbed")
    hidden = [path for path in (folder / "run").rglob(".*")]
    assert hidden == []


def test_three_kills_change_nothing(
    make_recipe: MakeRecipe, tmp_path: Path, start: Callable[..., object]
) -> None:
    check(make_recipe(epochs=8, checkpoint_steps=2), tmp_path, start, 3, seed=1)


@pytest.mark.slow
def test_twenty_kills_change_nothing(
    make_recipe: MakeRecipe, tmp_path: Path, start: Callable[..., object]
) -> None:
    recipe = make_recipe(epochs=40, checkpoint_steps=2, schedule=train.Plateau(patience=1))
    check(recipe, tmp_path, start, 20, seed=2)
