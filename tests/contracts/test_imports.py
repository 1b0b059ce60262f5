"""What costs nothing stays free: paper, help and `import striate` never load torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from striate.cli.main import COMMANDS

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


def test_a_command_does_not_wait_for_the_others() -> None:
    program = "import sys; from striate.cli.main import application; application('design')"
    shown = python("-c", f"{program}; print(*(n for n in sys.modules if 'cli' in n))").stdout
    assert "striate.cli.design" in shown.split()
    assert not {f"striate.cli.{name}" for name in COMMANDS if name != "design"} & {*shown.split()}


def test_imports_go_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
