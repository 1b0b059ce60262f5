"""Bars on a terminal: only for what takes a while, with throughput and time left."""

from __future__ import annotations

import sys

import pytest

from striate import progress
from striate.progress import display
from striate.progress.terminal import Bars


def test_short_work_shows_no_bar_and_loads_no_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)  # an import would fail
    with progress.use(Bars()):
        list(progress.track(range(1000), "counting", "numbers"))
        progress.say("done")
    assert capsys.readouterr() == ("", "done\n")


def test_a_bar_shows_throughput(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "AFTER", 0.0)
    monkeypatch.setattr(display, "REFRESH", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    bars = Bars()
    task = bars.task("reading", "images", 100)
    task.advance(50)
    bars.live().refresh()
    bars.say("half [red] way")  # no markup
    task.close()
    task.close()
    shown = capsys.readouterr().err
    assert "reading" in shown and "50%" in shown and "images/s" in shown and "left" in shown
    assert "half [red] way" in shown
    assert bars._progress is None
