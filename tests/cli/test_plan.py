"""`striate plan`: the document, the table, limits and the second time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import engine, zoo

Run = Callable[..., Any]
NET = "conv3-16 relu conv3-16 relu maxpool FC-10"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.engine.planning.cache_folder", lambda: tmp_path)


def test_the_document(run: Run, tmp_path: Path) -> None:
    ended = run(
        "plan", NET, "--input", "3x16x16", "--batch", 2, "--rounds", 3, "--json",
        "--out", tmp_path / "plan.json",
    )  # fmt: skip
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["machine"]["threads"] >= 1
    assert document["key"]["batch"] == 2 and document["key"]["input"] == [3, 16, 16]
    assert len(document["layers"]) == 2
    second = document["layers"][1]
    assert second["chosen"] in second["candidates"]
    for each in second["candidates"].values():
        assert {"ms", "workspace_bytes", "relative_rms", "deterministic"} <= each.keys()
    assert document["total_ms"] > 0 and document["default_ms"] > 0
    assert engine.read(tmp_path / "plan.json").network == document["network"]


def test_the_table_and_the_second_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("plan", NET, "--input", "16", "--rounds", 3)
    first = run(*arguments)
    assert first.code == 0 and "All convolutions" in first.out and "default ms" in first.out
    monkeypatch.setattr("striate.engine.planning.measure", None)
    kept = engine.plan(zoo.read(NET, input=(3, 16, 16)), rounds=3)
    assert f"{kept}\n" == first.out and "Candidate(" not in str(kept)  # printed alike in Python
    second = run(*arguments, "--workspace", "1kB")
    assert second.code == 0, "measured again"
    assert "nothing else keeps within the limits" in second.out
    assert "The default is left everywhere" in second.out and "wins" not in second.out
    assert "winograd_6x6" not in second.out
    every = run(*arguments, "--candidates", "--error", "0")
    assert "winograd_6x6" in every.out and "differ" not in every.out
    assert "Nothing keeps within the limits in 2 layers, torch's own neither." in every.out
    assert "wins everywhere" not in every.out


def test_a_network_without_convolutions(run: Run) -> None:
    ended = run("plan", "FC-10", "--input", "1x8x8")
    assert ended.code == 0 and "There is no convolution" in ended.out
    assert "wins" not in ended.out and "All convolutions" not in ended.out


def test_training_and_wrong_limits(run: Run) -> None:
    trained = run("plan", NET, "--input", "3x16x16", "--train", "--rounds", 3)
    assert trained.code == 0 and "training step" in trained.out
    assert run("plan", NET, "--input", "16", "--workspace", "much").code == 2
    assert run("plan", "resnet19").code == 2
