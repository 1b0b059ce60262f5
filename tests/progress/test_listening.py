"""Progress reaches the display that is installed, and nothing without one."""

from __future__ import annotations

import pytest

from striate import progress


class Recorder:
    """A display that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def task(self, what: str, unit: str, total: int | None) -> Recorder:
        self.told.append((what, unit, total))
        return self

    def advance(self, count: int = 1) -> None:
        self.told.append(("advance", count))

    def close(self) -> None:
        self.told.append(("close",))

    def say(self, text: str) -> None:
        self.told.append((text,))


def test_a_display_is_told() -> None:
    display = Recorder()
    with progress.use(display):
        assert list(progress.track("ab", "reading", "letters")) == ["a", "b"]
        progress.say("done")
    progress.say("nobody listens")
    assert display.told == [
        ("reading", "letters", 2),
        ("advance", 1),
        ("advance", 1),
        ("close",),
        ("done",),
    ]


def test_a_length_can_be_told_or_unknown() -> None:
    display = Recorder()
    with progress.use(display):
        list(progress.track(iter("ab"), "reading", "letters", total=2))
        list(progress.track(iter("ab"), "reading", "letters"))
    assert [each[2] for each in display.told if len(each) == 3] == [2, None]


def test_a_task_is_closed_when_its_work_fails() -> None:
    display = Recorder()
    with progress.use(display), pytest.raises(ZeroDivisionError):
        for number in progress.track([1, 0], "dividing", "numbers"):
            1 / number
    assert display.told[-2:] == [("advance", 1), ("close",)]
    with progress.use(display):
        for _ in progress.track([1, 2], "stopping", "numbers"):
            break
    assert display.told[-1] == ("close",)


def test_displays_nest() -> None:
    outer, inner = Recorder(), Recorder()
    with progress.use(outer):
        with progress.use(inner):
            progress.say("inner")
        progress.say("outer")
    assert (outer.told, inner.told) == ([("outer",)], [("inner",)])


def test_an_item_can_count_for_many() -> None:
    display = Recorder()
    with progress.use(display):
        list(progress.track(["ab", "c"], "reading", "letters", total=3, size=len))
    assert display.told == [
        ("reading", "letters", 3),
        ("advance", 2),
        ("advance", 1),
        ("close",),
    ]


def test_what_would_pass_for_a_hang_is_said_where_nobody_listens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Recorder()
    progress.say("silent")
    progress.announce("Compiling")
    assert capsys.readouterr().err == "Compiling\n"
    with progress.use(display):
        progress.announce("Compiling")
        with progress.unsaid():
            progress.announce("not said")
    assert display.told == [("Compiling",)] and capsys.readouterr().err == ""
