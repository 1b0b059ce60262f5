"""Going on: with other workers, after ctrl-C, and from checkpoints that are not what they were."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from striate import inference, progress, runs, train
from striate.errors import CheckpointError, RunError, StriateError
from striate.layers import Net
from striate.train.plan import make_plan
from striate.train.processes import Processes

MakeRecipe = Callable[..., train.Recipe]


class StopAt:
    """Send this process a signal after a step, as ctrl-C does."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def see(self, line: Mapping[str, Any], net: Net) -> None:
        if line["kind"] == "step" and line["step"] == self.step:
            signal.raise_signal(self.number)


def last_tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(runs.open(run).checkpoints()[-1][1] / "tensors.safetensors")


def assert_identical(one: Path, other: Path) -> None:
    ours, theirs = last_tensors(one), last_tensors(other)
    assert [name for name in ours if not ours[name].equal(theirs[name])] == []
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.fixture
def undisturbed(make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    train.train(make_recipe(), out=tmp_path / "undisturbed")
    return tmp_path / "undisturbed"


@pytest.mark.parametrize("step", [3, 5, 7])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_resume_goes_on_with_other_workers(
    make_recipe: MakeRecipe, tmp_path: Path, undisturbed: Path, step: int, number: int
) -> None:
    handler = signal.getsignal(number)
    result = train.train(make_recipe(), out=tmp_path / "run", observers=[StopAt(step, number)])
    assert signal.getsignal(number) is handler
    run = runs.open(tmp_path / "run")
    assert result.state == run.state == "interrupted" and result.test is None
    assert run.checkpoints()[-1][0] == step
    ended = train.resume(tmp_path / "run", workers=3)
    assert ended.state == "finished" and ended.test is not None
    assert_identical(tmp_path / "run", undisturbed)
    assert [line["step"] for line in run.history("step")] == list(range(1, 11))
    events = [line["event"] for line in run.history("event")]
    assert events.count("resumed") == 1 and events[-1] == "finished"


class Heard:
    """A display that remembers what was said of epochs, without the time left."""

    def __init__(self) -> None:
        self.epochs: list[str] = []

    def task(self, what: str, unit: str, total: int | None) -> Heard:
        return self

    def advance(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass

    def say(self, text: str) -> None:
        if text.startswith("epoch "):
            self.epochs.append(text.partition("%")[0])


@pytest.mark.parametrize("step", [3, 5, 7])
def test_an_epoch_gone_on_with_says_what_the_undisturbed_one_says(
    make_recipe: MakeRecipe, tmp_path: Path, step: int
) -> None:
    undisturbed, parted = Heard(), Heard()
    with progress.use(undisturbed):
        train.train(make_recipe(), out=tmp_path / "undisturbed")
    with progress.use(parted):
        train.train(make_recipe(), out=tmp_path / "run", observers=[StopAt(step)])
        result = train.resume(tmp_path / "run")
    assert len(undisturbed.epochs) == 2 and parted.epochs == undisturbed.epochs
    assert result.resumes == 1 and train.resume(tmp_path / "undisturbed").resumes == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": train.AdamW(), "layout": "channels_last"},
        {"optimiser": train.Adam(), "accumulate": 2, "objective": train.Cutmix()},
        {"optimiser": train.SGD(momentum=0.0), "clip": 0.1, "precision": "bfloat16"},
        {"precision": "float16", "objective": train.Mixup()},
        {"schedule": train.Plateau(patience=1, by="accuracy"), "epochs": 4},
    ],
)
def test_all_state_is_saved(
    make_recipe: MakeRecipe, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = make_recipe(**changes)
    train.train(recipe, out=tmp_path / "undisturbed")
    train.train(recipe, out=tmp_path / "run", observers=[StopAt(7)])
    train.resume(tmp_path / "run")
    assert_identical(tmp_path / "run", tmp_path / "undisturbed")


def test_a_finished_run_is_left_as_it_is(undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.is_file()}
    result = train.resume(undisturbed)
    assert result.state == "finished" and result.test is not None and result.epochs == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("damage", ["gone", "in place"])
def test_a_finished_runs_weights_are_brought_back(
    make_recipe: MakeRecipe, tmp_path: Path, damage: str
) -> None:
    result = train.train(make_recipe(), out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    good = run.weights.read_bytes()
    if damage == "gone":
        run.weights.unlink()
    else:
        with open(run.weights, "r+b") as file:
            file.truncate(len(good) // 2)
    again = f"from its newest checkpoint with: striate train --resume {run.path}"
    with pytest.raises(StriateError, match=again):
        inference.load(run)
    assert train.resume(run.path) == result
    assert run.weights.read_bytes() == good
    shutil.rmtree(run.path / "checkpoints")
    run.weights.unlink()
    with pytest.raises(RunError, match="missing, and there is no checkpoint to bring it back"):
        train.resume(run.path)
    with pytest.raises(RunError, match="no checkpoint to bring back the run's own from: train a"):
        inference.load(run)


def test_a_resume_after_the_last_epoch_only_evaluates(
    make_recipe: MakeRecipe, tmp_path: Path, undisturbed: Path
) -> None:
    train.train(make_recipe(), out=tmp_path / "run", observers=[StopAt(10)])
    assert runs.open(tmp_path / "run").state == "interrupted"
    assert train.resume(tmp_path / "run").test == train.resume(undisturbed).test
    assert_identical(tmp_path / "run", undisturbed)


def test_an_early_stop_still_holds_after_a_resume(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(
        epochs=9, ema=None, optimiser=train.SGD(rate=1e-30), early_stop=train.EarlyStop(patience=1)
    )
    ends = train.train(recipe, out=tmp_path / "undisturbed").epochs
    train.train(recipe, out=tmp_path / "run", observers=[StopAt(5 * ends)])
    assert train.resume(tmp_path / "run").epochs == ends


def test_threads_are_those_of_the_plan(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    train.train(make_recipe(), out=tmp_path / "run", observers=[StopAt(3)])
    planned = runs.open(tmp_path / "run").plan()["threads"]
    seen: list[int] = []

    class Threads:
        def see(self, line: Mapping[str, Any], net: Net) -> None:
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(planned + 1)
    try:
        train.resume(tmp_path / "run", observers=[Threads()])
        assert torch.get_num_threads() == planned + 1
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {planned}


def test_training_in_another_thread_installs_no_handler(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    results: list[train.TrainResult] = []
    worker = threading.Thread(
        target=lambda: results.append(train.train(make_recipe(epochs=1), out=tmp_path / "run"))
    )
    worker.start()
    worker.join()
    assert results[0].state == "finished"


# -- checkpoints that are not what they were -------------------------------------------------------


@pytest.fixture
def interrupted(make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    """A run with checkpoints after steps 5 and 7."""
    train.train(make_recipe(), out=tmp_path / "run", observers=[StopAt(7)])
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_checkpoint_cut_short_is_named_and_the_one_before_serves(
    interrupted: Path, undisturbed: Path, name: str
) -> None:
    _, newest = runs.open(interrupted).checkpoints()[-1]
    whole = (newest / name).read_bytes()
    (newest / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=f"{newest} is cut short.* go on from step 5"):
        train.resume(interrupted)
    assert runs.open(interrupted).state == "interrupted"  # as it was: nothing began
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    train.resume(interrupted)
    assert_identical(interrupted, undisturbed)


def test_a_checkpoint_with_an_altered_tensor_is_named(interrupted: Path) -> None:
    _, newest = runs.open(interrupted).checkpoints()[-1]
    tensors = load_file(newest / "tensors.safetensors")
    tensors["net/conv1.weight"][0, 0, 0, 0] += 1e-3
    save_file(tensors, newest / "tensors.safetensors")
    with pytest.raises(CheckpointError, match=r"the tensor net/conv1\.weight does not match"):
        train.resume(interrupted)


def test_a_checkpoint_with_an_altered_state_is_named(interrupted: Path) -> None:
    _, newest = runs.open(interrupted).checkpoints()[-1]
    text = (newest / "state.json").read_text()
    (newest / "state.json").write_text(text.replace('"step":7', '"step":6'))
    with pytest.raises(CheckpointError, match=r"its state\.json was altered"):
        train.resume(interrupted)


def test_a_checkpoint_of_another_network_is_named(
    interrupted: Path, make_recipe: MakeRecipe, make_network: Callable[..., Any], tmp_path: Path
) -> None:
    other = make_recipe(network=make_network(dropout=0.0))
    train.train(other, out=tmp_path / "other", observers=[StopAt(7)])
    _, newest = runs.open(interrupted).checkpoints()[-1]
    _, foreign = runs.open(tmp_path / "other").checkpoints()[-1]
    for file in newest.iterdir():
        file.unlink()
        file.write_bytes((foreign / file.name).read_bytes())
    with pytest.raises(CheckpointError, match=f"{newest} is of another network"):
        train.resume(interrupted)


def test_a_checkpoint_of_another_run_of_the_same_network_is_named(
    interrupted: Path, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    train.train(make_recipe(seed=1), out=tmp_path / "other", observers=[StopAt(7)])
    _, newest = runs.open(interrupted).checkpoints()[-1]
    _, foreign = runs.open(tmp_path / "other").checkpoints()[-1]
    shutil.rmtree(newest)
    shutil.copytree(foreign, newest)
    with pytest.raises(CheckpointError, match=r"is of another run: its recipe\.json had another"):
        train.resume(interrupted)


def test_a_checkpoint_under_another_step_is_named(interrupted: Path) -> None:
    _, newest = runs.open(interrupted).checkpoints()[-1]
    moved = newest.rename(newest.with_name("00000009"))
    with pytest.raises(CheckpointError, match=f"{moved} is damaged: it was written at step 7"):
        train.resume(interrupted)


def test_best_weights_are_verified_before_they_take_the_place_of_others(
    interrupted: Path, undisturbed: Path
) -> None:
    run = runs.open(interrupted)
    _, newest = run.checkpoints()[-1]
    best = run.weights.read_bytes()
    (newest / "model.safetensors").unlink()
    (newest / "model.safetensors").write_bytes(best[:100])
    run.weights.unlink()
    run.weights.write_bytes(b"later weights")
    with pytest.raises(CheckpointError, match=r"its model\.safetensors, the best .* is cut short"):
        train.resume(interrupted)
    assert run.weights.read_bytes() == b"later weights"
    (newest / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"the best weights so far, is missing"):
        train.resume(interrupted)
    run.weights.write_bytes(best)  # one good copy is enough
    train.resume(interrupted)
    assert_identical(interrupted, undisturbed)


def test_advice_looks_at_the_best_weights_too(interrupted: Path) -> None:
    run = runs.open(interrupted)
    (before, older), (_, newest) = run.checkpoints()
    (newest / "state.json").write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"Remove that folder to go on from step {before}"):
        train.resume(interrupted)
    for each in (older / "model.safetensors", run.weights):
        each.write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="none of which is sound, to go on from the start"):
        train.resume(interrupted)


def test_advice_never_names_a_checkpoint_that_is_damaged_too(interrupted: Path) -> None:
    for _, folder in runs.open(interrupted).checkpoints():
        (folder / "state.json").write_bytes(b"{")
    with pytest.raises(CheckpointError, match=r"none of which is sound, to go on from the start"):
        train.resume(interrupted)


def test_a_run_in_use_is_refused(interrupted: Path) -> None:
    with (
        runs.open(interrupted).lock(),
        pytest.raises(RunError, match="is in use by process"),
    ):
        train.resume(interrupted)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        train.resume(tmp_path / "nothing")


# -- a full disk -----------------------------------------------------------------------------------

LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""


@pytest.mark.parametrize("size", [1000, 20_000])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(
    make_recipe: MakeRecipe,
    undisturbed: Path,
    start: Callable[..., Any],
    tmp_path: Path,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it writes files of its own
    process = start(make_recipe(), tmp_path / "run", LIMIT.format(size=size))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.startswith("RunError: The disk is full: ") and said.count("\n") == 1
    if (tmp_path / "run").exists():
        assert f"striate train --resume {tmp_path / 'run'}" in said
    assert list(tmp_path.rglob("*.partial")) == []
    process = start(make_recipe(), tmp_path / "run")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_identical(tmp_path / "run", undisturbed)


def test_only_tiny_steps_are_taken_on_one_thread(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    alone = Processes(0, 1, torch.device("cpu"))
    work = recipe.network.macs() * recipe.batch
    assert work < 25_000_000 and make_plan(recipe, alone).threads == 1
    large = recipe.replace(batch=recipe.batch * (25_000_000 // work + 1))
    assert make_plan(large, alone).threads == torch.get_num_threads()
