"""`striate search`: the document, the text, exit codes, and mistakes in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
TINY = (
    "search", "digits", "--net", "conv3-4 maxpool FC", "--device", "cpu", "--epochs", 1,
    "--set", "batch=256", "--set", "ema=null",
)  # fmt: skip


def test_search_and_train_the_winner(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "s"
    ended = run(*TINY, "--space", "rate=1e-3..1e-1", "--trials", 4, "--seeds", 1, "--out", out)
    assert ended.code == 0, ended.err
    assert "val acc: 0." in ended.err and "(1 / 4)" in ended.err and "coarse search" in ended.err
    assert "next\n  striate train digits --recipe" in ended.out
    again = run("search", "--resume", out, "--json")
    assert again.code == 0
    document = json.loads(again.out)
    assert document["best"]["settings"].keys() == {"optimiser.rate"}
    assert document["state"] == "finished" and document["test"].startswith("Gupta")
    assert {"extensions", "edges", "importance", "leaders", "noise", "trials"} <= document.keys()
    trained = run("train", "digits", "--recipe", document["recipe"], "--out", tmp_path / "run",
                  "--plan", "default", "--json")  # fmt: skip
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["epochs"] == 1
    as_run = run("train", "digits", "--recipe", tmp_path / "run", "--epochs", 1, "--net", "lenet")
    assert as_run.code == 2 and "leave out --net and --size" in as_run.err


def test_a_search_called_again_says_the_ranges_as_they_were_extended(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    asked = (*TINY, "--space", "rate=1e-5..1e-4", "--trials", 4, "--seeds", 0, "--out", out)
    first = run(*asked)
    assert first.code == 0 and "Searched: optimiser.rate 1e-05..0.0001." in first.err
    again, resumed = run(*asked), run("search", "--resume", out)
    for ended in (first, again, resumed):
        (line,) = (each for each in ended.out.splitlines() if each.startswith("Searched, with"))
        assert line.endswith("(asked: 1e-05..0.0001).")
        high = float(line.split("..")[1].split(" ")[0])
        document = json.loads((out / "results.json").read_text())
        assert high > 1e-4 and high == pytest.approx(document["searched"][0]["high"], rel=1e-2)
    assert "1e-05..0.0001." not in again.err + resumed.err


def test_a_grid_comes_with_the_lectures_remark(run: Run, tmp_path: Path) -> None:
    ended = run(*TINY, "--grid", 2, "--seeds", 0, "--fixed", "--out", tmp_path / "s",
                "--space", "rate=1e-3..1e-1")  # fmt: skip
    assert ended.code == 0, ended.err
    assert "at random, each trial tries another (Bergstra and Bengio 2012)" in ended.err
    assert "seed noise was not measured" in ended.out.lower()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--space", "rates=1..2"), "rates"),
        (("--space", "rate=2..1"), "ends above its start"),
        (("--net", "conv3-{w} FC"), "add --space w=LOW..HIGH"),
        (("--resume", "nowhere"), "it has no study.json"),
        (("--resume", "nowhere", "--seed", 0, "--grid", 2), "leave out --grid, --seed"),
        (("--trials", 0), "--trials"),
        (("--recipe", "nothing.json"), "There is no file nothing.json"),
        (("--storage", "postgresql://nobody@127.0.0.1:1/none"), "postgresql"),
    ],
)
def test_mistakes_are_sentences(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    ended = run("search", *arguments)
    assert ended.code == 2
    assert sentence.lower() in ended.err.lower() and "Traceback" not in ended.err


def test_without_optuna_the_line_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = run("search", "digits", "--out", tmp_path / "s")
    assert ended.code == 2
    assert 'pip install "striate[search]"' in ended.err
