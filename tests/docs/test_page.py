"""What runs the tutorial: it notices what a page says wrongly, and writes what is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.page import Step, read, rewritten
from tests.docs.session import run

PAGE = """# A page

```console
$ echo one two
one two
$ echo three
three
```

Words.

```python
value = 7
print(value)
```

```text
7
```

```python
print(value + 1)
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_page_is_read_in_order(page: Path) -> None:
    steps = read(page).steps
    assert [step.source.strip() for step in steps] == [
        "echo one two",
        "echo three",
        "value = 7\nprint(value)",
        "print(value + 1)",
    ]
    assert [step.expected for step in steps] == ["one two", "three", "7", ""]
    assert [step.line for step in steps] == [4, 6, 13, 22]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("accuracy 97%", "accuracy 97%\n", True),
        ("accuracy 97%", "accuracy 96%\n", False),
        ("accuracy 9...%, 3 images", "accuracy 98.12%, 3 images\n", True),
        ("accuracy 9...%, 3 images", "accuracy 98.12%, 4 images\n", False),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nz\n", True),
        ("a\n...\nz", "a\nb\nz\ny\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("a ... c", "a b\nc\n", False),
        ("", "a\n", False),
        ("a", "", False),
        ("a  b", "a b", False),
        ("a", "\na   \n\n", True),
    ],
)
def test_ellipses_stand_for_anything_within_their_lines(
    expected: str, printed: str, same: bool
) -> None:
    assert Step("command", "", expected, 1, printed).as_said() is same


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("accuracy 97.2%, loss 0.31", "accuracy 96.4%, loss 0.29", True),
        ("accuracy 97.2%, loss 0.31", "accuracy 89.9%, loss 0.29", False),
        ("accuracy 97.2%, loss 0.31", "accuracy 97.2%, loss 0.52", False),
        ("accuracy 97.2%, loss 0.31", "accuracy 97.2%, cost 0.31", False),
        ("accuracy 97.2%", "accuracy 97.2", False),
        ("noise  100.0%", "noise   99.7%", True),
        ("... in 3 steps, 84% right", "so: in 3 steps, 88% right", True),
        ("... in 3 steps, 84% right", "so: in 4 steps, 84% right", False),
        ("grew to 2.36e+05", "grew to 2.41e+05", True),
        ("grew to 2.36e+05", "grew to 2.41e+06", False),
        ("error 2.4e-07", "error 3.1e-07", True),
        ("error 2.4e-07", "error 8.1e-07", False),
    ],
)
def test_figures_of_trainings_may_differ_a_little(expected: str, printed: str, same: bool) -> None:
    assert Step("command", "", expected, 1, printed, measured=True).as_said() is same


def test_what_has_changed_is_noticed_and_written(page: Path, tmp_path: Path) -> None:
    page.write_text(PAGE.replace("one two\n$", "one three\n$").replace("\n7\n", "\n...\n"))
    found = read(page)
    said = [step.as_said() for step in run(found, tmp_path)]
    assert said == [False, True, True, False]
    page.write_text(rewritten(found))
    again = read(page)
    assert [step.expected for step in again.steps] == ["one two", "three", "...", "8"]
    assert all(step.as_said() for step in run(again, tmp_path))


def test_ellipses_are_kept_where_they_are_still_true(page: Path) -> None:
    page.write_text("```console\n$ x\nloss ...\nsecond\n```\n")
    found = read(page)
    found.steps[0].printed = "loss 0.123\nthird\n"
    assert rewritten(found) == "```console\n$ x\nloss ...\nthird\n```\n"


def test_commands_and_python_share_a_folder_and_say_how_they_end(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nopen('a.txt', 'w').write('b')\n1 / 0\n```\n"
        "```console\n$ cat a.txt\n$ striate design lenet5\n$ echo $?\n$ striate --version\n```\n"
    )
    python, cat, wrong, code, version = run(read(page), tmp_path)
    assert python.ended == 1 and 'page.md", line 3' in python.printed
    assert cat.printed == "b" and cat.ended == 0
    assert "no network named 'lenet5'" in wrong.printed and wrong.ended == 2
    assert code.printed == "2" and code.ended == 0
    assert version.printed.startswith("striate ") and version.ended == 0


def test_text_that_nothing_prints_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```text\n7\n```\n")
    with pytest.raises(ValueError, match=r"page\.md:2: a text block follows the Python"):
        read(page)
