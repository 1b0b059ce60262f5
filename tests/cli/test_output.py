"""Tables, progress and errors as the command line shows them."""

from __future__ import annotations

import json
import sys

import pytest

from striate import progress
from striate.cli import output


def test_a_table_aligns_numbers_right_and_words_left() -> None:
    text = output.table(
        ("name", "parameters", "share"),
        [("lenet", 61706, "1.5%"), ("vgg16", 138357544, None)],
    )
    assert text.splitlines() == [
        "name    parameters  share",
        "lenet       61,706   1.5%",
        "vgg16  138,357,544",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert output.table(("name", "n"), []) == "name  n"


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(0.04, "0.0 s"), (9.31, "9.3 s"), (75.4, "1 min 15 s"), (5400, "1 h 30 min")],
)
def test_durations(seconds: float, spelled: str) -> None:
    assert output.duration(seconds) == spelled


@pytest.mark.parametrize(
    ("number", "one", "spelled"),
    [(1, "epoch", "1 epoch"), (0, "class", "0 classes"), (1200, "image", "1,200 images")],
)
def test_counts(number: int, one: str, spelled: str) -> None:
    assert output.count(number, one) == spelled


def test_a_terminal_cuts_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    assert output.clip("x" * 20) == "x" * 20
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert output.clip("x" * 20 + "\nshort") == "xxxxxxx...\nshort"


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output.show({"a": 1}, "one", as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"a": 1}
    assert shown.err == "one\n"
    output.show({"a": 1}, "one", as_json=False)
    assert capsys.readouterr() == ("one\n", "")


def test_an_error_is_one_line_and_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_error("DataError", "There is\nno folder x.", as_json=True)
    shown = capsys.readouterr()
    assert shown.err == "striate: There is no folder x.\n"
    assert json.loads(shown.out) == {
        "error": {"kind": "DataError", "message": "There is no folder x."}
    }


def test_only_the_first_process_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    output.show({"a": 1}, "one", as_json=True)
    output.display().say("hello")
    assert capsys.readouterr() == ("", "")
    output.show_error("DataError", "No.", as_json=True)
    assert capsys.readouterr() == ("", "striate (process 1): No.\n")


def test_off_a_terminal_only_lines(capsys: pytest.CaptureFixture[str]) -> None:
    display = output.display()
    assert isinstance(display, output.Lines)
    with progress.use(display):
        for _ in progress.track(range(3), "counting", "numbers"):
            progress.say("a line")
    assert capsys.readouterr() == ("", "a line\n" * 3)


def test_short_work_shows_no_bar_and_loads_no_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)  # an import would fail
    with progress.use(output.Bars()):
        list(progress.track(range(1000), "counting", "numbers"))
        progress.say("done")
    assert capsys.readouterr() == ("", "done\n")


def test_a_bar_shows_throughput(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_BAR_AFTER", 0.0)
    monkeypatch.setattr(output, "_REFRESH", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    bars = output.Bars()
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
