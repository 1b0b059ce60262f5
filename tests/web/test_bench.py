"""Work that nobody waits for ends; what is asked at once does not wait for what takes long."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from striate import explain
from striate.web import Page, bench
from striate.web.bench import Cancelled, Job


def test_a_job_given_up_ends_at_the_next_layer(page: Page) -> None:
    opened = page.shelf.open("digits-001")
    job, ended = Job(), threading.Event()

    def work() -> None:
        goal = explain.class_goal(opened.net("slow"), 3)
        try:
            explain.visualise(opened.net("slow"), opened.contract, goal, steps=100_000)
        finally:
            ended.set()

    caught: list[BaseException] = []

    def run() -> None:
        try:
            job.run(work)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    assert not ended.is_set()
    job.given_up.set()
    thread.join(10)
    assert isinstance(caught[0], Cancelled)


def test_outside_a_job_nothing_is_given_up(page: Page) -> None:
    bench.check()
    opened = page.shelf.open("digits-001")
    opened.net("slow")(opened.sample("test", 0)[None])


def test_a_job_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_LONGEST", -1.0)
    with pytest.raises(Exception, match="was given up"):
        Job().run(lambda: None)


def test_whoever_leaves_is_not_computed_for(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate.web import inside

    monkeypatch.setattr(inside, "_STEPS", 1_000_000_000)
    layer = client.get("/api/runs/digits-001/network").json()["layers"][0]["name"]
    query = {"layer": layer, "channel": 0}
    with pytest.raises(httpx.ReadTimeout):
        client.get("/api/runs/digits-001/wish", params=query, timeout=0.7)
    monkeypatch.setattr(inside, "_STEPS", 2)  # the thread is free again
    answer = client.get("/api/runs/digits-001/wish", params={**query, "channel": 1})
    assert answer.status_code == 200


def test_what_is_wanted_at_once_does_not_wait(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate.web import inside

    begun, end = threading.Event(), threading.Event()

    def endless(*given: object) -> dict[str, str]:
        begun.set()
        end.wait(60)
        return {}

    endless.__name__ = "endless"
    monkeypatch.setattr(inside, "wish", endless)
    query = {"layer": "any", "channel": 6}
    busy = threading.Thread(
        target=client.get, args=("/api/runs/digits-001/wish",), kwargs={"params": query}
    )
    busy.start()
    assert begun.wait(60)
    answer = client.get("/api/runs/digits-001/answer", params={"image": "test:2"})
    assert answer.status_code == 200
    assert not end.is_set()
    assert busy.is_alive()
    end.set()
    busy.join()
