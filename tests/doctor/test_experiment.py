"""Experiments: what they claim is what a rerun with the remedy shows, and the run is only read."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from striate import doctor, progress, runs, train
from striate.design import Sketch
from striate.doctor.experiment import _verdict
from striate.doctor.story import Finding
from striate.errors import NotFiniteError, UsageError
from striate.train.fork import fork
from striate.train.interrupt import Interrupt
from striate.train.training import Training
from striate.wording import duration


def recipe(**changes: Any) -> train.Recipe:
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1)
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    made = train.Recipe(
        name="small",
        network=pen.finish(),
        data=train.DataChoice(path="digits", test=0.5, validation=0.3),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.05),
        epochs=3,
        batch=32,
        workers=0,
        device="cpu",
    )
    return made.replace(**changes)


def finding(*settings: str) -> Finding:
    return Finding(
        finding="asked", confidence=1.0, evidence={}, meaning="", remedy="", settings=settings
    )


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_remedy_of_a_low_rate_is_better_and_the_run_is_only_read(tmp_path: Path) -> None:
    train.train(recipe(optimiser=train.SGD(rate=1e-6)), out=tmp_path / "slow")
    before = contents(tmp_path / "slow")
    (low,) = doctor.diagnose(tmp_path / "slow")
    found = doctor.experiment(tmp_path / "slow", low, steps=40)
    assert found.verdict == "better" and found.start == 0
    assert found.control.mean is not None and found.remedy.mean is not None
    assert found.remedy.mean < found.control.mean
    assert found.text.startswith("control 2.") and "optimiser.rate=0.001" in found.text
    assert contents(tmp_path / "slow") == before
    said = doctor.with_experiment(low, found)
    assert said.experiment is not None and said.experiment["verdict"] == "better"


def test_the_claim_is_what_a_full_rerun_shows(tmp_path: Path) -> None:
    """The remedy's branch, seed for seed, has the validation loss of a training with it."""
    train.train(recipe(optimiser=train.SGD(rate=1e-4), epochs=2), out=tmp_path / "run")
    steps = 2 * 20
    asked = finding("optimiser.rate=0.05")
    found = doctor.experiment(tmp_path / "run", asked, steps=steps, seeds=(0, 1))
    for seed, loss in zip((0, 1), found.remedy.losses, strict=True):
        again = train.train(recipe(seed=seed, epochs=2), out=tmp_path / f"again{seed}")
        assert again.validation is not None
        assert again.validation.loss == pytest.approx(loss, rel=1e-6)


class Stop:
    """Asks a training to end after some steps, as ctrl-C does."""

    def __init__(self, interrupt: Interrupt, after: int) -> None:
        self.interrupt, self.after = interrupt, after

    def see(self, line: Mapping[str, Any], net: object) -> None:
        if line["kind"] == "step" and line["step"] == self.after:
            self.interrupt.asked_at = time.monotonic()


def test_branches_from_a_checkpoint_are_what_resuming_shows(tmp_path: Path) -> None:
    """In the middle of an epoch: control as the run resumed, remedy as its fork, to the digit."""
    interrupt = Interrupt()
    train.train(
        recipe(optimiser=train.SGD(rate=0.01, momentum=0.9)),
        out=tmp_path / "run",
        observers=[Stop(interrupt, 25)],
        interrupt=interrupt,
        plan="default",
    )
    run = runs.open(tmp_path / "run")
    asked = finding("optimiser.rate=0.1")
    found = doctor.experiment(run, asked, steps=1000, seeds=(0,))
    assert found.start == 25 and run.state == "interrupted"
    forked = fork(run, tmp_path / "forked", asked.settings)
    for path, arm in ((forked.path, found.remedy), (run.path, found.control)):
        train.resume(path)
        assert arm.losses == (runs.open(path).history("validation")[-1]["loss"],)


def test_seeds_differ_and_share_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []
    take = Training.take_step

    def watched(self: Training, parts: Any) -> Any:
        seen.append((self.recipe.seed, parts[0].images.numpy().tobytes()))
        return take(self, parts)

    train.train(recipe(epochs=1), out=tmp_path / "run", plan="default")
    monkeypatch.setattr(Training, "take_step", watched)
    found = doctor.experiment(tmp_path / "run", finding("optimiser.rate=0.01"), steps=3)
    assert found.seeds == (0, 1, 2)
    length = found.steps  # from the start, as many as it took to find what was found at the end
    branches = [tuple(seen[k : k + length]) for k in range(0, len(seen), length)]
    assert len(branches) == 6 and len(set(branches)) == 3
    assert all(branches[k] == branches[k + 1] for k in (0, 2, 4))


def test_schedules_are_compared_over_a_whole_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve epochs, of which a branch has five: the cosine has come to its end by then."""
    rates: dict[str, list[float]] = {}
    take = Training.take_step

    def watched(self: Training, parts: Any) -> Any:
        taken = take(self, parts)
        rates.setdefault(type(self.recipe.schedule).__name__, []).append(taken.rate)
        return taken

    constant = recipe(epochs=12, schedule=train.Constant())
    run = train.train(constant, out=tmp_path / "run", plan="default").run
    monkeypatch.setattr(Training, "take_step", watched)
    found = doctor.experiment(run, finding("schedule=cosine"), steps=10, seeds=(0,))
    assert found.steps == 100 and len(rates["Cosine"]) == len(rates["Constant"]) == 100
    assert rates["Cosine"][-1] < 0.01 * rates["Cosine"][0]
    assert rates["Constant"][-1] == rates["Constant"][0]


def test_a_control_that_blows_up_loses(tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError):
        train.train(recipe(optimiser=train.SGD(rate=1e20)), out=tmp_path / "blown")
    found = doctor.experiment(tmp_path / "blown", finding("optimiser.rate=0.01"), steps=30)
    assert found.verdict == "better" and found.control.mean is None
    assert found.text.startswith("control not finite")


def test_the_same_settings_make_no_difference(tmp_path: Path) -> None:
    train.train(recipe(epochs=1), out=tmp_path / "run")
    found = doctor.experiment(tmp_path / "run", finding("workers=1"), steps=15)
    assert found.control.losses == found.remedy.losses and found.verdict == "no difference"
    run = tmp_path / "run"
    assert found.text.endswith(
        f"(no difference); look at labels that it doubts (striate check --run {run}) and images as "
        f"it saw them (striate augment {run})"
    )
    picture = run / "figures" / "mistakes.png"
    picture.touch()
    again = doctor.experiment(run, finding("workers=1"), steps=1, seeds=(0,))
    assert f"(no difference); look at its mistakes ({picture}), labels that" in again.text
    with pytest.raises(UsageError, match="asked has no remedy that an experiment could try"):
        doctor.experiment(tmp_path / "run", finding())


def test_what_an_experiment_will_take_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.train(recipe(epochs=1), out=tmp_path / "run")
    run, said = runs.open(tmp_path / "run"), list[str]()
    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    paced = [
        {**line, "time": 5.0 * line.get("step", 0) + 1000 * (line.get("step", 0) > 9)}  # a pause
        for line in lines
    ]
    (run.path / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in paced))

    def begun(text: str) -> None:
        said.append(text)
        raise KeyboardInterrupt  # before a step is taken

    monkeypatch.setattr(progress, "say", begun)
    with pytest.raises(KeyboardInterrupt):
        doctor.experiment(run, finding("optimiser.rate=0.1"), steps=100)
    steps = max(line.get("step", 0) for line in lines)
    pace = 5 + 19 * 5 / (steps - 1)  # of the pause, twenty times the usual counts
    assert said == [
        "Trying optimiser.rate=0.1: with and without it on 3 seeds, 6 branches of up to 100 steps "
        f"from the start, about {duration(600 * pace)} at the run's pace."
    ]


def test_a_control_that_is_blown_up_by_chance_further_or_less_far_loses_all_the_same() -> None:
    assert _verdict([(9.0, 2.0), (1e18, 2.1), (1e3, 1.9)]) == "better"
    assert _verdict([(2.0, 9.0), (2.1, 1e18), (1.9, 1e3)]) == "worse"
    assert _verdict([(2.0, 2.1), (2.1, 1.9), (1.9, 1.95)]) == "no difference"
