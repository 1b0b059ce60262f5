"""A run obeys its plan: measured, by default or from a file; also after a resume and in replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from striate import engine, inference, runs, train
from striate.design import Network, Sketch
from striate.errors import RecordError, RunError
from striate.layers import BatchNorm, Conv2d, build
from striate.records import decode, from_json, to_json
from striate.train.plan import Plan, follow, make_plan
from striate.train.processes import Processes

MakeRecipe = Callable[..., train.Recipe]
ALONE = Processes(0, 1, torch.device("cpu"))


def two_convolutions() -> Network:
    pen = Sketch("two", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1)
    pen.relu("relu1")
    pen.conv("conv2", 16, 3, padding=1)
    pen.relu("relu2")
    pen.max_pool("pool", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    return pen.finish()


@pytest.fixture
def recipe(make_recipe: MakeRecipe) -> train.Recipe:
    return make_recipe(network=two_convolutions(), ema=None, augmentation=())


@pytest.fixture
def planned(recipe: train.Recipe, tmp_path: Path) -> Path:
    """A plan by which the second convolution is Winograd's."""
    plan = make_plan(recipe, ALONE).replace(
        algorithms={"conv2": "winograd_4x4"}, inference={"conv2": "winograd_2x2"}
    )
    path = tmp_path / "plan.json"
    path.write_bytes(to_json(plan))
    return path


def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record by which algorithm each convolution of a net is computed."""
    seen: list[str] = []
    forward = Conv2d.forward

    def recorded(self: Conv2d, x: torch.Tensor) -> torch.Tensor:
        seen.append(self.algorithm)
        return forward(self, x)

    monkeypatch.setattr(Conv2d, "forward", recorded)
    return seen


def test_a_run_obeys_a_file(
    recipe: train.Recipe, planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = used(monkeypatch)
    train.train(recipe, out=tmp_path / "run", plan=planned)
    assert set(seen[0::2]) == {"default"} and set(seen[1::2]) == {"winograd_4x4"}
    run = runs.open(tmp_path / "run")
    plan = decode(Plan, run.plan())
    assert plan.algorithms == {"conv2": "winograd_4x4"}
    replayed = train.replay(run.path, 1, 10)
    assert replayed.identical
    fast = inference.accelerate(run)
    assert fast.algorithms == {"conv2": "winograd_2x2"}
    assert "Winograd" in repr(fast)
    again = make_plan(recipe, ALONE, tmp_path / "run")  # a run's folder is a plan, too
    assert (again.algorithms, again.inference) == (plan.algorithms, plan.inference)


def test_a_resumed_run_obeys_it(
    recipe: train.Recipe, planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "cut"):
        train.train(recipe, out=tmp_path / name, plan=planned)
    cut = runs.open(tmp_path / "cut")
    rmtree(cut.checkpoints()[-1][1])
    cut.set_state("running")
    seen = used(monkeypatch)
    train.resume(cut.path)
    assert "winograd_4x4" in seen
    whole, resumed = (
        load_file(runs.open(tmp_path / name).checkpoints()[-1][1] / "tensors.safetensors")
        for name in ("whole", "cut")
    )
    assert whole.keys() == resumed.keys()
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_training_comes_out_as_by_the_default(
    recipe: train.Recipe, planned: Path, tmp_path: Path
) -> None:
    one = train.train(recipe, out=tmp_path / "planned", plan=planned)
    other = train.train(recipe, out=tmp_path / "default", plan="default")
    assert one.validation is not None and other.validation is not None
    assert one.validation.loss == pytest.approx(other.validation.loss, rel=0.02)


def test_measured_for_training_and_evaluation(
    recipe: train.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.train.plan._WORTH_THREADS", 0)
    monkeypatch.setattr("striate.engine.planning.cache_folder", lambda: tmp_path)
    made = make_plan(recipe, ALONE, "measure")
    kept = sorted(tmp_path.rglob("*.json"))
    plans = [from_json(engine.Plan, path.read_bytes()) for path in kept]
    assert {(each.key.direction, each.key.batch) for each in plans} == {
        ("training", 64),
        ("inference", 256),
    }
    assert make_plan(recipe, ALONE, "measure") == made


def test_what_is_too_small_or_half_precise_is_not_measured(
    recipe: train.Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.train.plan.engine.plan", None)
    assert not make_plan(recipe, ALONE, "measure").algorithms
    monkeypatch.setattr("striate.train.plan._WORTH_THREADS", 0)
    assert not make_plan(recipe.replace(precision="bfloat16"), ALONE, "measure").algorithms
    assert not make_plan(recipe, ALONE, "measure", images=1000).algorithms  # over in a second


def with_norms() -> Network:
    """Return a network of two convolutions with batch-norms, a sum around the second."""
    pen = Sketch("normed", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1, bias="none")
    pen.batch_norm("norm1")
    around = pen.relu("relu1")
    pen.conv("conv2", 8, 3, padding=1, bias="none")
    inner = pen.batch_norm("norm2")
    pen.add("sum", inner, around)
    pen.relu("relu2")
    pen.max_pool("pool", 2)
    pen.flatten()
    pen.linear("classifier", 10)
    return pen.finish()


def test_a_measured_run_computes_batch_norms_together(
    recipe: train.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.train.plan._WORTH_THREADS", 0)
    monkeypatch.setattr("striate.train.plan._WORTH_MEASURING", 0)
    monkeypatch.setattr("striate.engine.planning.cache_folder", lambda: tmp_path)
    recipe = recipe.replace(network=with_norms(), layout="channels_last")
    calls: list[tuple[bool, bool]] = []
    together = BatchNorm.together

    def recorded(
        self: BatchNorm, x: Tensor, other: Tensor | None = None, rectified: bool = False
    ) -> Tensor:
        calls.append((other is not None, rectified))
        return together(self, x, other, rectified)

    monkeypatch.setattr(BatchNorm, "together", recorded)
    result = train.train(recipe, out=tmp_path / "run", plan="measure")
    assert decode(Plan, runs.open(tmp_path / "run").plan()).normalisation == "fused"
    alone, joined = (False, False), {(False, True), (True, True)}
    assert set(calls) == {alone, *joined}  # alone where a step is probed, with the same bits
    assert calls.count(alone) == 2 * 3
    assert train.replay(tmp_path / "run", 1, 10).identical
    calls.clear()
    other = train.train(recipe, out=tmp_path / "other", plan="default")
    assert not calls
    assert result.validation is not None and other.validation is not None
    assert abs(result.validation.accuracy - other.validation.accuracy) < 0.1


def test_a_plan_of_another_network_is_refused(recipe: train.Recipe, planned: Path) -> None:
    other = recipe.replace(network=two_convolutions().replace(name="other"))
    assert make_plan(other, ALONE, planned).algorithms
    text = planned.read_text()
    planned.write_text(text.replace('"conv2"', '"conv7"'))
    with pytest.raises(RunError, match="'conv7', which two lacks"):
        make_plan(recipe, ALONE, planned)
    planned.write_text(text.replace("winograd_4x4", "winograd_4x"))
    with pytest.raises(RunError, match="did you mean winograd_4x4"):
        make_plan(recipe, ALONE, planned)
    planned.write_text(text.replace("winograd_4x4", "depthwise"))  # for filters of one channel
    with pytest.raises(RunError, match="conv2 by 'depthwise', which cannot"):
        make_plan(recipe, ALONE, planned)
    planned.write_text("{}")
    with pytest.raises(RecordError):
        make_plan(recipe, ALONE, planned)
    with pytest.raises(RunError, match="expected a plan"):
        make_plan(recipe, ALONE, planned.parent / "nothing.json")


def test_a_plan_of_another_machine_is_obeyed_and_said(
    recipe: train.Recipe, planned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("striate.train.plan.progress.say", told.append)
    make_plan(recipe, ALONE, planned)
    assert not told
    found = from_json(Plan, planned.read_bytes())
    planned.write_bytes(to_json(found.replace(threads=8)))
    assert make_plan(recipe, ALONE, planned).algorithms == found.algorithms
    assert "are obeyed" in told[0] and "with 8 threads; this is" in told[0]


def test_a_net_follows_a_plan(recipe: train.Recipe, planned: Path) -> None:
    net = build(recipe.network)
    follow(net, make_plan(recipe, ALONE, planned))
    algorithms = [part.algorithm for part in net.modules() if isinstance(part, Conv2d)]
    assert algorithms == ["default", "winograd_4x4"]
    x = torch.randn(4, 1, 8, 8)
    plain = build(recipe.network)
    assert torch.allclose(net(x), plain(x), atol=1e-5)
