"""What is installed: a small wheel with nothing stray, whose extras are asked for by name."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MOST = 3_000_000  # bytes of the wheel


def refusals() -> list[tuple[str, str, str]]:
    """Return (file, package, extra) of every MissingExtra that the source raises."""
    found = []
    for path in sorted((ROOT / "src" / "striate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtra":
                found.append((path.name, ast.unparse(node.args[1]), ast.literal_eval(node.args[2])))
    return found


def test_every_extra_that_is_asked_for_can_be_had() -> None:
    asked = {extra for _, _, extra in refusals()}
    assert asked == set(EXTRAS) - {"all", "dev", "docs", "peers"}
    assert EXTRAS["all"] == [f"striate[{','.join(sorted(asked))}]"]


def test_what_an_error_says_is_missing_is_in_the_extra_it_names() -> None:
    for file, package, extra in refusals():
        held = {re.split(r"[<>=]", each)[0].lower() for each in EXTRAS[extra]}
        named = {word for word in re.findall(r"[a-z0-9]+", package.lower()) if word in held}
        assert named or "error.name" in package, f"{file}: {package} is not in [{extra}]: {held}"


class Installed(NamedTuple):
    """An environment with the wheel and what it cannot do without."""

    wheel: Path
    bin: Path

    def run(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            cwd=folder or self.bin.parent,
            env=inherited | {"OMP_NUM_THREADS": "1"},
            timeout=600,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    made = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, *made, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "bare", with_pip=True)
    bin = folder / "bare" / ("Scripts" if os.name == "nt" else "bin")
    wanted = ["install", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run([bin / "python", *pip, *wanted], check=True)
    return Installed(wheel, bin)


@pytest.mark.slow
def test_the_wheel_is_small_and_holds_the_package_alone(installed: Installed) -> None:
    assert installed.wheel.stat().st_size < MOST
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith("METADATA"))
        said = archive.read(metadata).decode()
    info = f"striate-{PROJECT.get('version', '')}"
    stray = [
        name
        for name in names
        if not name.startswith(("striate/", info))
        or "test" in Path(name).name
        or name.endswith((".pyc", ".orig", ".swp"))
        or any(part.startswith(".") for part in Path(name).parts)
    ]
    assert not stray
    tracked = subprocess.check_output(["git", "ls-files", "src"], cwd=ROOT, text=True).split()
    held = {f"src/{name}" for name in names if name.startswith("striate/")}
    assert not set(tracked) - held  # the page's files, the digits and py.typed among them
    assert "License-Expression: MIT" in said
    assert {f"Provides-Extra: {extra}" for extra in EXTRAS} <= set(said.splitlines())


@pytest.mark.slow
def test_it_works_where_nothing_else_is_installed(installed: Installed, tmp_path: Path) -> None:
    clean = installed.run("python", "-W", "error", "-c", "import striate; print(striate.__file__)")
    assert clean.returncode == 0, clean.stderr
    assert str(installed.bin.parent) in clean.stdout
    assert clean.stderr == ""
    helped = installed.run("striate", "--help")
    assert helped.returncode == 0
    assert "train" in helped.stdout
    trained = installed.run(
        *("striate", "train", "digits", "--set", "epochs=1", "--out", "run"), folder=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    designed = installed.run("striate", "design", "lenet", "--svg", "--out", "lenet.svg")
    assert designed.returncode == 0, designed.stderr


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(2048)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("search", "search digits"),
        ("export", "export run --to onnx"),
        ("import", "weights model.h5"),
        ("import", "predict model.h5 one.png"),
        ("similar", "similar run one.png --among digits --index usearch"),
        ("serve", "serve run"),
        ("serve", "view run"),
    ],
)
def test_a_command_without_its_extra_says_what_to_type(
    installed: Installed, tmp_path: Path, extra: str, command: str
) -> None:
    code = (
        "from striate import data, recipes, train; from PIL import Image; "
        "Image.linear_gradient('L').resize((8, 8)).save('one.png'); "
        "recipe = recipes.make('auto', data.open('digits'), settings=('epochs=1',)); "
        "train.train(recipe, out='run')"
    )
    made = installed.run("python", "-c", code, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    (tmp_path / "model.h5").write_bytes(HDF5)
    found = installed.run("striate", *command.split(), folder=tmp_path)
    assert found.returncode == 2, found.stdout + found.stderr
    assert found.stderr.rstrip().endswith(f'pip install "striate[{extra}]"'), found.stderr
    assert "Traceback" not in found.stderr
