"""What costs nothing stays free: paper, help and `import striate` never load torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPER = [
    "errors",
    "records",
    "files",
    "randomness",
    "progress",
    "draw",
    "contract",
    "design",
    "runs",
    "zoo",
]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
    )


def loaded(*arguments: str) -> set[str]:
    """Return the top-level packages that a command imports."""
    report = python("-X", "importtime", *arguments).stderr
    lines = [line for line in report.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("module", ["striate", *(f"striate.{name}" for name in PAPER)])
def test_importing_what_is_on_paper_loads_no_torch(module: str) -> None:
    assert "torch" not in loaded("-c", f"import {module}")


def test_the_package_alone_loads_nothing_but_itself() -> None:
    assert "numpy" not in loaded("-c", "import striate")


@pytest.mark.parametrize(
    "command", [["--help"], ["train", "--help"], ["design", "lenet"], ["models"]], ids=" ".join
)
def test_commands_on_paper_load_no_torch(command: list[str]) -> None:
    packages = loaded("-m", "striate", *command)
    assert not {"torch", "numba", "scipy"} & packages


@pytest.mark.skipif(sys.platform == "win32", reason="has no account of a child's time")
def test_help_answers_in_a_quarter_of_a_second() -> None:
    """Counted in processor time, which other work on this machine does not lengthen."""
    import resource

    taken = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python("-m", "striate", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.25


def test_imports_go_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
