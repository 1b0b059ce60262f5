"""Ensembles: the mean of probabilities, classes matched by id, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import inference, runs, train
from striate.cli.main import main
from striate.data import Loader
from striate.design import Sketch
from striate.errors import UsageError


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs of one recipe that differ by their seed."""
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 6, 3)
    pen.relu("relu1")
    pen.flatten()
    pen.linear("classifier", 10)
    recipe = train.Recipe(
        name="small",
        network=pen.finish(),
        data=train.DataChoice(path="digits", test=0.4),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.02),
        epochs=2,
        workers=0,
        device="cpu",
    )
    folder = tmp_path_factory.mktemp("members")
    for seed in range(3):
        train.train(recipe.replace(seed=seed), out=folder / f"run{seed}")
    return [folder / f"run{seed}" for seed in range(3)]


def test_the_mean_of_probabilities(members: list[Path]) -> None:
    found = inference.evaluate_ensemble(members)
    singles = [inference.evaluate(each) for each in members]
    assert [each.accuracy for each in found.members] == [s.test.accuracy for s in singles]
    run = runs.open(members[0])
    images = inference.find_images(run)
    likely = []
    for each in members:
        loader = Loader(images.samples, runs.open(each).contract(), batch=64, seed=0, shuffle=False)
        likely.append(
            inference.measure(inference.load(runs.open(each)), loader.epoch(0)).probabilities
        )
    right = np.mean(likely, axis=0).argmax(1) == images.samples.labels
    assert found.test.accuracy == pytest.approx(right.mean())
    best = max(each.accuracy for each in found.members)
    assert found.gain == pytest.approx(found.test.accuracy - best)
    assert found.test.loss < np.mean([each.loss for each in found.members])  # by Jensen


def test_images_that_a_member_was_trained_on_are_counted(members: list[Path]) -> None:
    found = inference.evaluate_ensemble(members, part="train")
    assert all(each.trained_on == found.test.n for each in found.members)
    assert len([note for note in found.notes if "trained on" in note]) == 3


def test_one_member_is_none(members: list[Path]) -> None:
    with pytest.raises(UsageError, match="two or more members, received 1"):
        inference.evaluate_ensemble(members[:1])
    with pytest.raises(UsageError, match="members that differ, received .* more than once"):
        inference.evaluate_ensemble([members[0], members[1], members[0]])


def test_the_command(members: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return int(ended.value.code or 0), capsys.readouterr()

    code, shown = run("evaluate", *map(str, members), "--json")
    document = json.loads(shown.out)
    assert code == 0 and len(document["members"]) == 3 and document["test"]["n"] > 500
    assert "together" in shown.err and "95% interval together" in shown.err
    code, shown = run("evaluate", *map(str, members[:2]), "digits")
    assert code == 0 and "together" in shown.out
    code, shown = run("evaluate", str(members[0]), "digits", "mnist")
    assert code == 2 and "one DATA, received digits and mnist" in shown.err
