"""Every command of README, docs and docstrings does what it is shown for, on data made here."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.documented import CODES, INSTEAD, ROOT, Command, bound, documented

from striate.cli.main import main

FOUND = documented()
COMMANDS: dict[tuple[str, ...], list[Command]] = {}  # by what is run
for each in FOUND.values():
    if each.text.startswith("striate "):
        COMMANDS.setdefault(tuple(bound(each.text)), []).append(each)
SCRIPTS = [each for each in FOUND.values() if each.text.startswith("python ")]
SERVERS = ("serve", "view")
COLOURS = {"bird": (70, 110, 40), "cat": (170, 80, 40), "dog": (90, 100, 120)}


def photographs(folder: Path, count: int) -> None:
    """Write noise around three colours, as JPEGs of several sizes."""
    dice = np.random.default_rng(count)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            high, wide = dice.integers(34, 50, 2)
            noise = np.array(colour) + dice.normal(0, 45, (high, wide, 3))
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            image.save(folder / name / f"{number}.jpg")


def sets(folder: Path) -> None:
    """Write MNIST, Fashion-MNIST and CIFAR-10, 100 images each, in their own forms."""
    dice = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        (folder / name).mkdir(parents=True)
        for part, count in (("train", 80), ("t10k", 20)):
            images = dice.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            labels = np.arange(count, dtype=np.uint8) % 10
            for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
                head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
                (folder / name / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())
    binary = folder / "cifar10" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        rows = dice.integers(0, 256, (20, 3073), dtype=np.uint8)
        rows[:, 0] = np.arange(20) % 10
        (binary / f"{name}.bin").write_bytes(rows.tobytes())


def striate(*words: object) -> int:
    """Run a command in this process, and return its code."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What commands find: photographs, named sets, two runs, a bundle, single files."""
    place = tmp_path_factory.mktemp("documented")
    sets(place / "data")
    work = place / "work"
    photographs(work / "photos", 12)
    photographs(work / "more_photos", 3)
    (work / "new").mkdir()
    for name in ("new/1.jpg", "new/2.jpg", "a.jpg", "one.jpg", "photo.jpg"):
        shutil.copy(work / "photos" / "cat" / "1.jpg", work / name)
    for name in ("photo.png", "me.png"):
        Image.open(work / "one.jpg").save(work / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        cheap = ("--epochs", 1, "--plan", "default", "--no-check", "--workers", 0)
        for name, net in (("photos", "resnet20"), ("dropped", "conv3-8 maxpool dropout FC-3")):
            trained = ("train", "photos", "--net", net, "--size", 32, "--out", f"runs/{name}")
            assert striate(*trained, "--set", "batch=8", *cheap) == 0
        assert (
            striate("export", "runs/dropped", "--to", "safetensors", "--out", "photos.bundle") == 0
        )
        assert striate("pack", "photos", "photos.pack") == 0
        shutil.copy("runs/dropped/plan.json", "plan.json")
        assert striate("train", "digits", "--net", "conv3-8 maxpool FC-10", *cheap,
                       "--out", "runs/digits") == 0  # fmt: skip
        shutil.copy("runs/digits/recipe.json", "best.json")
        shutil.copy("runs/digits/network.json", "own.json")
    return place


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test runs."""
    shutil.copytree(prepared / "work", tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("STRIATE_DATA", str(prepared / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "work"


@pytest.mark.parametrize(
    "words", [each for each in COMMANDS if each[0] not in SERVERS], ids=shlex.join
)
def test_a_command_does_what_it_says(
    words: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = COMMANDS[words]
    places = ", ".join(f"{each.place}: {each.text}" for each in written)
    left = [each for each in words if re.fullmatch(r"\$?[A-Z][A-Z.]+", each)]
    assert not left, f"{places}: {' '.join(left)} stands for nothing; see PLACE and INSTEAD"
    made = [words[2]] if words[0] == "pack" and "--verify" not in words else []
    made += [after for option, after in pairwise(words) if option == "--out"]
    for target in made:  # `prepared` has it for the commands that read it
        shutil.rmtree(here / target, ignore_errors=True)
        (here / target).unlink(missing_ok=True)
    spread = [found for each in words for found in sorted(glob.glob(each)) or [each]]
    code = striate(*spread)
    error = capsys.readouterr().err
    if code == 2 and "pip install" in error:
        pytest.skip(error.strip())
    verdict = words[0] in ("check", "doctor", "attack")  # of noise, and a run of one epoch
    allowed = {0, 1} if verdict else {CODES.get(written[0].text, 0)}
    assert code in allowed, f"{places}\nstriate {shlex.join(spread)}\n{error}"


@pytest.mark.parametrize("words", [each for each in COMMANDS if each[0] in SERVERS], ids=shlex.join)
def test_a_server_answers_and_stops(words: tuple[str, ...], here: Path) -> None:
    pytest.importorskip("starlette")
    if "--help" in words:
        assert striate(*words) == 0
        return
    with subprocess.Popen(
        [sys.executable, "-m", "striate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            address = re.search(r"http://[^\s;)]+", said)
            assert address, process.stderr.read() if process.stderr else said
            with urllib.request.urlopen(address[0]) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)  # ctrl-C
        assert process.wait(30) in (0, 130)


def test_the_python_of_the_readme(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(
        r"## From Python\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert len(block.splitlines()) <= 12
    quick = ["epochs=1", "workers=0"]  # and no copies trained by preflight
    block = block.replace('["epochs=20"]', str(quick)).replace(
        "(recipe)", "(recipe, trainings=False)"
    )
    block = block.replace("train.train(recipe, ", 'train.train(recipe, plan="default", ')
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102
    assert names["result"].test.n and "pass initial_loss" in capsys.readouterr().out


def test_what_is_run_instead_is_written_somewhere() -> None:
    assert not INSTEAD.keys() - FOUND.keys()
    assert not CODES.keys() - FOUND.keys()
    assert all(reason for _, reason in INSTEAD.values())


def test_a_new_command_that_nothing_binds_is_noticed() -> None:
    assert bound("striate predict $RUN new/*.jpg --csv") == [
        "predict", "runs/photos", "new/*.jpg", "--csv",
    ]  # fmt: skip
    assert bound("striate evaluate RUN OTHERS")[-1] == "OTHERS"
    assert len(COMMANDS) > 80 and len(SCRIPTS) > 20


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.text)
def test_a_script_has_the_options_it_is_shown_with(script: Any) -> None:
    _, path, *words = shlex.split(re.sub(r"[\[\]|]", " ", script.text))
    text = (ROOT / path).read_text()
    shared = [(ROOT / "benchmarks" / name).read_text() for name in ("rounds.py",)]
    for option in (each for each in words if each.startswith("--")):
        assert any(f'"{option}"' in each for each in (text, *shared)), f"{script.place}: {option}"


BENCHMARKS = [
    each
    for each in sorted((ROOT / "benchmarks").rglob("*.py"))
    if "__main__" in each.read_text() and re.search("add_argument|from rounds", each.read_text())
]


def launch(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda each: each.stem)
def test_a_benchmark_says_how_it_is_asked(script: Path) -> None:
    ended = launch(script, "--help")
    assert ended.returncode == 0 and "usage" in ended.stdout, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [each for each in BENCHMARKS if re.search('"--quick"|from rounds', each.read_text())],
    ids=lambda each: each.stem,
)
def test_a_benchmark_is_quick(script: Path) -> None:
    if missing := _needs(script):
        pytest.skip(missing)
    ended = launch(script, "--quick", *_given(script))
    assert ended.returncode == 0 and ended.stdout + ended.stderr, ended.stderr


def _given(script: Path) -> list[str]:
    """Return what a benchmark asks for beside --quick."""
    needs: dict[str, Callable[[str], list[str]]] = {
        "augmentations": lambda data: [f"{data}/grocery"],
        "transfer": lambda data: [f"{data}/grocery"],
    }
    return needs.get(script.stem, lambda data: [])(os.environ.get("STRIATE_DATA", ""))


def _needs(script: Path) -> str:
    """Say which data a benchmark lacks here."""
    if os.environ.get("STRIATE_DATA"):
        return ""
    return "needs STRIATE_DATA" if "STRIATE_DATA" in script.read_text() or _given(script) else ""
