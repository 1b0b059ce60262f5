"""The page opens, lists runs and draws networks before torch is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from striate import runs
from striate.web import Shelf, telling

PROGRAM = """
import asyncio, sys
sys.modules["torch"] = None  # whoever imports it fails
import httpx
from striate.web import Page, Shelf

async def look():
    page = Page(Shelf([sys.argv[1]]))
    served = httpx.ASGITransport(page.app)
    async with httpx.AsyncClient(transport=served, base_url="http://localhost") as client:
        for path in ("/", "/api/runs", "/api/runs/digits-001", "/api/runs/digits-001/network"):
            assert (await client.get(path)).status_code == 200, path
        typed = await client.post("/api/design", json={"text": "resnet18"})
        assert "network" in typed.json()
    page.close()

asyncio.run(look())
"""


def test_the_page_opens_without_torch(folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_line_is_told_anew_when_its_run_has_changed(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs" / "digits-001", tmp_path / "one")
    shelf = Shelf([tmp_path])
    (before,) = telling.everyone(shelf)
    assert telling.everyone(shelf)[0] is before
    run = runs.open(tmp_path / "one")
    run.append({"kind": "validation", "step": 10_000, "epoch": 9, "loss": 0.1, "accuracy": 1.0})
    run.sync()
    (after,) = telling.everyone(shelf)
    assert after["curve"] == [*before["curve"], 1.0]
    assert after["validation"] == 1.0
    run.set_state("running")
    with run.lock():
        assert telling.everyone(shelf)[0]["state"] == "running"
    assert telling.everyone(shelf)[0]["state"] == "crashed"
