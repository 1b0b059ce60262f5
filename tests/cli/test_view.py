"""`striate view`: where it looks, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from striate import web
from striate.cli.main import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["view", *arguments])
    return int(ended.value.code or 0)


def test_without_a_place_the_folder_of_runs_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(web, "view", lambda places, **more: given.append((places, more["port"])))
    run("--port", "0")
    assert given == [([Path("runs")], 0)]
    assert (tmp_path / "runs").is_dir()


def test_a_place_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("nothing") == 2
    assert "There is no folder nothing" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
