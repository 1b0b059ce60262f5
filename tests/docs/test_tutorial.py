"""Every chapter of the tutorial, run from top to bottom in an empty folder, prints what it says.

`python -m tests.docs.rewrite docs/tutorial/05_train.md` writes into a page what it prints now.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

import pytest
import typer
from tests.docs.page import Page, Step, read
from tests.docs.session import run

from striate.cli.main import COMMANDS, application

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
CHAPTERS = sorted(TUTORIAL.glob("[0-9][0-9]_*.md"))
EXTRAS = {"06_doubt": "optuna", "10_ship": "onnxruntime"}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    if path.stem in EXTRAS:
        pytest.importorskip(EXTRAS[path.stem])
    page = read(path)
    for name in page.needs:
        if not Path(os.environ.get("STRIATE_DATA", ""), name).exists():
            pytest.skip(f"needs {name} in STRIATE_DATA")
    asked = {step.line for step in page.steps if step.source == "echo $?"}
    for step in run(page, tmp_path):
        where = f"{path.name}:{step.line}: {step.source}"
        assert step.as_said(), f"{where}\n{_difference(step)}"
        assert not step.ended or _next_line(page, step) in asked, f"{where}\nended {step.ended}"
    for picture, made in page.pictures:
        assert _size(tmp_path / made) == _size(path.parent / picture), f"{picture} is not {made}"


def test_there_are_ten_chapters_in_the_index() -> None:
    index = (TUTORIAL / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\((\d\d_\w+\.md)\)", index)
    assert linked == [path.name for path in CHAPTERS] and len(linked) == 10


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_chapter_leaves_to_the_reader_are_commands_with_such_options(path: Path) -> None:
    """Lines about the reader's own data cannot be run here; their words are held to the program."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = re.findall(r"^    (striate \w.*)", text, re.M) + re.findall(
        r"`(striate \w[^`]*)`", text
    )
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        program = typer.main.get_command(application(words[0]))
        assert words[0] in COMMANDS, line
        if words[1:]:
            program.commands[words[0]].make_context(words[0], words[1:])  # type: ignore[attr-defined]


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    shown = {picture for path in CHAPTERS for picture, _ in read(path).pictures}
    files = {path.relative_to(TUTORIAL).as_posix() for path in TUTORIAL.glob("pictures/*")}
    assert shown == files
    assert all(read(path).pictures for path in CHAPTERS if path.stem != "10_ship")
    assert sum((TUTORIAL / each).stat().st_size for each in files) < 2_000_000


def _next_line(page: Page, step: Step) -> int:
    """Return where the step after one begins, or 0."""
    place = next(number for number, each in enumerate(page.steps) if each is step) + 1
    return page.steps[place].line if place < len(page.steps) else 0


def _difference(step: Step) -> str:
    lines = difflib.unified_diff(
        step.expected.splitlines(), step.printed.splitlines(), "the page", "now", lineterm=""
    )
    return "\n".join(lines)


def _size(path: Path) -> tuple[str, ...]:
    """Return a picture's width and height."""
    if path.suffix == ".svg":
        found = re.search(r'<svg[^>]*viewBox="([^"]+)"', path.read_text(encoding="utf-8"))
        assert found, path
        return tuple(found[1].split())
    from PIL import Image

    with Image.open(path) as image:
        return tuple(map(str, image.size))
