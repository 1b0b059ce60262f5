"""A run from the command line: trained, evaluated, used, replayed, interrupted and resumed."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import inference
from striate.cli import evaluate

Run = Callable[..., Any]

STRIATE = (sys.executable, "-m", "striate")
SHORT = ("--epochs", "2", "--net", "softmax", "--set", "workers=0", "--set", "augmentation=[]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 24 little images each, and one file that is no image."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    random = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 220), ("middle", 130)):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(level - 30, level + 30, (12, 12)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "dark" / "broken.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A run trained by the command, and what that printed."""
    out = tmp_path_factory.mktemp("runs") / "first"
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "striate",
            "train",
            str(folder),
            *SHORT,
            "--out",
            str(out),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    yield out, json.loads(ended.stdout), ended.stderr


def test_train_prints_the_document_and_a_line_an_epoch(trained: Any, folder: Path) -> None:
    out, document, said = trained
    assert document["run"] == str(out) and document["network"] == "softmax"
    assert document["epochs"] == 2 and document["seconds"] > 0
    said_of_validation = {"accuracy", "loss", "epoch", "chosen_by", "robust"}
    assert set(document["validation"]) == said_of_validation
    assert set(document["test"]) == {"accuracy", "loss", "n"}
    assert sum(line.startswith("epoch ") for line in said.splitlines()) == 2
    assert "tiny_images" in said and "broken.png" in said
    ready = [f"striate {each} {out}" for each in ("evaluate", "predict", "explain", "replay")]
    for text in ("95% interval", str(out), *ready):
        assert text in said
    for path in document["figures"].values():
        assert Path(path).stat().st_size > 1000


def test_evaluate_agrees_with_train_to_the_image(trained: Any, folder: Path, run: Run) -> None:
    out, document, _ = trained
    ended = run("evaluate", out, "--json")
    assert ended.code == 0
    test = json.loads(ended.out)["test"]
    assert {name: test[name] for name in ("accuracy", "loss", "n")} == document["test"]
    assert len(test["classes"]) == len(test["confusion"]) == 3
    named = json.loads(run("evaluate", out, folder, "--json").out)
    assert named["test"] == test and named["part"] == "test"


def test_evaluate_as_text_and_into_a_folder(trained: Any, run: Run, tmp_path: Path) -> None:
    out, _, _ = trained
    ended = run("evaluate", out, "--part", "train", "--out", tmp_path / "found")
    assert ended.code == 0 and ended.err.count("broken.png") == 1
    assert "(1 file of the whole data left out)" in ended.out.splitlines()[0]
    assert "points in the mean: " in ended.out and "% expected error" not in ended.out
    assert "accuracy" in ended.out and "95% interval" in ended.out and "middle" in ended.out
    written = json.loads((tmp_path / "found" / "evaluation.json").read_text())
    assert written["part"] == "train"
    assert (tmp_path / "found" / "confusion.png").exists()


@pytest.mark.parametrize(
    ("confidence", "accuracy", "way"),
    [
        ((0.5, 0.5), (0.9, 0.7), "differ by 30.00 points in the mean: too unsure ("),
        ((0.9, 0.9), (0.7, 0.5), "differ by 30.00 points in the mean: too sure ("),
        ((0.9, 0.5), (0.6, 0.8), "30.00 points in the mean: too sure of some answers, too unsure"),
    ],
)
def test_calibration_says_which_way_it_is_off(
    confidence: tuple[float, float], accuracy: tuple[float, float], way: str
) -> None:
    bins = tuple(
        inference.evaluation.ReliabilityBin(n=10, confidence=one, accuracy=other)
        for one, other in zip(confidence, accuracy, strict=True)
    )
    error = sum(abs(each.accuracy - each.confidence) for each in bins) / 2
    figures = inference.Figures(
        accuracy=sum(accuracy) / 2, loss=1.0, n=20, interval=(0.0, 1.0), top5=None,
        top5_interval=None, calibration_error=error, reliability=bins, classes=(), confusion=(),
        mistakes=(),
    )  # fmt: skip
    assert way in evaluate._calibration(figures)


def test_predict_in_three_forms(trained: Any, folder: Path, run: Run) -> None:
    out, _, _ = trained
    files = sorted((folder / "light").glob("1*.png"))
    text = run("predict", out, f"{folder}/light/1*.png")
    assert text.code == 0 and len(text.out.splitlines()) == len(files) + 1
    document = json.loads(run("predict", out, *files, "--json", "--top", "2").out)
    assert [each["file"] for each in document] == [str(path) for path in files]
    assert set(document[0]) == {"file", "id", "label", "probability", "top"}
    assert len(document[0]["top"]) == 2
    rows = list(csv.DictReader(io.StringIO(run("predict", out, *files, "--csv").out)))
    assert [row["id"] for row in rows] == [each["id"] for each in document]


def test_predict_names_a_bad_file(trained: Any, folder: Path, run: Run) -> None:
    out, _, _ = trained
    ended = run("predict", out, folder / "dark", "--json")
    assert ended.code == 0 and len(json.loads(ended.out)) == 24
    assert "broken.png" in ended.err
    strict = run("predict", out, folder / "dark", "--strict")
    assert strict.code == 2 and "broken.png" in strict.err and strict.out == ""


def test_replay_says_identical(trained: Any, run: Run) -> None:
    out, _, _ = trained
    ended = run("replay", out, "1..2", "--json")
    document = json.loads(ended.out)
    assert ended.code == 0 and document["identical"] is True and document["steps"] == 2
    assert run("replay", out, "2").out.startswith("identical: steps 2..2")
    assert "Expected steps A..B with" in run("replay", out, "5..900").err


def test_replay_finds_what_was_altered(
    trained: Any, folder: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "altered"
    assert run("train", folder, *SHORT, "--out", out).code == 0
    lines = (out / "history.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    [at] = [
        index
        for index, entry in enumerate(entries)
        if (entry["kind"], entry["step"]) == ("step", 2)
    ]
    lines[at] = json.dumps({**entries[at], "loss": entries[at]["loss"] + 1e-6})
    (out / "history.jsonl").write_text("\n".join(lines) + "\n")
    ended = run("replay", out, "1..3")
    assert ended.code == 1 and "different" in ended.out and "Step 2: loss was" in ended.out


def test_a_run_is_not_overwritten_unless_told(trained: Any, folder: Path, run: Run) -> None:
    out, _, _ = trained
    before = (out / "model.safetensors").read_bytes()
    ended = run("train", folder, *SHORT, "--out", out)
    assert ended.code == 2 and "already a run" in ended.err
    assert (out / "model.safetensors").read_bytes() == before


def test_resuming_a_finished_run_shows_its_result(trained: Any, run: Run) -> None:
    out, document, _ = trained
    ended = run("train", "--resume", out, "--workers", "3", "--json")
    again = json.loads(ended.out)
    assert ended.code == 0 and again["test"] == document["test"]


def test_runs_are_numbered_and_named_after_data_and_network(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        ended = run("train", folder, *SHORT, "--json", "--seed", number)
        assert json.loads(ended.out)["run"] == f"runs/shapes-softmax-00{number}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "no file or folder nowhere"),
        (["digit"], "Did you mean digits?"),
        (["digits", "--net", "lenet6"], "There is no network named 'lenet6'. Did you mean lenet"),
        (["digits", "--recipe", "photograph"], "Did you mean photographs"),
        (["digits", "--set", "epoch=3"], "Did you mean epochs"),
        (["digits", "--set", "batch=0"], "expected batch of at least 1, received batch=0."),
        (["digits", "--net", "alexnet"], "alexnet takes images of 63x63 and larger"),
        (["digits", "--device", "cuda:77"], "received device='cuda:77'"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing_behind(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("train", *arguments)
    assert ended.code == 2 and sentence in ended.err
    assert ended.err.splitlines()[-1].startswith("striate: ") and ended.out == ""
    assert not list(tmp_path.iterdir())


def test_a_network_of_one_size_on_photographs(run: Run, tmp_path: Path) -> None:
    """The recipe for photographs grows its images, but not for a net that takes one size."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 255, (48, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    out = tmp_path / "my runs" / "first one"
    ended = run("train", tmp_path / "photos", "--net", "lenet", "--epochs", "1", "--out", out)
    assert ended.code == 0, ended.err
    assert "2 classes; lenet" in ended.err and "on random crops of 128 pixels" in ended.err
    assert f"striate evaluate '{out}'" in ended.out and f"striate replay '{out}' 1..1" in ended.out
    assert "on 3 images held out" in ended.out


def test_notes_on_other_data_are_said_once(
    trained: Any, folder: Path, run: Run, tmp_path: Path
) -> None:
    out, _, _ = trained
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "dark" / "readme.md").touch()
    ended = run("evaluate", out, other)
    assert ended.code == 0 and ended.err.count("1 file left out, 1 note: striate check") == 1
    assert ended.err.count("among those trained on") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_and_says_how_to_go_on(folder: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        [*STRIATE, "train", folder, *SHORT, "--out", out, "--epochs", "100000", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    history = out / "history.jsonl"
    deadline = time.monotonic() + 120
    while not (history.exists() and history.stat().st_size > 1000):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"striate train --resume {out}" in said and "Traceback" not in said
    document = json.loads(printed)
    assert document["state"] == "interrupted" and document["run"] == str(out)
    ended = run("evaluate", out, "--json")
    assert ended.code == 0, "an interrupted run can be used"
