"""Figures on held-out images: of the right ones, with the classes matched by id."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from striate import data, inference, runs
from striate.errors import ContractError, DataError, WeightsError
from striate.inference.pictures import MISTAKES_SHOWN

Make = Callable[..., runs.Run]


def test_the_runs_own_test_part(trained: runs.Run) -> None:
    found = inference.evaluate(trained.path)
    assert found.test.n == 15 and found.test.accuracy == 1.0
    assert found.test.interval[0] == pytest.approx(0.7961, abs=1e-4)
    assert [each.id for each in found.test.classes] == ["amber", "blue", "cyan"]
    assert [each.n for each in found.test.classes] == [5, 5, 5]
    assert found.contract == trained.contract().digest
    assert (found.part, found.trained_on, found.skipped, found.notes) == ("test", 0, 0, ())


def test_the_parts_are_those_of_the_split(trained: runs.Run) -> None:
    sizes = [inference.evaluate(trained, part=p).test.n for p in ("train", "validation", "test")]
    assert sum(sizes) == 60 and sizes[2] == 15
    again = inference.evaluate(trained, trained.recipe_document()["data"]["path"])
    assert again.test.n == 15, "the run's own data by name is its test part, not all of it"


def test_an_open_data_set_is_not_opened_again(trained: runs.Run, folder: Path) -> None:
    dataset = data.open(str(folder))
    assert inference.evaluate(trained, dataset) == inference.evaluate(trained)


def test_a_class_that_is_missing_shifts_nothing(
    trained: runs.Run, folder: Path, tmp_path: Path
) -> None:
    for name in ("blue", "cyan"):
        shutil.copytree(folder / name, tmp_path / "other" / name)
    found = inference.evaluate(trained, str(tmp_path / "other"))
    assert found.test.accuracy == 1.0
    assert [each.n for each in found.test.classes] == [0, 20, 20]
    assert found.part == "all"


def test_a_class_that_is_unknown_is_refused(
    trained: runs.Run, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "blue").rename(tmp_path / "other" / "azure")
    with pytest.raises(ContractError, match="not trained for 'azure'"):
        inference.evaluate(trained, str(tmp_path / "other"))


def test_images_that_were_trained_on_are_counted(
    trained: runs.Run, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    found = inference.evaluate(trained, str(tmp_path / "copy"))
    train = inference.evaluate(trained, part="train").test.n
    assert found.trained_on == train and found.test.n == 60
    assert f"{train} of these images" in found.notes[0]


def test_data_that_has_changed_is_said(make_run: Make, folder: Path, tmp_path: Path) -> None:
    run = make_run()
    path = tmp_path / "moved"
    shutil.copytree(folder, path)
    document = run.recipe_document()
    document["data"]["path"] = str(path)
    for image in sorted((path / "blue").iterdir()):
        shutil.copy(folder / "cyan" / image.name, image)
    run.write_document("recipe.json", document)
    found = inference.evaluate(runs.Run(run.path, run.info))
    assert any("5 images of the test part" in note for note in found.notes)


def test_no_such_part(trained: runs.Run, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "parted" / "train")
    shutil.copytree(folder, tmp_path / "parted" / "test")
    with pytest.raises(DataError, match="no validation part; it has"):
        inference.evaluate(trained, str(tmp_path / "parted"), part="validation")


def test_the_network_is_left_as_found(trained: runs.Run) -> None:
    net = inference.load(trained).train()
    images = inference.find_images(trained)
    loader = data.Loader(images.samples, trained.contract(), batch=4, seed=0, shuffle=False)
    outcome = inference.measure(net, loader.epoch(0))
    assert net.training and all(each.requires_grad for each in net.parameters())
    assert outcome.indices.tolist() == list(range(15)) and outcome.accuracy == 1.0

    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken")

    broken = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        inference.measure(broken, loader.epoch(0))
    assert broken.training


def test_the_batch_changes_no_answer(trained: runs.Run) -> None:
    net, images = inference.load(trained), inference.find_images(trained)
    outcomes = [
        inference.measure(
            net,
            data.Loader(
                images.samples, trained.contract(), batch=batch, seed=0, shuffle=False
            ).epoch(0),
        )
        for batch in (1, 4, 100)
    ]
    for other in outcomes[1:]:
        assert (other.labels == outcomes[0].labels).all()
        assert np.allclose(other.outputs, outcomes[0].outputs, atol=1e-5)


def test_weights_that_are_not_numbers_are_named(trained: runs.Run) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(trained.weights)
    damaged = {name: value * float("nan") for name, value in tensors.items()}
    save_file(damaged, trained.weights, {"run": trained.identity})
    with pytest.raises(WeightsError, match="not finite for 15 of 15 images"):
        inference.evaluate(trained)


def test_pictures(make_run: Make, tmp_path: Path) -> None:
    run = make_run(right=False)
    found = inference.evaluate(run)
    assert 0 < len(found.test.mistakes) <= MISTAKES_SHOWN
    drawn = inference.draw_run(run, found)
    assert set(drawn) == {"curve", "confusion", "mistakes"}
    assert all(path.parent == run.figures and path.stat().st_size > 1000 for path in drawn.values())
    images = inference.find_images(run)
    written = inference.write_evaluation(found, run, images, tmp_path / "out")
    assert written["document"].read_bytes().startswith(b"{")
    assert set(written) == {"document", "confusion", "mistakes"}


def test_without_mistakes_there_is_no_picture_of_them(trained: runs.Run) -> None:
    drawn = inference.draw_run(trained, inference.evaluate(trained))
    assert set(drawn) == {"curve", "confusion"}
