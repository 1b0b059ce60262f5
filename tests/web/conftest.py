"""A folder with a trained run, the page around it in this process, and a server of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import httpx

from striate import data, recipes, train
from striate.serve import door
from striate.web import Page, Shelf
from striate.web.viewing import server

SECRET = "what nobody may read"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, and beside them what no request may reach."""
    place = tmp_path_factory.mktemp("page")
    (place / "secret.txt").write_text(SECRET)
    (place / "secret.json").write_text(f'{{"name": "{SECRET}"}}')
    recipe = recipes.make("auto", data.open("digits"), settings=("epochs=3",))
    train.train(recipe, out=place / "runs" / "digits-001")
    shutil.copytree(place / "runs" / "digits-001", place / "runs" / "below" / "digits-002")
    return place


class Served(NamedTuple):
    """A server of a page, in a thread."""

    url: str
    page: Page


@contextmanager
def serving(page: Page) -> Iterator[Served]:
    """Serve a page on a real socket, and close it with all it started."""
    listening = door.bind("127.0.0.1", 0)
    running = server(page)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Served(door.url(listening), page)
    finally:
        running.should_exit = True
        page.close()
        thread.join(20)
        listening.close()


@pytest.fixture(scope="session")
def served(folder: Path) -> Iterator[Served]:
    """The page of the runs."""
    with serving(Page(Shelf([folder / "runs"]))) as found:
        yield found


@pytest.fixture(scope="session")
def page(served: Served) -> Page:
    """The page itself."""
    return served.page


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as made:
        yield made
