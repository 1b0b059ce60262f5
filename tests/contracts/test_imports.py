"""What costs nothing stays free: paper, help and `import striate` never load torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from striate.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
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


def modules() -> dict[str, Path]:
    """Return every module of the package, by name."""
    found = {}
    for path in (SOURCE / "striate").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of ours that code imports, inside functions too, but not for types only."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module in known:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in known else str(node.module)
    for child in ast.iter_child_nodes(node):
        yield from imports(child, known)


def test_no_module_imports_itself_by_way_of_others_not_even_inside_a_function() -> None:
    known = modules()
    graph = {
        name: set(imports(ast.parse(path.read_text(encoding="utf-8")), known)) - {name}
        for name, path in known.items()
    }
    assert sum(map(len, graph.values())) > 1000
    TopologicalSorter(graph).prepare()  # a CycleError names those of a circle
