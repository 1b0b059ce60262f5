"""One training from a recipe to a run folder, and the promise of identity."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from striate import inference, runs, train
from striate.data import Dataset
from striate.data.dataset import Skipped
from striate.design import Network
from striate.errors import ContractError, NotFiniteError, RunError
from striate.layers import Net
from striate.records import decode, from_json, to_json
from striate.train import session

MakeRecipe = Callable[..., train.Recipe]


def last_tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(runs.open(run).checkpoints()[-1][1] / "tensors.safetensors")


def identical(one: Path, other: Path) -> bool:
    ours, theirs = last_tensors(one), last_tensors(other)
    return ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)


def test_a_recipe_is_a_document(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(
        optimiser=train.AdamW(),
        schedule=train.Plateau(),
        objective=train.Mixup(),
        early_stop=train.EarlyStop(),
    )
    assert from_json(train.Recipe, to_json(recipe)) == recipe
    assert decode(train.Recipe, json.loads(to_json(recipe, indent=2))) == recipe


def test_a_run_folder_holds_everything(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    result = train.train(make_recipe(), out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    assert result.state == run.state == "finished"
    assert result.run == str(tmp_path / "run") and result.network == "small" and result.epochs == 2
    assert result.validation is not None and result.test is not None
    assert result.test.n > 1000
    assert [line["step"] for line in run.history("step")] == list(range(1, 11))
    assert [line["epoch"] for line in run.history("step")] == [1] * 5 + [2] * 5
    assert [line["step"] for line in run.history("validation")] == [5, 10]
    assert run.plan()["threads"] == 1  # the step is too small for more
    assert [step for step, _ in run.checkpoints()] == [5, 10]
    assert session.recorded(run) == result


def test_a_run_without_a_place_is_named_as_the_command_names_it(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in ("001", "002"):
        result = train.train(make_recipe(epochs=1), plan="default")
        assert result.run == str(Path("runs", f"digits-small-{number}"))


def test_the_kept_weights_are_those_of_the_best_validation(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(epochs=4, optimiser=train.SGD(rate=2.0), ema=None)
    result = train.train(recipe, out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    lines = run.history("validation")
    leader = max(lines, key=lambda line: (line["accuracy"], -line["loss"]))
    assert result.validation is not None
    assert result.validation.accuracy == leader["accuracy"]
    assert [line["best"] for line in lines][leader["epoch"] - 1]
    weights = load_file(run.weights)
    for step, path in run.checkpoints():
        tensors = load_file(path / "tensors.safetensors")
        same = all(tensors[f"net/{name}"].equal(value) for name, value in weights.items())
        assert same == (step == leader["step"])


def test_one_seed_gives_identical_weights_and_another_others(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(seed + len(name))  # what others draw changes nothing
        train.train(make_recipe(seed=seed), out=tmp_path / name)
        torch.rand(3)
    assert identical(tmp_path / "a", tmp_path / "b")
    assert not identical(tmp_path / "a", tmp_path / "c")


class Curious:
    """An observer that draws random numbers and counts."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.norms: list[float] = []

    def see(self, line: Mapping[str, Any], net: Net) -> None:
        torch.rand(5)
        self.kinds.append(line["kind"])
        if line["kind"] == "step":
            squares = [(p.grad**2).sum() for p in net.parameters() if p.grad is not None]
            self.norms.append(float(torch.stack(squares).sum().sqrt()))


def test_observers_see_gradients_and_change_nothing(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    watcher = Curious()
    train.train(make_recipe(), out=tmp_path / "watched", observers=[watcher])
    train.train(make_recipe(workers=0), out=tmp_path / "alone")
    assert identical(tmp_path / "watched", tmp_path / "alone")
    assert watcher.kinds.count("step") == 10 and watcher.kinds.count("validation") == 2
    recorded = [line["gradient_norm"] for line in runs.open(tmp_path / "alone").history("step")]
    assert watcher.norms == pytest.approx(recorded, rel=1e-5)


def test_validation_leaves_the_training_alone(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """The first epoch's steps are the same whether others follow a validation or not."""
    recipe = make_recipe(ema=None, warmup_epochs=0.0, schedule=train.Constant())
    train.train(recipe, out=tmp_path / "two")
    train.train(recipe.replace(epochs=1), out=tmp_path / "one")
    first = runs.open(tmp_path / "two").checkpoints()[0][1]
    ours, theirs = load_file(first / "tensors.safetensors"), last_tensors(tmp_path / "one")
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_the_average_is_what_the_definition_says(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(checkpoint_steps=1, epochs=1, ema=train.Ema(decay=0.3))
    expected: dict[str, torch.Tensor] = {}
    before: dict[str, torch.Tensor] = {}

    class Average:
        def see(self, line: Mapping[str, Any], net: Net) -> None:
            now = {name: value.clone() for name, value in net.state_dict().items()}
            if line["kind"] != "step":
                return
            decay = min(0.3, (1 + line["step"]) / (10 + line["step"]))
            for name, value in now.items():
                old = expected.get(name, before.get(name, value))
                new = decay * old.double() + (1 - decay) * value.double()
                expected[name] = new if value.is_floating_point() else value

    from striate.layers import build

    before.update(build(recipe.network, seed=0).state_dict())
    train.train(recipe, out=tmp_path / "run", observers=[Average()])
    tensors = last_tensors(tmp_path / "run")
    for name, value in expected.items():
        torch.testing.assert_close(tensors[f"average/{name}"].double(), value.double())
    kept = load_file(runs.open(tmp_path / "run").weights)
    assert all(kept[name].equal(tensors[f"average/{name}"]) for name in kept)


def test_early_stop_ends_before_the_last_epoch(
    make_recipe: MakeRecipe, make_network: Callable[..., Network], tmp_path: Path
) -> None:
    recipe = make_recipe(
        epochs=9,
        optimiser=train.SGD(rate=1e-30),  # too small to change a weight
        ema=None,
        early_stop=train.EarlyStop(patience=2),
        network=make_network(norm=False),
    )
    assert train.train(recipe, out=tmp_path / "run").epochs == 3


def test_a_loss_that_is_not_finite_stops_before_the_update(
    make_recipe: MakeRecipe, make_network: Callable[..., Network], tmp_path: Path
) -> None:
    recipe = make_recipe(
        network=make_network(norm=False),
        epochs=30,
        optimiser=train.SGD(rate=1e6),
        ema=None,
        checkpoint_steps=1,
    )
    with pytest.raises(NotFiniteError, match=r"Step \d+: the (loss|gradient) is not") as seen:
        train.train(recipe, out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    assert run.state == "failed"
    assert seen.value.step == len(run.history("step")) + 1
    assert run.checkpoints()[-1][0] == seen.value.step - 1
    assert f"The checkpoint of step {seen.value.step - 1} is kept in" in str(seen.value)
    assert all(value.isfinite().all() for value in last_tensors(tmp_path / "run").values())


@pytest.mark.parametrize("changes", [{"checkpoint_steps": 1}, {"batch": 400}])
def test_infinite_weights_are_never_kept(
    make_recipe: MakeRecipe,
    make_network: Callable[..., Network],
    tmp_path: Path,
    changes: dict[str, Any],
) -> None:
    """The loss before an update is finite; the update itself makes the weights infinite."""
    recipe = make_recipe(
        network=make_network(norm=False), optimiser=train.SGD(rate=1e39), ema=None, **changes
    )
    with pytest.raises(NotFiniteError, match=r"After step 1 \(epoch 1\): .* is not finite.*no ch"):
        train.train(recipe.replace(warmup_epochs=0.0), out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    assert run.state == "failed" and run.checkpoints() == [] and not run.weights.exists()


@pytest.mark.parametrize("tensor", ["conv1.bias", "classifier.bias"])
@pytest.mark.parametrize("ema", [None, train.Ema(decay=0.9)])
def test_an_epoch_with_infinite_weights_or_outputs_is_never_best(
    make_recipe: MakeRecipe,
    make_network: Callable[..., Network],
    tmp_path: Path,
    tensor: str,
    ema: train.Ema | None,
) -> None:
    """An infinite bias may be hidden by a ReLU, or by a class that is never asked for."""

    class Break:
        def see(self, line: Mapping[str, Any], net: Net) -> None:
            if line["kind"] == "step" and line["step"] == 10:
                with torch.no_grad():
                    net.state_dict()[tensor][0] = -torch.inf

    recipe = make_recipe(network=make_network(norm=False), ema=ema, checkpoint_steps=9)
    with pytest.raises(
        NotFiniteError, match=rf"After step 10 \(epoch 2\): {tensor} is not"
    ) as seen:
        train.train(recipe, out=tmp_path / "run", observers=[Break()])
    assert "The checkpoint of step 9 is kept in" in str(seen.value)
    run = runs.open(tmp_path / "run")
    assert [line["step"] for line in run.history("validation")] == [5]
    assert [step for step, _ in run.checkpoints()] == [5, 9]
    assert all(value.isfinite().all() for value in load_file(run.weights).values())
    assert train.resume(tmp_path / "run").state == "finished"


def test_outputs_that_are_no_numbers_choose_nothing(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = inference.measure

    def broken(*arguments: Any, **more: Any) -> inference.Outcome:
        outcome = measure(*arguments, **more)
        outputs = outcome.outputs.copy()
        outputs[0] = float("nan")
        return dataclasses.replace(outcome, outputs=outputs)

    monkeypatch.setattr(inference, "measure", broken)
    with pytest.raises(NotFiniteError, match=r"step 5 \(epoch 1\): the outputs .* are not finite"):
        train.train(make_recipe(), out=tmp_path / "run")
    run = runs.open(tmp_path / "run")
    assert run.history("validation") == [] and not run.weights.exists()


def test_what_was_noted_of_data_and_training_is_in_the_result(
    make_recipe: MakeRecipe, tmp_path: Path, digits: Dataset
) -> None:
    dataset = dataclasses.replace(
        digits, notes=("Said at opening.",), skipped=(Skipped("a.png", "cut short"),)
    )
    recipe = make_recipe(accumulate=4, epochs=1)
    result = train.train(recipe, out=tmp_path / "run", dataset=dataset)
    assert result.notes[:2] == ("Said at opening.", "1 file could not be read, a.png first.")
    assert result.notes[2].startswith("Batch normalisation takes its statistics")
    rare = dataset.parts["all"].labels == 0
    keep = np.flatnonzero(~rare | (np.cumsum(rare) == 1))
    few = dataclasses.replace(digits, parts={"all": dataset.parts["all"].subset(keep)})
    found = train.train(make_recipe(epochs=1), out=tmp_path / "few", dataset=few)
    assert "Too few images to hold any out for the test part: 0." in found.notes


def test_a_run_is_not_overwritten_unless_told(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    train.train(make_recipe(epochs=1), out=tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    elsewhere = make_recipe(epochs=1, seed=5, data=train.DataChoice(path="nowhere"))
    with pytest.raises(RunError, match="is already a run"):  # said before the data is read
        train.train(elsewhere, out=tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    train.train(make_recipe(epochs=1, seed=5), out=tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != before


def test_classes_and_shapes_must_fit(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    three, _ = make_recipe().network.with_classes(3)
    with pytest.raises(ContractError, match="small has 3 outputs, but the data has 10 classes"):
        train.train(make_recipe(network=three), out=tmp_path / "run")
    colour = train.Preprocessing(channels="rgb", size=(8, 8))
    with pytest.raises(ContractError, match=r"shape \(1, 8, 8\), .* makes \(3, 8, 8\)"):
        train.train(make_recipe(preprocessing=colour), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_torch_are_left_as_found(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train.train(make_recipe(epochs=1), out=tmp_path / "run")
    assert torch.rand(4).equal(expected)
