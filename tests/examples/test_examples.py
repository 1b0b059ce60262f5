"""Every example runs as its docstring says, and shows what it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate import data, doctor, zoo
from striate.cli.main import main as striate

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.py"))


def load(name: str) -> types.ModuleType:
    """Import an example by its file."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def launch(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does."""
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_short_and_says_how_it_is_run(file: Path) -> None:
    text = file.read_text()
    said = text if file.stem == "notebook" else ast.get_docstring(ast.parse(text)) or ""
    assert f"python examples/{file.name}" in said
    assert re.search(r"\b[Pp]rints\b", said) or file.stem == "babysitting"
    assert len(text.splitlines()) <= 80 or file.stem == "babysitting"


def test_the_table_has_a_line_for_each() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [file.name for file in FILES]


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("folder")
    result = example.main(example.digits(tmp_path / "digits", 400), tmp_path / "run")
    assert result.test.n == 80 and result.test.accuracy > 0.8
    out = capsys.readouterr().out
    assert re.search(r"80 images never seen: \d+\.\d% right \(", out)
    assert len(re.findall(r"\.png: \d, ", out)) == 5


def test_a_module_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = load("own_module").main(tmp_path)
    out = capsys.readouterr().out
    assert any(each.startswith("features_differ") for each in wrong), wrong
    assert "after: nothing" in out and "conv 3x3 32 pad 1" in out
    assert float(re.search(r"accelerated: (\S+)", out)[1]) < 1e-4  # type: ignore[index]
    assert (tmp_path / "index.html").is_file()
    assert zoo.read(str(tmp_path / "mine.json")).name == "Mine"


@pytest.mark.parametrize(("rate", "found"), [(0.05, set()), (30.0, {"not_finite", "exploding"})])
def test_a_loop_of_ones_own(
    rate: float, found: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = load("own_loop").main(tmp_path / "mine", rate)
    said = {each.finding for each in findings if each.confidence >= doctor.SURE}
    assert (said & found) if found else not said
    assert ("To do:" in capsys.readouterr().out) == bool(found)
    with pytest.raises(SystemExit) as ended:
        striate(["doctor", str(tmp_path / "mine"), "--json"])
    assert bool(ended.value.code) == bool(found)
    document = json.loads(capsys.readouterr().out)
    assert {each["finding"] for each in document["findings"]} == {e.finding for e in findings}


def test_a_notebook() -> None:
    ended = launch("notebook")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"epoch 8: \d", ended.stdout)
    place = Path(ended.stdout.splitlines()[-1])
    assert "<svg" in (place / "curve.svg").read_text()
    cells = (FOLDER / "notebook.py").read_text().split("\n# %%")
    assert len(cells) >= 6


def test_a_gate() -> None:
    ended = launch("ci_gate")
    assert ended.returncode == 1, ended.stderr
    assert "sound: " in ended.stdout and "leaking: fail" in ended.stdout
    assert "sound: fail" not in ended.stdout
    assert re.search(r"^::error title=\w*(leak|across)\w*::", ended.stdout, re.MULTILINE)
    refused = launch("ci_gate", "/nowhere/at/all")
    assert refused.returncode == 2 and refused.stdout.startswith("::error::")


def test_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.registry, "_entries", dict(zoo.registry._entries))
    monkeypatch.setattr(zoo.registry, "_writers", dict(zoo.registry._writers))
    network = load("add_network").main(tmp_path)
    assert network.parameter_count() == 132_540
    assert zoo.read(str(tmp_path / "simard2003.json")) == network
    assert "rectifiers where the paper has tanh" in capsys.readouterr().out


def test_an_augmentation(tmp_path: Path) -> None:
    example = load("add_augmentation")
    changed = example.main("digits", tmp_path)
    assert changed.augmentation[-1] == example.QuarterTurns(p=0.5)
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.size[0] > 100
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    samples = data.ArraySamples(np.repeat(image[None, ..., None], 64, 0), np.zeros(64), ["a"] * 64)
    shown = seen(samples, example.QuarterTurns())
    turns = {np.rot90(image, k).astype(np.float32).tobytes() for k in range(4)}
    assert {each.tobytes() for each in shown} == turns


def seen(samples: data.Samples, change: data.Augmentation) -> list[np.ndarray]:
    """Return what an epoch shows of images, in levels."""
    from striate.contract import Class, Contract

    contract = Contract(
        classes=(Class(id="a", label="a"),), channels="grey", size=(8, 8), mean=(0.0,), std=(1.0,)
    )
    loader = data.Loader(samples, contract, batch=64, seed=0, shuffle=False, augmentation=(change,))
    (batch,) = loader.epoch(0)
    return [np.rint(255 * each.numpy()[0]).astype(np.float32) for each in batch.images]


def test_a_check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["striate.doctor.preflight"], "_OWN", {})
    example = load("add_check")
    assert [each.verdict for each in example.main()] == ["fail", "pass"]
    assert "mirror images are" in capsys.readouterr().out
    with pytest.raises(ValueError, match="received name='mirror_invariance', which is taken"):
        doctor.register(example.mirror_invariance)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    net[1].weight.data[:] = torch.nan  # nothing of one's own is asked of what is no number
    subject = doctor.Subject(net, torch.randn(8, 1, 8, 8), torch.arange(8) % 2, classes=2)
    asked = {each.check for each in doctor.check_module(subject, trainings=False)}
    assert "mirror_invariance" not in asked


def test_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    heavy, light = load("compare_on_paper").main(
        ["resnet50", "mobilenet_v1"], (3, 224, 224), 16_000_000_000
    )
    assert 50 < heavy < light
    assert "% of the parameters in " in capsys.readouterr().out
    ended = launch("compare_on_paper", "lenet", "conv5-6 FC-10", "--input", "1x28x28")
    assert ended.returncode == 0, ended.stderr
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", str(FOLDER / "compare_on_paper.py")],
        capture_output=True,
        text=True,
    )
    assert not re.search(r"\| +torch$", loaded.stderr, re.MULTILINE)
