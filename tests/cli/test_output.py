"""Tables, progress and errors as the command line shows them."""

from __future__ import annotations

import json
import sys

import pytest

from striate import progress
from striate.cli import output
from striate.progress.terminal import Bars, Lines


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
    assert isinstance(display, Lines)
    with progress.use(display):
        for _ in progress.track(range(3), "counting", "numbers"):
            progress.say("a line")
    assert capsys.readouterr() == ("", "a line\n" * 3)


def test_a_notebooks_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn on it by `!striate train` stays in the notebook, ten bars a second."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-color")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert isinstance(output.display(), Bars)
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert isinstance(output.display(), Lines)
