"""The arithmetic of a step against a loop written out by hand, and however a batch is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from striate import runs, train
from striate.design import Network, Sketch
from striate.layers import build
from striate.train.prepare import prepare
from striate.train.processes import Processes
from striate.train.training import Training

MakeRecipe = Callable[..., train.Recipe]
ALONE = Processes(0, 1, torch.device("cpu"))


def started(recipe: train.Recipe) -> Training:
    return Training(recipe, prepare(recipe), ALONE)


def after(training: Training, steps: int) -> dict[str, torch.Tensor]:
    done = 0
    while done < steps:
        for parts in training.batches():
            training.take_step(parts)
            done += 1
            if done == steps:
                break
    return {name: value.clone() for name, value in training.net.state_dict().items()}


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the relative L2 distance of two sets of floating tensors."""
    pairs = [(one[n].double(), other[n].double()) for n in one if one[n].is_floating_point()]
    gap = sum(float((a - b).square().sum()) for a, b in pairs)
    return float((gap / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5)


def test_steps_are_those_of_a_plain_loop(
    make_recipe: MakeRecipe, make_network: Callable[..., Network]
) -> None:
    recipe = make_recipe(
        network=make_network(dropout=0.0),
        augmentation=(),
        ema=None,
        objective=train.CrossEntropy(label_smoothing=0.1),
        clip=0.5,
    )
    ours = after(started(recipe), 5)
    training = started(recipe)
    net = build(recipe.network, seed=recipe.seed)
    weights = [p for name, p in net.named_parameters() if p.dim() > 1]
    others = [p for name, p in net.named_parameters() if p.dim() == 1]
    optimiser = torch.optim.SGD(
        [{"params": weights, "weight_decay": 1e-3}, {"params": others}], lr=0.05, momentum=0.9
    )
    for step, (batch,) in enumerate(training.batches()):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * training.course.factor(step)
        optimiser.zero_grad()
        functional.cross_entropy(net(batch.images), batch.labels, label_smoothing=0.1).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimiser.step()
    assert distance(ours, net.state_dict()) < 1e-6


@pytest.mark.parametrize("accumulate", [2, 4, 16])
def test_micro_batches_change_nothing_without_batch_norm(
    make_recipe: MakeRecipe, make_network: Callable[..., Network], accumulate: int
) -> None:
    """Dropout and augmentation on, and a last step that is smaller."""
    recipe = make_recipe(network=make_network(norm=False))
    whole = after(started(recipe), 10)
    cut = after(started(recipe.replace(accumulate=accumulate)), 10)
    assert distance(cut, whole) < 1e-6


def test_micro_batches_with_batch_norm_normalise_each_by_itself(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    counts = [
        int(after(started(recipe.replace(accumulate=parts)), 3)["norm1.num_batches_tracked"])
        for parts in (1, 4)
    ]
    assert counts == [3, 12]


def test_what_accumulation_means_for_batch_norm_is_in_the_runs_notes(
    make_recipe: MakeRecipe, make_network: Callable[..., Network], tmp_path: Path
) -> None:
    train.train(make_recipe(accumulate=4, epochs=1), out=tmp_path / "with")
    [note] = [e for e in runs.open(tmp_path / "with").history("event") if e["event"] == "note"]
    assert "over micro-batches of 16 images (batch=64, accumulate=4)" in note["text"]
    plain = make_recipe(accumulate=4, epochs=1, network=make_network(norm=False))
    train.train(plain, out=tmp_path / "without")
    events = runs.open(tmp_path / "without").history("event")
    assert [e["event"] for e in events] == ["checkpoint", "memory", "finished"]


def test_the_last_step_of_an_epoch_has_the_micro_batches_that_are_left(
    make_recipe: MakeRecipe,
) -> None:
    recipe = make_recipe(accumulate=4)
    training, count = started(recipe), len(prepare(recipe).split.train)
    sizes = [[part.total for part in parts] for parts in training.batches()]
    assert len(sizes) == training.steps_per_epoch
    assert sum(map(sum, sizes)) == count
    assert all(len(parts) == 4 for parts in sizes[:-1]) and 1 <= len(sizes[-1]) <= 4


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_stays_close(make_recipe: MakeRecipe, precision: str) -> None:
    exact = after(started(make_recipe()), 5)
    training = started(make_recipe(precision=precision))
    near = after(training, 5)
    assert 0 < distance(near, exact) < 0.02
    assert all(value.dtype == exact[name].dtype for name, value in near.items())


def test_float16_leaves_a_step_out_when_its_scale_overflows(make_recipe: MakeRecipe) -> None:
    training = started(make_recipe(precision="float16", ema=None))
    training.step.loss_scale = (2.0**40, 0)
    before = {name: p.clone() for name, p in training.net.named_parameters()}
    taken = training.take_step(next(training.batches()))
    assert taken.gradient_norm is None and training.step.loss_scale == (2.0**39, 0)
    assert all(before[name].equal(p) for name, p in training.net.named_parameters())
    assert not training.stepper.state()  # a fused optimiser would begin it with stray memory


def test_channels_last_is_kept_and_agrees(make_recipe: MakeRecipe) -> None:
    usual = after(started(make_recipe()), 5)
    other = after(started(make_recipe(layout="channels_last")), 5)
    assert distance(other, usual) < 1e-5


def test_auxiliary_outputs_are_trained(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    from striate.design import Output

    pen = Sketch("two_heads", (1, 8, 8))
    pen.flatten()
    pen.linear("side", 10)
    pen.linear("classifier", 10, of="flatten")
    network = pen.finish(Output(name="aux", source="side", train_only=True, loss_weight=0.3))
    recipe = make_recipe(network=network)
    start = build(network, seed=0).state_dict()
    train.train(recipe, out=tmp_path / "run")
    moved = after(started(recipe), 2)
    assert not moved["side.weight"].equal(start["side.weight"])
    assert runs.open(tmp_path / "run").state == "finished"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_compiled_agrees(make_recipe: MakeRecipe) -> None:
    usual: dict[str, Any] = after(started(make_recipe()), 5)
    assert distance(after(started(make_recipe(compile=True)), 5), usual) < 1e-5
