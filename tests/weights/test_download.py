"""Downloading a published file: whole and what was published, or not there at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from striate import weights, zoo
from striate.errors import WeightsError
from striate.layers import build
from striate.weights import published


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("served") / "mine.th"
    net = build(zoo.network("resnet20"), seed=3)
    torch.save({f"module.{name}": value for name, value in net.state_dict().items()}, path)
    return path.read_bytes()


@pytest.fixture
def served(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server of that file, on this machine, and a published network that lies there."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/gone.th":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: 1000 if self.path == "/short.th" else None])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address, digest = f"http://127.0.0.1:{server.server_port}", hashlib.sha256(content).hexdigest()
    like = weights.entry("resnet20_cifar10")
    entries = {
        name: like.replace(name=name, file=f"{name}.th", url=f"{address}/{name}.th", sha256=sum_)
        for name, sum_ in (("mine", digest[:8]), ("other", "0" * 8), ("short", digest),
                           ("gone", digest))
    }  # fmt: skip
    monkeypatch.setattr(published, "_entries", lambda: entries)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    yield asked
    server.shutdown()
    server.server_close()


def kept(tmp_path: Path) -> list[Path]:
    return [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]


def test_downloaded_once(served: list[str], content: bytes, tmp_path: Path) -> None:
    opened = weights.open("mine")
    assert opened.path.read_bytes() == content
    assert opened.published is not None
    assert opened.load()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert weights.open("mine").path == opened.path
    assert served == ["/mine.th"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other", "is not what was published as other: expected the sha256 00000000, received"),
        ("short", "is not what was published as short|cannot be downloaded"),
        ("gone", r"cannot be downloaded \(Not Found\)|HTTP Error 404|\(.*404.*\)"),
    ],
)
def test_nothing_is_kept_of_what_is_wrong(
    served: list[str], tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        weights.open(name)
    assert kept(tmp_path) == []


def test_without_a_network(
    served: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = published._entries()["mine"].replace(url="http://127.0.0.1:1/mine.th")
    monkeypatch.setattr(published, "_entries", lambda: {"mine": here})
    with pytest.raises(WeightsError, match=r"cannot be downloaded .* Put the file at .*mine\.th"):
        weights.open("mine")
    target = tmp_path / "cache" / "striate" / "weights" / "mine.th"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not what was published as mine"):
        weights.open("mine")
