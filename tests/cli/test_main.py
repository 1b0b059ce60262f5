"""The command as a process sees it: exit codes, one sentence, one document, no torch for help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate.cli import output
from striate.cli.main import main
from striate.errors import DataError

COMMANDS = ("design", "train", "evaluate", "predict", "replay", "models", "env")


Run = Callable[..., Any]


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["train", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    found = process("-X", "importtime", "-m", "striate", *arguments)
    assert found.returncode == 0, found.stderr
    loaded = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    heavy = {"torch", "numpy", "numba", "rich", "PIL", "msgspec"} & loaded
    assert not heavy


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.code == 0
    assert all(f"  {name} " in shown.out for name in COMMANDS)
    assert "...\n" not in shown.out.partition("Commands:")[2], "a one-line description is cut"


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_data_set_is_not_the_digits(run: Run, empty: str) -> None:
    ended = run("train", empty)
    assert ended.code == 2
    assert ended.err == (
        "striate: Expected the name or path of a data set, received an empty text.\n"
    )


def test_design_of_anything_on_paper_loads_no_torch() -> None:
    code = (
        "import sys; from striate.cli.main import main\n"
        "try: main(['design', 'resnet50'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    found = process("-c", code)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train', 'transfer'?"),
        (["train", "--recipee", "x"], "No such option: --recipee"),
        (["evaluate"], "Missing argument 'RUN'"),
        (["design", "resnet19"], "There is no network named 'resnet19'. Did you mean resnet"),
        (["design", "lenet", "--input", "3xx"], "Expected --input as CxHxW"),
        (["design", "lenet(depth=3)"], "There is no knob of lenet named 'depth'"),
        (["models", "alexnat"], "No network has 'alexnat' in its name or summary. Did you mean al"),
        (["models", "zzzz"], "has 'zzzz' in its name or summary. `striate models` lists all."),
        (["train", "nowhere", "--size", "8x8x8"], "Expected --size as HxW or one side"),
        (["train", "nowhere", "--set", "network=lenet"], "say --net lenet"),
        (["train", "nowhere", "--set", "lr=1"], "Did you mean optimiser.rate?"),
        (["train", "nowhere", "--recipe", "tiny"], "Did you mean tiny_images?"),
        (["train", "nowhere", "--net", "alexnat"], "Did you mean alexnet?"),
        (["train", "nowhere", "--device", "abacus"], "received device='abacus'"),
        (
            ["train", "--resume", "x", "--device", "cpu", "--strict"],
            "leave out --strict, --device.",
        ),
        (["evaluate", "nowhere"], "There is no run folder nowhere."),
        (["predict", "nowhere", "x.png"], "There is no run folder nowhere."),
        (["predict", "resnet18", "x.png"], "Did you mean resnet18_torchvision?"),
        (["replay", "nowhere", "1-3"], "Expected steps as A..B"),
        (["replay", "nowhere", "1..3"], "There is no run folder nowhere."),
        (["train", "--resume", "nowhere"], "There is no run folder nowhere."),
        (["train", "digits", "--resume", "x", "--seed", "1"], "leave out DATA, --seed."),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(run: Run, arguments: list[str], sentence: str) -> None:
    ended = run(*arguments)
    assert ended.code == output.UNUSABLE
    assert ended.out == ""
    assert ended.err.startswith("striate: ") and ended.err.count("\n") == 1
    assert sentence in ended.err


def test_under_json_an_error_is_the_one_document(run: Run) -> None:
    ended = run("evaluate", "nowhere", "--json")
    assert ended.code == output.UNUSABLE
    message = "There is no run folder nowhere."
    assert json.loads(ended.out) == {"error": {"kind": "RunError", "message": message}}
    both = run("predict", "x", "y", "--csv", "--json")
    assert "Expected --csv or --json, received both" in json.loads(both.out)["error"]["message"]
    early = run("--json", "models")
    assert "say it after: striate models --json" in json.loads(early.out)["error"]["message"]
    usage = run("evaluate", "--json")
    assert "Missing argument" in json.loads(usage.out)["error"]["message"]


def test_version_and_help_under_json(run: Run) -> None:
    for order in (["--version", "--json"], ["--json", "--version"]):
        ended = run(*order)
        assert ended.code == 0 and list(json.loads(ended.out)) == ["version"]
    for order in (["--help", "--json"], ["--json", "-h"], ["train", "--json", "--help"], []):
        ended = run(*order)
        assert ended.code == 0 and ended.out.startswith("Usage: striate") and ended.err == ""


def test_what_can_be_known_is_checked_before_the_data_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate import data

    monkeypatch.setattr(data, "open", lambda *_, **__: pytest.fail("the data was read"))
    (tmp_path / "notes.txt").touch()
    ended = run("train", "digits", "--out", tmp_path)
    assert ended.code == 2 and "is already there and is no run folder" in ended.err


def test_no_traceback_reaches_the_user() -> None:
    found = process("-m", "striate", "design", "nothing_like_it")
    assert found.returncode == 2
    assert "Traceback" not in found.stderr and found.stderr.count("\n") == 1


def test_what_is_not_the_users_fault_keeps_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate import zoo

    def broken() -> tuple[str, ...]:
        raise ZeroDivisionError

    monkeypatch.setattr(zoo, "names", broken)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DataError("No images."), 2, "No images."),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: Permission denied."),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 2, "memory is full"),
        (KeyboardInterrupt(), 130, "interrupted."),
    ],
)
def test_errors_and_exit_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    from striate import zoo

    def broken() -> tuple[str, ...]:
        raise error

    monkeypatch.setattr(zoo, "names", broken)
    ended = run("models")
    assert ended.code == code and sentence in ended.err


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m striate models | head -1"
    found = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert "name" in found.stdout and found.stderr == ""


def test_models_are_a_table_and_a_document(run: Run) -> None:
    text = run("models", "resnet")
    assert text.code == 0 and "269,722" in text.out and "lenet" not in text.out
    document = json.loads(run("models", "resnet20", "--json").out)
    row = next(row for row in document["models"] if row["name"] == "resnet20")
    assert row["parameters"] == 269_722 and row["macs"] == 40_551_040
    assert row["input"] == [3, 32, 32]


def test_design_is_a_table_and_a_document(run: Run, tmp_path: Path) -> None:
    text = run("design", "lenet")
    assert text.code == 0 and "61,706" in text.out
    ended = run("design", "lenet", "--classes", "7", "--input", "1x28x28", "--json")
    document = json.loads(ended.out)
    assert document["totals"]["parameters"] == 61_706 - 3 * 85
    assert document["layers"][-1]["output"] == [7]


@pytest.mark.parametrize(
    ("given", "shape"), [("40", [1, 40, 40]), ("40x48", [1, 40, 48]), ("3,40,48", [3, 40, 48])]
)
def test_design_of_another_input_keeps_the_networks_channels(
    run: Run, given: str, shape: list[int]
) -> None:
    document = json.loads(run("design", "lenet", "--input", given, "--json").out)
    assert document["input"] == shape
    small = run("design", "lenet", "--input", "8x8")
    assert small.code == 2 and "<- received 6x4x4" in small.err
    sentence = (
        "striate: lenet takes images of 12x12 and larger, received 8x8: conv2: its 5x5 window "
    )
    assert small.err.splitlines()[-1].startswith(sentence)


def test_env_names_versions_and_exits_with_its_verdict(run: Run) -> None:
    ended = run("env", "--json")
    document = json.loads(ended.out)
    assert document["packages"]["torch"] and document["machine"]["threads"] >= 1
    assert ended.code == (1 if document["verdict"] == "fail" else 0)
    assert "threads" in run("env").out
