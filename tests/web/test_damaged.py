"""A run whose files are missing, cut or of another make: every answer says so in a sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import serving

from striate.web import Page, Shelf

FILES = ("run.json", "network.json", "contract.json", "recipe.json", "data.json", "history.jsonl",
         "results.json", "model.safetensors")  # fmt: skip
LOOKS = ("", "/network", "/findings", "/samples", "/sample?index=0", "/answer?image=test:0")


def _wrapped(content: bytes) -> bytes:
    try:
        document = json.loads(content)
    except ValueError:
        return content[1:]
    return json.dumps({key: {"a": [value]} for key, value in document.items()}).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "of another kind": lambda content: b"[1, 2]",
    "without its fields": lambda content: b'{"version": 1, "kind": "step", "test": null}\n',
    "wrapped": _wrapped,
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder that runs come and go in."""
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def asker(shelf: Path) -> Iterator[httpx.Client]:
    """A client of a page of that folder."""
    with (
        serving(Page(Shelf([shelf]))) as found,
        httpx.Client(base_url=found.url, timeout=60, trust_env=False) as client,
    ):
        yield client


def _copy(source: Path, to: Path) -> None:
    shutil.copytree(
        source, to, copy_function=os.link, ignore=shutil.ignore_patterns("checkpoints", "lock")
    )


@pytest.mark.parametrize("damage", [*DAMAGES, "missing", "a folder"])
@pytest.mark.parametrize("file", FILES)
def test_damage_is_said(
    asker: httpx.Client, folder: Path, shelf: Path, file: str, damage: str
) -> None:
    run = shelf / "run"
    _copy(folder / "runs" / "digits-001", run)
    content = (run / file).read_bytes()
    (run / file).unlink()
    if damage == "a folder":
        (run / file).mkdir()
    elif damage != "missing":
        (run / file).write_bytes(DAMAGES[damage](content))
    try:
        listed = asker.get("/api/runs")
        assert listed.status_code == 200
        assert "NaN" not in listed.text
        for look in LOOKS:
            answer = asker.get(f"/api/runs/run{look}")
            assert answer.status_code in (200, 404, 422), (look, answer.text)
            if answer.status_code != 200:
                assert answer.json()["error"]["message"].endswith(".")
    finally:
        shutil.rmtree(run)


def test_sound_runs_are_shown_beside_damaged_ones(
    asker: httpx.Client, folder: Path, shelf: Path
) -> None:
    for name in ("sound", "broken"):
        _copy(folder / "runs" / "digits-001", shelf / name)
    (shelf / "broken" / "results.json").unlink()
    (shelf / "broken" / "results.json").write_text('{"test": {"accuracy": "good"}}')
    found = {each["name"]: each for each in asker.get("/api/runs").json()}
    assert found["sound"]["state"] == "finished"
    assert found["broken"]["state"] == "unreadable"
    assert "damaged" in found["broken"]["error"]
    for name in ("sound", "broken"):
        shutil.rmtree(shelf / name)
