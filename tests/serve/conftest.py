"""Servers: in this process, and as the command starts them; and a client without politeness."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from striate import export, zoo
from striate.contract import Class, Contract, Resize
from striate.layers import build
from striate.weights import Weights

CLASSES = ("ant", "bee", "cat", "dog")


def write_bundle(folder: Path, net: str = "lenet", size: int = 28) -> Path:
    """Export a network with random weights."""
    channels = "grey" if net == "lenet" else "rgb"
    shape = (1 if net == "lenet" else 3, size, size)
    built = build(zoo.network(net, classes=len(CLASSES)).with_input(shape), seed=0).eval()
    count = 1 if channels == "grey" else 3
    contract = Contract(
        classes=tuple(Class(id=each, label=each.title()) for each in CLASSES),
        channels=channels,
        size=(size, size),
        resize=Resize(rule="short_side", size=(size + 4, size + 4)),
        crop="centre",
        mean=(0.5,) * count,
        std=(0.25,) * count,
    )
    weights = Weights(folder / "none", built.network, built.state_dict(), contract)
    export.export(weights, to="safetensors", out=folder / "bundle")
    return folder / "bundle"


def picture(seed: int = 0, kind: str = "png", size: tuple[int, int] = (50, 40)) -> bytes:
    """Return an image file's bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet with random weights."""
    return write_bundle(tmp_path_factory.mktemp("served"))


class Server(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    seconds: float

    def entries(self) -> list[dict[str, Any]]:
        """Return the log; every line of it has to be a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def resident(self) -> int:
        """Return the process' memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096

    def processor_seconds(self) -> float:
        """Return the processor time it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Heard(NamedTuple):
    """An answer: its status, 0 where the connection closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def say(port: int, message: bytes, timeout: float = 20.0) -> Heard:
    """Send bytes over a connection of their own, and read one answer.

    Raises:
        OSError: the connection is refused, or reset before an answer.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as talk:
        with contextlib.suppress(BrokenPipeError):
            talk.sendall(message)
        file = talk.makefile("rb")
        first = file.readline()
        if not first:
            return Heard(0, {}, b"")
        headers = {}
        while (line := file.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", "0")))
        return Heard(int(first.split()[1]), headers, body)


def request(
    path: str = "/predict", body: bytes = b"", method: str = "POST", **headers: str
) -> bytes:
    """Return a request's bytes."""
    said = {"host": "localhost", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers predictions."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            if say(port, request("/ready", method="GET")).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"not ready: {log.read_text()}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `striate serve`, and end it with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(bundle: Path, *options: object, port: int = 0) -> Server:
        log = tmp_path / f"log-{len(running)}"
        began = time.monotonic()
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "striate", "serve", str(bundle), "--port", str(port)]
                + ["--json", *map(str, options)],
                stdout=subprocess.PIPE,
                stderr=file,
            )
        running.append(process)
        if process.stdout is None:
            raise RuntimeError
        line = process.stdout.readline()
        assert line, log.read_text()
        port = int(json.loads(line)["url"].rpartition(":")[2])
        return Server(process, port, log, time.monotonic() - began)

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
