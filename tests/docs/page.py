"""A page of the tutorial as what is run: its blocks, what they should print, and what they did.

A page is markdown. Run are

    ```console          each `$ command`, with the lines that it prints below it
    ```python           a block; what it prints is the ```text block that follows, if any
    ![words](pictures/name.svg "runs/digits/figures/history.svg")

the last of which is a picture that the page's commands left at the path in quotation marks. In
what is printed `...` stands for anything within a line, and on a line of its own for any lines:
times, paths. Everything else has to be so to the letter, but for a page of trainings, which end
elsewhere on another processor: `<!-- measured -->` lets its percentages differ by some points, and
figures with a decimal point by a fifth. `<!-- needs: cifar10 -->` names what a page is skipped
without.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```(console|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r'!\[[^\]]*\]\((pictures/[^ )]+) "([^"]+)"\)')
_FIGURE = re.compile(r"(\d+\.\d+(?:e[+-]\d+)?%?|\d+%)")
_POINTS, _SHARE, _LEAST = 6.0, 0.2, 0.05  # how far a figure may be off: percentages, others
_NEEDS = re.compile(r"<!-- needs: (.+?) -->")


@dataclass
class Step:
    """One command, or one block of Python.

    Args:
        kind: "command" or "python".
        source: what is run.
        expected: what the page says that it prints.
        line: of the page, where the source begins.
        printed: what it did print.
        ended: exit code of a command; 1 of Python that raised.
        measured: whether figures may differ a little.
    """

    kind: str
    source: str
    expected: str
    line: int
    printed: str = ""
    ended: int = 0
    measured: bool = False

    def as_said(self) -> bool:
        """Tell whether what was printed is what the page says."""
        return _same(self.expected, _stripped(self.printed), self.measured)


@dataclass
class Page:
    """A page, read.

    Args:
        path: of the markdown file.
        steps: in order.
        pictures: path below the page's folder, and the file that the page's commands leave.
        needs: names of data sets.
    """

    path: Path
    steps: list[Step] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def read(path: Path) -> Page:
    """Read a page."""
    text = path.read_text(encoding="utf-8")
    page = Page(path)
    for found in _FENCE.finditer(text):
        kind, body = found[1], found[2]
        line = text[: found.start(2)].count("\n") + 1
        if kind == "console":
            page.steps += _commands(body, line, path)
        elif kind == "python":
            page.steps.append(Step("python", body, "", line))
        elif page.steps and page.steps[-1].kind == "python":
            page.steps[-1].expected = _stripped(body)
        else:
            raise ValueError(f"{path}:{line}: a text block follows the Python that prints it")
    page.pictures = [(found[1], found[2]) for found in _PICTURE.finditer(text)]
    page.needs = [name.strip() for each in _NEEDS.findall(text) for name in each.split(",")]
    for step in page.steps:
        step.measured = "<!-- measured -->" in text
    return page


def _commands(body: str, line: int, path: Path) -> list[Step]:
    """Split a console block; a command goes on over lines that end with a backslash."""
    steps: list[Step] = []
    goes_on = False
    for number, text in enumerate(body.splitlines(), line):
        if goes_on:
            steps[-1].source += f"\n{text}"
        elif text.startswith("$ "):
            steps.append(Step("command", text[2:], "", number))
        elif steps:
            steps[-1].expected += f"{text}\n"
        else:
            raise ValueError(f"{path}:{number}: a console block begins with `$ command`")
        goes_on = text.endswith("\\") and (goes_on or text.startswith("$ "))
    for step in steps:
        step.expected = _stripped(step.expected)
    return steps


def _stripped(text: str) -> str:
    """Leave out blanks at the ends of lines, and lines without anything at both ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _same(expected: str, printed: str, measured: bool) -> bool:
    """Tell whether a text is as expected, ellipses and figures allowed for."""
    found = _matched(expected, printed, measured)
    if found is None:
        return False
    wanted = _FIGURE.findall(expected) if measured else []
    return all(map(_near, wanted, found.groups()))


def _matched(expected: str, printed: str, measured: bool) -> re.Match[str] | None:
    """Return the match of a text, ellipses allowed for; figures that may differ are its groups."""
    lines = []
    for line in expected.split("\n"):
        several = line.strip() == "..."
        lines.append(r"(?:[^\n]*\n)*" if several else _within(line, measured) + r"\n")
    return re.fullmatch("".join(lines), f"{printed}\n")


def _within(line: str, measured: bool) -> str:
    """Return the regular expression of a line; figures that may differ are its groups."""
    if not measured:
        return re.escape(line).replace(r"\.\.\.", r"[^\n]*")
    words = _FIGURE.split(line)[::2]
    texts = [re.escape(word).replace(r"\.\.\.", r"[^\n]*") for word in words]
    texts = [re.sub(r"(?:\\ )+", " +", text) for text in texts]  # columns move with their figures
    return f"({_FIGURE.pattern[1:-1]})".join(texts)


def _near(wanted: str, found: str) -> bool:
    """Tell whether a figure is that of the page, or of the same training elsewhere."""
    if wanted.endswith("%") != found.endswith("%"):
        return False
    page, now = float(wanted.rstrip("%")), float(found.rstrip("%"))
    if "e" in wanted:
        return 0.5 <= now / page <= 2
    return abs(page - now) <= (_POINTS if wanted.endswith("%") else max(_LEAST, _SHARE * abs(page)))


# -- writing ---------------------------------------------------------------------------------------


def rewritten(page: Page, mask: Callable[[str], str] = str) -> str:
    """Return the page with what its steps printed, ellipses kept where they still are true.

    Args:
        page: whose steps have been run.
        mask: what is done to a line that is new.
    """
    text = page.path.read_text(encoding="utf-8")
    steps = iter(page.steps)
    pieces: list[str] = []
    end = 0
    waits: Step | None = None  # Python whose text block has not come
    for found in _FENCE.finditer(text):
        pieces += _unsaid(waits if found[1] != "text" else None, mask)
        pieces.append(text[end : found.start()])
        end = found.end()
        if found[1] == "text":
            pieces.append(f"```text\n{_now(waits, mask)}\n```" if waits is not None else found[0])
            waits = None
        elif found[1] == "python":
            waits = next(steps)
            pieces.append(found[0])
        else:
            waits = None
            shown = [next(steps) for _ in _commands(found[2], 1, page.path)]
            pieces.append("```console\n" + "".join(_as_typed(step, mask) for step in shown) + "```")
    return "".join([*pieces, *_unsaid(waits, mask), text[end:]])


def _unsaid(step: Step | None, mask: Callable[[str], str]) -> list[str]:
    """Return the text block that a page lacks."""
    if step is None or not _stripped(step.printed) or step.expected:
        return []
    return [f"\n\n```text\n{_now(step, mask)}\n```"]


def _as_typed(step: Step, mask: Callable[[str], str]) -> str:
    now = _now(step, mask)
    return f"$ {step.source}\n" + (f"{now}\n" if now else "")


def _now(step: Step, mask: Callable[[str], str]) -> str:
    """Return what a page should say of a step: as it was said, with the figures of now."""
    found = _matched(step.expected, _stripped(step.printed), step.measured)
    if found is not None and step.measured:
        figures = iter(found.groups())
        return _FIGURE.sub(lambda old: next(figures), step.expected)
    if step.as_said():
        return step.expected
    known = step.expected.split("\n")
    lines = []
    for line in _stripped(step.printed).split("\n"):
        same = [each for each in known if each != "..." and _same(each, line, step.measured)]
        lines.append(same[0] if same else mask(line))
    return "\n".join(lines)
