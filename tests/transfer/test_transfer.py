"""From ResNet-20 of CIFAR-10 to the digits: every way, and batch normalisation that stays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from striate import data, inference, runs, weights
from striate.data import Dataset
from striate.errors import RunError, UsageError, WeightsError
from striate.records import decode
from striate.train import Recipe, resume
from striate.train.interrupt import Interrupt
from striate.transfer import Settings, features, transfer


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("striate.transfer.linear.STRENGTHS", (1e-2, 1.0))  # two are faster


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Four of the digits, 12 images a class to learn from and 20 to test on."""
    whole = data.open("digits")
    samples = whole.parts["all"]
    chosen = [np.flatnonzero(samples.labels == label)[:32] for label in range(4)]
    train = samples.subset(np.concatenate([each[:12] for each in chosen]))
    test = samples.subset(np.concatenate([each[12:] for each in chosen]))
    return Dataset("digits", "digits", whole.classes[:4], {"train": train, "test": test})


FAST = Settings(epochs=1, rate=0.02, batch=12, freeze_norm=True, device="cpu")


def test_features_are_the_layers_answers_and_are_kept(
    published_weights: Path, digits: Dataset, tmp_path: Path
) -> None:
    model = weights.open("resnet20_cifar10")
    part = digits.parts["train"].subset(range(6))
    found = features(model, part, ("layer1.0.relu", "linear"))
    contract, net = model.contract(), model.load()
    images = torch.from_numpy(
        np.stack([data.prepare(part.pixels(at, contract), contract) for at in range(6)])
    )
    with torch.no_grad():
        block = net.layer1.get_submodule("0")
        inside = block.relu(block.bn1(block.conv1(net.relu(net.bn1(net.conv1(images))))))
        np.testing.assert_allclose(found["linear"], net(images), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["layer1.0.relu"], inside.mean((2, 3)), rtol=1e-4, atol=1e-5)
    (kept,) = (tmp_path / "cache" / "striate" / "features").glob("*.npz")
    before = kept.stat().st_mtime_ns
    again = features(model, part, ("layer1.0.relu", "linear"))
    assert np.array_equal(again["linear"], found["linear"])
    assert kept.stat().st_mtime_ns == before
    for damaged in (b"damaged", kept.read_bytes()[:-40]):
        kept.write_bytes(damaged)
        again = features(model, part, ("layer1.0.relu", "linear"))
        assert np.array_equal(again["linear"], found["linear"])


def test_features_are_computed_again_when_anything_changes(
    published_weights: Path, digits: Dataset, tmp_path: Path
) -> None:
    """Weights, preprocessing, images: each has features of its own; the same ones are kept once."""
    model = weights.open("resnet20_cifar10")
    part = digits.parts["train"].subset(range(4))
    other = copy.deepcopy(model.load())
    torch.nn.init.zeros_(other.linear.weight)
    mine = weights.Weights.of(other, model.contract())
    darker = replace(model, meaning=model.contract().replace(mean=(0.4, 0.4, 0.4)))
    seen = [
        features(one, images, ("linear",))["linear"]
        for one, images in (
            (model, part),
            (mine, part),
            (darker, part),
            (model, digits.parts["train"].subset(range(1, 5))),
            (model, part),
        )
    ]
    for changed in seen[1:4]:
        assert not np.allclose(changed, seen[0], atol=1e-3)
    assert np.array_equal(seen[4], seen[0])
    assert len(list((tmp_path / "cache" / "striate" / "features").glob("*.npz"))) == 4


def test_every_way(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    """The table: all on the same images; what is frozen stays to the bit; the run is a run."""
    found = transfer(digits, "resnet20_cifar10", settings=FAST, out=tmp_path / "run")
    assert [row.how for row in found.rows] == ["linear", "head", "last", "all", "scratch"]
    assert found.images == 48
    assert "Little data (12 training images a class" in found.why
    by_way = {row.how: row for row in found.rows}
    assert [each.depth for each in found.probes] == sorted(each.depth for each in found.probes)
    assert found.probes[-1].depth == 1.0
    assert all(0.25 < each.accuracy <= 1 for each in found.probes)
    best = max(found.rows, key=lambda row: row.accuracy)
    if best.accuracy > by_way[found.how].accuracy:
        assert f"{best.how} did better here than {found.how}" in found.notes[-1]
    assert by_way["head"].moving == 4 * 65
    assert by_way["head"].moving < by_way["last"].moving < by_way["all"].moving
    assert all(row.n == 80 for row in found.rows)
    assert by_way[found.how].run == found.run == str(tmp_path / "run")
    assert by_way["linear"].accuracy > 0.7
    start = weights.open("resnet20_cifar10").tensors
    for how in ("linear", "head", "last", "all"):
        kept = load_file(runs.open(by_way[how].run).weights)
        for name in kept:
            if (".bn" in name or name.startswith("bn")) and name in start:
                assert torch.equal(kept[name], start[name].reshape(kept[name].shape)), (how, name)
    head = load_file(runs.open(by_way["head"].run).weights)
    assert torch.equal(head["layer3.2.conv2.weight"], start["layer3.2.conv2.weight"])
    last = load_file(runs.open(by_way["last"].run).weights)
    assert torch.equal(last["layer3.1.conv2.weight"], start["layer3.1.conv2.weight"])
    assert not torch.equal(last["layer3.2.conv2.weight"], start["layer3.2.conv2.weight"])
    again = inference.evaluate(by_way["linear"].run, digits, device="cpu")
    assert again.test.accuracy == by_way["linear"].accuracy
    alone = transfer(
        digits, "resnet20_cifar10", compare=False, settings=FAST, out=tmp_path / "run"
    )  # the choice alone, which is there already and is not made again
    assert alone.rows == (by_way[found.how],)
    assert (alone.why, alone.probes) == (found.why, found.probes)


def test_unfreezing_in_stages(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    settings = FAST._replace(epochs=4, gradual=True, freeze_norm=False)
    found = transfer(digits, "resnet20_cifar10", how="all", settings=settings, out=tmp_path / "r")
    stages = [tmp_path / f"r-stage-{stage}" for stage in ("head", "last")]
    recipes = [decode(Recipe, runs.open(at).recipe_document()) for at in (*stages, found.run)]
    assert [each.epochs for each in recipes] == [1, 1, 2]
    assert recipes[0].start.anew == ("linear",)
    assert [each.start.path for each in recipes[1:]] == [str(at.resolve()) for at in stages]
    assert recipes[1].start.anew == ()
    moving = [sum(e.size for e in r.network.parameters() if e.trainable) for r in recipes]
    assert moving == sorted(moving)
    start = weights.open("resnet20_cifar10").tensors
    still = [_still(at, start) for at in (*stages, found.run)]
    assert still[0] == {name for name in start if "running_" in name}
    assert still[0] - still[1] == {
        f"layer3.2.bn{at}.running_{what}" for at in (1, 2) for what in ("mean", "var")
    }
    assert still[2] == set()


def _still(run: Path | str, start: Mapping[str, torch.Tensor]) -> set[str]:
    """Return the statistics of batch normalisation that are what they were, to the bit."""
    kept = load_file(runs.open(run).weights)
    return {name for name in kept if "running_" in name and torch.equal(kept[name], start[name])}


class Impatient(Interrupt):
    """Asks for an end when it has been asked a few times whether it does."""

    times = 0

    @property
    def asked(self) -> bool:
        self.times += 1
        return self.times > 3


def test_an_interruption_is_gone_on_with(
    published_weights: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends all ways, not one; the same call again ends as if it had not come."""
    settings, start = FAST._replace(epochs=2), "resnet20_cifar10"
    with monkeypatch.context() as patch:
        patch.setattr("striate.transfer.ways.Interrupt", Impatient)
        cut = transfer(digits, start, how="head", compare=True, settings=settings,
                       out=tmp_path / "r")  # fmt: skip
    assert cut.state == "interrupted"
    assert [row.how for row in cut.rows] == ["linear"]
    assert runs.open(tmp_path / "r").state == "interrupted"
    assert not (tmp_path / "r-last").exists()
    whole = [
        transfer(digits, start, how="head", settings=settings, out=tmp_path / out)
        for out in ("r", "undisturbed")
    ]
    assert [each.state for each in whole] == ["finished", "finished"]
    first, second = (load_file(runs.open(each.run).weights) for each in whole)
    assert all(torch.equal(first[name], second[name]) for name in second)
    with pytest.raises(RunError, match="another than this would leave: its seed differ"):
        transfer(digits, start, how="head", settings=settings._replace(seed=1),
                 out=tmp_path / "r")  # fmt: skip


def test_no_test_image_is_learnt_from(
    published_weights: Path, digits: Dataset, tmp_path: Path
) -> None:
    """Where there is a training part alone, the test part comes off it first."""
    alone = Dataset("digits", "digits", digits.classes, {"train": digits.parts["test"]})
    found = transfer(alone, "resnet20_cifar10", how="linear", settings=FAST, out=tmp_path / "r")
    split = runs.open(found.run).data_document()
    assert found.images == len(split["train"]["ids"]) == 64
    assert len(split["test"]["ids"]) == found.rows[0].n == 16
    assert not split["validation"]["ids"]
    assert not set(split["train"]["ids"]) & set(split["test"]["ids"])


def test_one_image_a_class(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    """A linear classifier wants no more: nothing has to be held out to choose by."""
    parts = {**digits.parts, "train": digits.parts["train"].subset(range(0, 48, 12))}
    one = Dataset("digits", "digits", digits.classes, parts)
    found = transfer(one, "resnet20_cifar10", how="linear", settings=FAST, out=tmp_path / "r")
    assert found.images == 4
    assert found.rows[0].accuracy is not None
    assert found.rows[0].accuracy > 0.4


def test_a_start_that_has_changed_is_refused(
    published_weights: Path, digits: Dataset, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.th"
    source = next(published_weights.rglob("resnet20-12fca82f.th"))
    mine.write_bytes(source.read_bytes())
    found = transfer(digits, mine, how="head", settings=FAST, out=tmp_path / "r")
    assert resume(found.run, dataset=digits).state == "finished"
    other = next(published_weights.rglob("resnet56-4bfd9763.th"))
    mine.write_bytes(other.read_bytes())
    run = runs.open(found.run)
    recipe = decode(Recipe, run.recipe_document())
    from striate.train import train

    with pytest.raises(WeightsError, match="is not what the recipe starts from"):
        train(recipe, out=tmp_path / "s", dataset=digits, plan="default")


def test_few_images_a_class(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    found = transfer(
        digits, "resnet20_cifar10", how="linear", per_class=5, settings=FAST, out=tmp_path / "r"
    )
    assert found.images == 20
    with pytest.raises(UsageError, match="2 images a class or more"):
        transfer(digits, "resnet20_cifar10", how="linear", per_class=1, out=tmp_path / "s")
    for wrong in ({"rate": float("nan")}, {"layer_decay": 3.0}, {"epochs": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", ".")):
            transfer(digits, "resnet20_cifar10", settings=FAST._replace(**wrong), out=tmp_path)
    with pytest.raises(UsageError, match="has no layer or scope 'layer9'"):
        transfer(digits, "resnet20_cifar10", how="linear", layer="layer9", out=tmp_path / "s")
