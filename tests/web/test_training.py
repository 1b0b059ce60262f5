"""A training that the page started: watched by several, paused, gone on with at another rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.conftest import Served

from striate import runs


def until(said: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := said():
            return found
        time.sleep(0.1)
    pytest.fail("it did not happen in time")


def test_the_life_of_a_small_run(served: Served, client: httpx.Client, folder: Path) -> None:
    started = client.post("/api/training", json={"data": "digits", "epochs": 300, "batch": 64})
    assert started.status_code == 200, started.text
    assert client.post("/api/training", json={"data": "digits"}).status_code == 409

    def running() -> str | None:
        told = client.get("/api/training").json()
        assert told["error"] is None, told["error"]
        return told["run"]

    name = until(running)
    address = f"/api/runs/{name}"
    path = folder / "runs" / name
    until((path / "figures" / "live.safetensors").exists)
    sheet = client.get(f"{address}/network").json()
    layer = next(row["name"] for row in sheet["layers"] if row["filters"])
    first = client.get(f"{address}/filters", params={"layer": layer}).json()["atlas"]["png"]

    # clients are served while it trains, and it trains while they are
    begun, statuses = len(runs.open(path).history("step")), list[int]()

    def look(at: int) -> None:
        with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as own:
            for turn in range(3):
                query = {"layer": layer, "image": f"test:{at * 3 + turn}"}
                statuses.append(own.get(f"{address}/activations", params=query).status_code)

    clients = [threading.Thread(target=look, args=(at,)) for at in range(6)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert statuses == [200] * 18
    until(lambda: len(runs.open(path).history("step")) > begun)
    until(
        lambda: (
            client.get(f"{address}/filters", params={"layer": layer}).json()["atlas"]["png"]
            != first
        )
    )

    client.post("/api/training/pause")
    until(lambda: runs.open(path).state == "interrupted")
    until(lambda: not client.get("/api/training").json()["busy"])
    paused = runs.open(path)
    done = paused.checkpoints()[-1][0]

    went_on = client.post(f"{address}/resume", json={"rate": 0.005})
    assert went_on.status_code == 200, went_on.text
    other = until(lambda: (found := running()) and found != name and found)
    child = folder / "runs" / other
    until(lambda: len(runs.open(child).history("step")) > done)
    forked = runs.open(child)
    assert forked.info.parent == name
    assert forked.recipe_document()["optimiser"]["rate"] == 0.005
    assert forked.history("step")[: done - 1] == paused.history("step")[: done - 1]
    client.post("/api/training/pause")
    until(lambda: not client.get("/api/training").json()["busy"])


@pytest.mark.parametrize(
    ("body", "said"),
    [({"data": "/etc"}, "data sets offered"), ({"network": "../secret.json"}, "expected"),
     ({"epochs": 0}, "epochs of 1 to 1000"), ({"epochs": 1.5}, "epochs of"),
     ({"rate": "fast"}, "rate of"), ({"data": 3}, "as text")],
)  # fmt: skip
def test_what_cannot_be_trained_is_said(client: httpx.Client, body: Any, said: str) -> None:
    answer = client.post("/api/training", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
