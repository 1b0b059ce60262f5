"""`striate train` at the edges of a recipe: no test part, fewer epochs than warm-up, bad values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

QUICK = ("digits", "--net", "softmax", "--epochs", "1", "--set", "workers=0")


def test_a_run_without_a_test_part_ends_with_its_validation(run: Run, tmp_path: Path) -> None:
    ended = run("train", *QUICK, "--set", "data.test=0", "--out", tmp_path / "run", "--json")
    document = json.loads(ended.out)
    assert ended.code == 0 and document["test"] is None
    assert document["validation"]["accuracy"] > 0.2 and document["notes"] == []
    assert "No image was held out" in run("train", "--resume", tmp_path / "run").out


def test_the_opening_names_the_networks_knobs(run: Run, tmp_path: Path) -> None:
    ended = run("train", *QUICK, "--net", "mlp(hidden=(10,))", "--out", tmp_path / "run")
    assert ended.code == 0 and "; mlp(hidden=(10,)), 760 parameters; " in ended.err


def test_fewer_epochs_than_the_recipes_warm_up_are_trained(run: Run, tmp_path: Path) -> None:
    assert run("train", *QUICK, "--out", tmp_path / "run").code == 0


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("optimiser.rate=-1", "recipe.optimiser: expected a rate above 0, received rate=-1.0."),
        ("optimiser.betas=[2,3]", "expected betas from 0 to below 1, received betas=(2.0, 3.0)."),
        ("warmup_epochs=9", "expected a warm-up within epochs=1, received warmup_epochs=9."),
        ("data.validation=0", "expected a share above 0, received data.validation=0."),
        ("preprocessing.size=[40,40]", "say --size 40,40"),
        ("data.path=mnist", "say striate train mnist"),
    ],
)
def test_a_value_that_cannot_train_is_one_sentence(
    run: Run, tmp_path: Path, setting: str, sentence: str
) -> None:
    ended = run("train", *QUICK, "--set", setting, "--out", tmp_path / "run")
    assert ended.code == 2 and sentence in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err and not (tmp_path / "run").exists()


def test_weights_that_become_infinite_end_with_one_sentence(run: Run, tmp_path: Path) -> None:
    change = ("--set", "optimiser.rate=1e30", "--set", "checkpoint_steps=1")
    ended = run("train", *QUICK, *change, "--out", tmp_path / "run")
    assert ended.code == 2
    said = ended.err.splitlines()[-1]
    assert said.startswith("striate: Step 2: the loss is not finite") or "After step" in said
    assert "is kept in" in said or "There is no checkpoint before it" in said


@pytest.mark.parametrize("figure", ["accuracy", "loss"])
def test_the_end_says_by_what_the_weights_were_chosen(
    run: Run, tmp_path: Path, figure: str
) -> None:
    change = ("--set", "epochs=3", "--set", f"choose_by={figure}", "--no-check")
    ended = run("train", *QUICK[:3], *QUICK[5:], *change, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    lines = (tmp_path / "run" / "history.jsonl").read_text("utf-8").splitlines()
    checks = [each for each in map(json.loads, lines) if each["kind"] == "validation"]
    chosen = [each for each in checks if each["best"]][-1]
    accuracy, loss = f"{100 * chosen['accuracy']:.2f}%", f"{chosen['loss']:.4f}"
    said = (
        f"weights of epoch {chosen['epoch']}, chosen by validation accuracy {accuracy} "
        f"(loss {loss}); 3 epochs in "
        if figure == "accuracy"
        else f"weights of epoch {chosen['epoch']}, chosen by validation loss {loss} "
        f"(accuracy {accuracy}); 3 epochs in "
    )
    assert said in ended.out and "before the resume" not in ended.out
