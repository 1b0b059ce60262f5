"""From ResNet-20 of CIFAR-10 to the digits: every way, and batch normalisation that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from striate import data, inference, runs, weights
from striate.data import Dataset
from striate.errors import UsageError, WeightsError
from striate.records import decode
from striate.train import Recipe, resume
from striate.transfer import Settings, features, transfer


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Four of the digits, 12 images a class to learn from and 20 to test on."""
    whole = data.open("digits")
    samples = whole.parts["all"]
    chosen = [np.flatnonzero(samples.labels == label)[:32] for label in range(4)]
    train = samples.subset(np.concatenate([each[:12] for each in chosen]))
    test = samples.subset(np.concatenate([each[12:] for each in chosen]))
    return Dataset("digits", "digits", whole.classes[:4], {"train": train, "test": test})


FAST = Settings(epochs=2, rate=0.02, batch=12, freeze_norm=True, device="cpu")


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
    kept.write_bytes(b"damaged")
    assert np.array_equal(features(model, part, ("layer1.0.relu", "linear"))["linear"],
                          found["linear"])  # fmt: skip


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


def test_the_choice_alone(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = transfer(digits, "resnet20_cifar10", compare=False, settings=FAST, out=out)
    assert [row.how for row in found.rows] == [found.how]
    assert found.why
    assert found.probes


def test_unfreezing_in_stages(published_weights: Path, digits: Dataset, tmp_path: Path) -> None:
    settings = FAST._replace(epochs=4, gradual=True)
    found = transfer(digits, "resnet20_cifar10", how="all", settings=settings, out=tmp_path / "r")
    stages = [tmp_path / f"r-stage-{stage}" for stage in ("head", "last")]
    recipes = [decode(Recipe, runs.open(at).recipe_document()) for at in (*stages, found.run)]
    assert [each.epochs for each in recipes] == [1, 1, 2]
    assert recipes[0].start.anew == ("linear",)
    assert [each.start.path for each in recipes[1:]] == [str(at.resolve()) for at in stages]
    assert recipes[1].start.anew == ()
    moving = [sum(e.size for e in r.network.parameters() if e.trainable) for r in recipes]
    assert moving == sorted(moving)


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
    with pytest.raises(UsageError, match="has no layer 'layer9'"):
        transfer(digits, "resnet20_cifar10", how="linear", layer="layer9", out=tmp_path / "s")
