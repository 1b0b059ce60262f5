"""`striate view`: where it looks, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

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


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_asked_to(tmp_path: Path, kind: signal.Signals) -> None:
    (tmp_path / "runs").mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "striate", "view", "runs", "--port", "0", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        with urlopen(json.loads(running.stdout.readline())["url"], timeout=60) as answer:
            assert answer.status == 200
        os.kill(running.pid, kind)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert "Traceback" not in said
    finally:
        running.kill()


def test_what_it_lacks_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run("--port", "0") == 2
    said = capsys.readouterr().err
    assert 'The page needs uvicorn, which is not installed: pip install "striate[serve]"' in said
