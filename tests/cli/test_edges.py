"""The ends of what may be asked: each answered with a sentence, by every command that meets it.

One class, two images, labels all equal, a loss that stands, a network without parameters, gradients
all zero, histories that are empty, cut or of two runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import runs, train

Run = Callable[..., Any]

DEAD = """
name: "dead"
input: "data"
input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "constant" value: 0 }
    bias_filler { type: "constant" value: -1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "ip1" type: "InnerProduct" bottom: "conv1" top: "ip1"
  inner_product_param { num_output: 3 bias_term: false
    weight_filler { type: "constant" value: 0 } } }
"""


def coloured(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Return images of three colours, and which: (count, 8, 8, 3) and (count,)."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = chance.integers(0, 120, (count, 8, 8, 3), dtype=np.uint8)
    images[np.arange(count), ..., labels] += 120
    return images, labels


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the odd data sets, taken for the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    images, labels = coloured(90)
    np.savez("colours.npz", images=images, labels=labels)
    np.savez("equal.npz", images=images[:20], labels=np.full(20, 2))
    np.savez("two.npz", images=images[:2], labels=[0, 1])
    np.savez("grey.npz", images=np.full((60, 8, 8, 3), 128, np.uint8), labels=np.arange(60) % 2)
    Path("dead.prototxt").write_text(DEAD)
    return tmp_path


def short(command: str) -> list[str]:
    return {
        "check": [],
        "train": ["--epochs", "2", "--out", "run"],
        "search": ["--trials", "2", "--epochs", "1", "--seeds", "0", "--fixed", "--out", "found"],
    }[command]


@pytest.mark.parametrize("command", ["check", "train", "search"])
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("equal.npz", "at least two classes to train on, received 1 in"),
        ("two.npz", "too few images to hold out a test part: 2 of 2 classes"),
    ],
)
def test_nothing_to_tell_apart_or_to_hold_out(
    run: Run, place: Path, command: str, data: str, sentence: str
) -> None:
    ended = run(command, data, *short(command))
    if command == "check":  # goes on, and says it in its report
        assert ended.code == 1 and "fail: training refused: " in ended.out
        assert sentence in ended.out
    else:
        assert ended.code == 2 and sentence in ended.err
    assert not (place / "run").exists() and not (place / "found").exists()


def test_one_class_has_data_to_look_at_all_the_same(run: Run, place: Path) -> None:
    ended = run("check", "equal.npz", "--only-data")
    assert ended.code == 1 and ended.out.startswith("equal: fail\n")
    assert "pass  uneven classes" in ended.out


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_network_without_parameters(run: Run, place: Path, command: str) -> None:
    ended = run(command, "colours.npz", "--net", "gap", *short(command))
    assert ended.code == 2
    assert "a network with parameters to train, notation has none: end it with" in ended.err
    assert not (place / "run").exists() and not (place / "found").exists()


def test_a_network_without_parameters_is_checked(run: Run, place: Path) -> None:
    ended = run("check", "colours.npz", "--net", "gap")
    assert ended.code == 1 and "the network has nothing to train" in ended.out


def test_gradients_all_zero_and_a_loss_that_stands(run: Run, place: Path) -> None:
    checked = run("check", "colours.npz", "--net", "dead.prototxt")
    assert checked.code == 1 and "nothing teaches conv1.weight" in checked.out
    trained = run(
        "train", "colours.npz", "--net", "dead.prototxt", *short("train"), "--set", "batch=8"
    )
    assert trained.code == 0 and "Doctor: dead rectifiers" in trained.err
    losses = {round(line["loss"], 6) for line in runs.open("run").history("step")}
    assert losses == {1.098612}
    tried = run("doctor", "run", "--experiment", "--steps", 2)
    assert tried.code == 1 and "see to features alike first" in tried.out
    assert "No experiment: no remedy here is a setting" in tried.out


def test_images_all_alike(run: Run, place: Path) -> None:
    checked = run("check", "grey.npz", "--net", "FC-2")
    assert checked.code == 1 and "all pixels have one value" in checked.out
    assert run("train", "grey.npz", "--net", "FC-2", *short("train"), "--no-check").code == 0
    assert "validation leak" in run("doctor", "run").out
    found = run("search", "grey.npz", "--net", "FC-2", *short("search"))
    assert found.code == 0 and "No run did better than guessing" in found.out


@pytest.mark.parametrize("command", ["check", "train", "search"])
def test_a_network_written_for_other_classes(
    run: Run, place: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "written for 12 classes (fc1); it is given 3, as many as the data has."
    ended = run(command, "colours.npz", "--net", "FC-12", *short(command))
    assert ended.err.count(sentence) == 1
    (place / "aside").mkdir()
    monkeypatch.chdir(place / "aside")
    ended = run(command, "../colours.npz", "--net", "FC-3", *short(command))
    assert ended.code != 2 and sentence not in ended.err
    if command == "search":
        ended = run(
            command, "../colours.npz", "--space", "net=FC-12,FC-3", *short(command), "--out", "two"
        )
        assert ended.code == 0 and ended.err.count(f"FC-12: The network was {sentence}") == 1
    designed = run("design", "input 8x8x3 FC-12", "--classes", 3)
    assert "written for 12 classes, given 3" in designed.out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that learns too slowly."""
    from tests.doctor.test_diagnose import recipe

    path = tmp_path_factory.mktemp("runs") / "run"
    train.train(recipe(optimiser=train.SGD(rate=1e-6)), out=path, plan="default")
    return path


JUNK = (
    '1\n{"kind": "step"}\n{"kind": "validation", "step": 1}\n{"probe": "layers", "step": 1}\n{"ki'
)
HISTORIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda whole: b"", "Nothing can be said (finished)"),
    "junk": (lambda whole: JUNK.encode(), "Nothing can be said (finished)"),
    "cut": (lambda whole: whole[: len(whole) // 2], "rate too low"),
    "cut and zeroed": (lambda whole: whole[:-40] + bytes(40), "rate too low"),
    "of two runs": (lambda whole: whole + whole, "rate too low"),
}


@pytest.mark.parametrize("what", HISTORIES)
def test_histories(run: Run, finished: Path, tmp_path: Path, what: str) -> None:
    spoil, sentence = HISTORIES[what]
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    history = path / "history.jsonl"
    history.write_bytes(spoil(history.read_bytes()))
    assert sentence in run("doctor", path).out
    again = run("train", "--resume", path)
    assert again.code == 0 and "test accuracy" in again.out
    replayed = run("replay", path, "1..2")
    assert replayed.code == (2 if sentence.startswith("Nothing") else 0)
    (path / "history.jsonl").unlink()
    assert "(finished): the history holds no step." in run("doctor", path).out


def test_a_folder_of_runs_and_a_folder_taken(run: Run, finished: Path) -> None:
    ended = run("doctor", finished.parent)
    assert ended.code == 2 and "it has no run.json" in ended.err
    ended = run("train", "digits", "--net", "FC-10", "--epochs", 1, "--out", finished)
    assert ended.code == 2 and "is already a run; choose another --out" in ended.err
