"""Downloading a published file: whole and what was published, or not there at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("place", ["cache", "own"])
def test_what_has_no_address_says_how_it_is_made_and_what_is_there_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "own") if place == "own" else "")
    name = "mobilenet_v1_025_keras"
    assert weights.whereabouts(name) == "by hand"
    assert weights.whereabouts("resnet18_torchvision") == "downloadable"
    with pytest.raises(WeightsError) as caught:
        weights.find(name)
    said = str(caught.value)
    folder = tmp_path / "cache" / "striate" / "weights"
    first = f"{tmp_path / 'own' / 'weights'} or {folder}" if place == "own" else f"{folder}"
    assert f"Put mobilenet_v1_025_224_tfjs.tar into {first}" in said
    assert "resnet18_torchvision can be downloaded in its place" in said
    assert "model.json and the 55 shards" in said and "--mtime=@0 -cf mobilenet" in said
    folder.mkdir(parents=True)
    (folder / "mobilenet_v1_025_224_tfjs.tar").write_bytes(b"another")
    assert weights.whereabouts(name) == "on this machine"
    with pytest.raises(WeightsError, match="is not what was published as mobilenet_v1_025_keras"):
        weights.find(name)


def test_what_cannot_be_downloaded_says_how_it_is_made() -> None:
    for one in map(weights.entry, weights.names()):
        assert bool(one.by_hand) != bool(one.url), one.name


def test_the_tar_is_made_as_its_entry_says(tmp_path: Path) -> None:
    """GNU tar writes those bytes from the unpacked files, whoever owns them now."""
    one = weights.entry("mobilenet_v1_025_keras")
    if weights.whereabouts(one.name) != "on this machine" or shutil.which("tar") is None:
        pytest.skip("needs the file, and tar")
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(weights.find(one.name)), "-C", str(folder)], check=True)
    command = one.by_hand[one.by_hand.index("tar --sort") :].split()
    subprocess.run(command, check=True, cwd=tmp_path)
    one.check(tmp_path / one.file)


def test_a_transfer_says_so_before_torch_is_loaded(tmp_path: Path) -> None:
    asked = """
import sys
from striate.cli.main import main
try:
    main(["transfer", "digits", "--from", "mobilenet_v1_025_keras"])
except SystemExit as ended:
    assert ended.code == 2 and "torch" not in sys.modules
"""
    nothing = {"XDG_CACHE_HOME": str(tmp_path), "STRIATE_DATA": ""}
    told = subprocess.run(
        [sys.executable, "-c", asked], env=os.environ | nothing, capture_output=True, text=True
    )
    assert not told.returncode, told.stderr
    assert "mobilenet_v1_025_keras is not on this machine" in told.stderr
