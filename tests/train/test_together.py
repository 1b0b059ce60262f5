"""Several processes on one batch agree with one process, also when their number changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from striate import runs, train, zoo
from striate.contract import Resize
from striate.design import Network, Output, Sketch

pytestmark = pytest.mark.distributed

MakeRecipe = Callable[..., train.Recipe]
Start = Callable[..., list[subprocess.Popen[str]]]

STOP = """
import os, signal
from striate.train.training import Training
take_step = Training.take_step
def stopping(self, parts):
    taken = take_step(self, parts)
    if self.done == {step} and os.environ.get("RANK", "0") == "{rank}":
        signal.raise_signal(signal.SIGINT)
    return taken
Training.take_step = stopping
"""


def finish(started: list[subprocess.Popen[str]]) -> None:
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(runs.open(run).checkpoints()[-1][1] / "tensors.safetensors")


def distance(one: Path, other: Path, kind: str = "net/") -> float:
    """Return the relative L2 distance of two runs' tensors of a kind."""
    ours, theirs = tensors(one), tensors(other)
    names = [n for n in ours if n.startswith(kind) and ours[n].is_floating_point()]
    gap = sum(float((ours[n].double() - theirs[n].double()).square().sum()) for n in names)
    return float((gap / sum(float(theirs[n].double().square().sum()) for n in names)) ** 0.5)


@pytest.fixture
def plain(make_recipe: MakeRecipe, make_network: Callable[..., Network]) -> train.Recipe:
    """A recipe without batch normalisation, but with dropout, augmentation and an average."""
    return make_recipe(network=make_network(norm=False))


def test_two_processes_agree_with_one(
    plain: train.Recipe, tmp_path: Path, start_together: Start
) -> None:
    finish(start_together(2, plain, tmp_path / "two"))
    one = train.train(plain, out=tmp_path / "one")
    run = runs.open(tmp_path / "two")
    assert run.state == "finished" and run.plan()["processes"] == 2
    for kind in ("net/", "optimiser/", "average/"):
        assert distance(tmp_path / "two", tmp_path / "one", kind) < 1e-6
    two = train.resume(tmp_path / "two")
    assert one.test is not None and two.test is not None
    assert two.test.n == one.test.n
    assert two.test.loss == pytest.approx(one.test.loss, rel=1e-5)
    losses = [line["loss"] for line in run.history("step")]
    expected = [line["loss"] for line in runs.open(tmp_path / "one").history("step")]
    assert losses == pytest.approx(expected, rel=1e-5)


LEAVE_NO_THREAD = """
import atexit, os, threading
from pathlib import Path
def threads():
    tasks = Path("/proc/self/task").iterdir()
    names = [task.joinpath("comm").read_text().strip() for task in tasks]
    left = [name for name in names if "gloo" in name or "store" in name]
    if left:
        os.write(2, f"threads of the group are left: {left}".encode())
        os._exit(3)
atexit.register(threads)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_the_group_is_gone_when_python_ends(
    plain: train.Recipe, tmp_path: Path, start_together: Start
) -> None:
    """A thread of gloo that outlives Python aborts the process, now and then."""
    finish(start_together(2, plain, tmp_path / "two", LEAVE_NO_THREAD))


def frozen_and_two_headed() -> Network:
    """Return a network with a frozen layer, and a head that the loss ignores."""
    pen = Sketch("odd", (1, 8, 8))
    pen.conv("conv1", 4, 3)
    pen.relu("relu1")
    pen.flatten()
    pen.linear("side", 10)
    pen.linear("classifier", 10, of="flatten")
    network = pen.finish(Output(name="aux", source="side", train_only=True, loss_weight=0.0))
    frozen = [each.replace(trainable=each.name != "conv1") for each in network.layers]
    return network.replace(layers=tuple(frozen))


def test_three_processes_agree_with_one_on_odd_things(
    plain: train.Recipe, tmp_path: Path, start_together: Start
) -> None:
    """Cutmix, frozen and ignored parameters, micro-batches of two: a process has no row."""
    recipe = plain.replace(
        accumulate=32, objective=train.Cutmix(), epochs=1, network=frozen_and_two_headed()
    )
    finish(start_together(3, recipe, tmp_path / "three"))
    train.train(recipe, out=tmp_path / "one")
    assert distance(tmp_path / "three", tmp_path / "one") < 1e-6


@pytest.mark.parametrize("rank", [0, 1])
def test_a_resume_with_another_number_of_processes(
    plain: train.Recipe,
    tmp_path: Path,
    start_together: Start,
    start: Callable[..., object],
    rank: int,
) -> None:
    """Either process may be the one that hears ctrl-C; both stop after the same step."""
    finish(start_together(2, plain, tmp_path / "run", STOP.format(step=3, rank=rank)))
    run = runs.open(tmp_path / "run")
    assert run.state == "interrupted" and run.checkpoints()[-1][0] == 3
    result = train.resume(tmp_path / "run")
    assert result.state == "finished"
    [event] = [line for line in run.history("event") if line["event"] == "resumed"]
    assert event["differences"] == ["processes 2 then, 1 now"]
    train.train(plain, out=tmp_path / "one")
    assert distance(tmp_path / "run", tmp_path / "one") < 1e-6


def test_two_processes_resume_bit_for_bit(
    make_recipe: MakeRecipe, tmp_path: Path, start_together: Start
) -> None:
    recipe = make_recipe()
    finish(start_together(2, recipe, tmp_path / "undisturbed"))
    finish(start_together(2, recipe, tmp_path / "run", STOP.format(step=7, rank=0)))
    finish(start_together(2, recipe, tmp_path / "run"))
    ours, theirs = tensors(tmp_path / "run"), tensors(tmp_path / "undisturbed")
    assert [name for name in ours if not ours[name].equal(theirs[name])] == []


def test_a_refusal_in_the_first_process_is_everybodys(
    plain: train.Recipe, tmp_path: Path, start_together: Start
) -> None:
    three, _ = plain.network.with_classes(3)
    for process in start_together(2, plain.replace(network=three), tmp_path / "run"):
        _, said = process.communicate(timeout=120)
        assert process.returncode == 2 and "ContractError: small has 3 outputs" in said


def test_resnet20_with_batch_norm_agrees_after_20_steps(
    make_recipe: MakeRecipe, tmp_path: Path, start_together: Start
) -> None:
    """And so it does when the second half is trained by one process.

    At a small rate: 20 steps of ResNet-20 in float32 multiply a rounding by a million at a rate of
    0.1, in one process as in two (tests/layers has the same in float64, at 1e-8).
    """
    recipe = make_recipe(
        network=zoo.network("resnet20", classes=10, input=(1, 16, 16)),
        preprocessing=train.Preprocessing(
            channels="grey", size=(16, 16), resize=Resize(rule="exact", size=(16, 16))
        ),
        optimiser=train.SGD(rate=1e-4, momentum=0.9, decay=1e-4),
        data=train.DataChoice(path="digits", test=0.6, validation=0.1),
        batch=64,
        epochs=2,
        augmentation=(),
        ema=None,
    )
    finish(start_together(2, recipe, tmp_path / "two"))
    train.train(recipe, out=tmp_path / "one")
    assert runs.open(tmp_path / "one").checkpoints()[-1][0] >= 20
    assert distance(tmp_path / "two", tmp_path / "one") < 1e-5
    finish(start_together(2, recipe, tmp_path / "changed", STOP.format(step=9, rank=0)))
    train.resume(tmp_path / "changed")
    assert distance(tmp_path / "changed", tmp_path / "one") < 1e-5


FAIL = """
import os
from striate.data import Loader
from striate.errors import DataError
make = Loader.make
def failing(self, share, epoch):
    if epoch == 1 and os.environ.get("RANK") == "{rank}":
        raise DataError("cat.png cannot be read.")
    return make(self, share, epoch)
Loader.make = failing
"""


@pytest.mark.parametrize("rank", [0, 1])
def test_all_end_at_once_where_one_cannot_read_an_image(
    plain: train.Recipe, tmp_path: Path, start_together: Start, rank: int
) -> None:
    started = start_together(2, plain, tmp_path / "run", FAIL.format(rank=rank))
    said = [process.communicate(timeout=60)[1] for process in started]
    assert all(process.returncode for process in started)
    assert "DataError: cat.png cannot be read." in said[rank]
    assert "TrainingError: Another process has ended early" in said[1 - rank]
    assert runs.open(tmp_path / "run").state == "failed"
