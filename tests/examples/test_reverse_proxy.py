"""`striate serve` behind a reverse proxy, configured as examples/reverse_proxy.py writes it.

The proxy is nginx where there is one; elsewhere a small one that does what the file says.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.serve.conftest import bundle as bundle
from tests.serve.conftest import picture

httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")

SCRIPT = Path(__file__).parents[2] / "examples" / "reverse_proxy.py"


class Behind(NamedTuple):
    """A server, the address of the proxy before it, and the server's log."""

    direct: str
    public: str
    log: Path


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def behind(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder, port, public = tmp_path_factory.mktemp("proxy"), free(), free()
    command = [sys.executable, str(SCRIPT), str(bundle), "--port", str(port)]
    with (folder / "log").open("wb") as log, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [*command, "--public", str(public)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        assert process.stdout is not None
        stack.callback(process.stdout.close)
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, signal.SIGTERM)
        said = iter(process.stdout.readline, "")
        configuration = next(
            Path(found[1]) for line in said if (found := re.search(r"nginx -c (\S+)", line))
        )
        address = next(found[0] for line in said if (found := re.search(r"http://\S+", line)))
        stack.enter_context(_proxy(configuration, port, public))
        yield Behind(f"http://127.0.0.1:{port}", address.removesuffix("/predict"), folder / "log")


@contextlib.contextmanager
def _proxy(configuration: Path, port: int, public: int) -> Iterator[None]:
    if nginx := shutil.which("nginx"):
        process = subprocess.Popen([nginx, "-c", str(configuration), "-g", "daemon off;"])
        try:
            _until_open(public)
            yield
        finally:
            process.terminate()
            process.wait()
        return
    text = configuration.read_text()
    most = 1024**2 * int(re.search(r"client_max_body_size (\d+)m", text)[1])  # type: ignore[index]
    prefix = re.search(r"location (\S+)/ {\s+proxy_pass http://striate/;", text)[1]  # type: ignore[index]
    server = uvicorn.Server(
        uvicorn.Config(
            _application(f"http://127.0.0.1:{port}", prefix, most),
            port=public,
            log_level="error",
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        _until_open(public)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _application(upstream: str, prefix: str, most: int):  # type: ignore[no-untyped-def]
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def forward(request: Request) -> Response:
        body, path = await request.body(), request.url.path.removeprefix(prefix)
        if len(body) > most or path == "/metrics":
            return Response("refused by the proxy", 413 if len(body) > most else 403)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "connection", "x-request-id")
        }
        client = headers.pop("x-forwarded-for", "")
        headers["x-forwarded-for"] = ", ".join(filter(None, [client, "127.0.0.1"]))
        headers["x-request-id"] = secrets.token_hex(16)
        async with httpx.AsyncClient(timeout=35) as client_:
            answer = await client_.request(
                request.method,
                f"{upstream}{path}?{request.url.query}",
                headers=headers,
                content=body,
            )
        kept = {k: v for k, v in answer.headers.items() if k not in ("connection", "date")}
        return Response(answer.content, answer.status_code, kept)

    return Starlette(routes=[Route(f"{prefix}/{{rest:path}}", forward, methods=["GET", "POST"])])


def _until_open(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


def test_the_same_labels_through_the_proxy(behind: Behind) -> None:
    image = picture()
    through, direct = (
        httpx.post(f"{address}/predict?top=2", content=image).json()["predictions"]
        for address in (behind.public, behind.direct)
    )
    assert through == direct and len(through[0]["top"]) == 2
    form = httpx.post(f"{behind.public}/predict", files={"image": ("a.png", image)}).json()
    assert form["predictions"][0]["label"] == direct[0]["label"]


def test_health_checks_pass_and_figures_stay_inside(behind: Behind) -> None:
    assert httpx.get(f"{behind.public}/health").json() == {"status": "alive"}
    assert httpx.get(f"{behind.public}/ready").json()["status"] == "ready"
    assert httpx.get(f"{behind.public}/metrics").status_code == 403
    assert httpx.get(f"{behind.direct}/metrics").status_code == 200


def test_the_page_works_under_a_prefix(behind: Behind) -> None:
    page = httpx.get(f"{behind.public}/docs").text
    assert not re.search(r"""(href|src|action)=["']?/|fetch\(["']/""", page)
    assert httpx.get(f"{behind.public}/openapi.json").json().get("servers") is None
    assert "fetch('predict'" in page  # from PREFIX/docs that is PREFIX/predict


def noted(log: Path, name: str) -> dict[str, Any]:
    """Return what the log says of a request; it is written once the answer is out."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        found = [line for line in lines if line.get("id") == name]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{name} is not in the log")


def test_request_ids_tie_the_logs_and_nobody_lies_about_who_asks(behind: Behind) -> None:
    answer = httpx.post(
        f"{behind.public}/predict",
        content=picture(1),
        headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"},
    )
    name = answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", name)
    entry = noted(behind.log, name)
    assert entry["client"] == "127.0.0.1" and entry["status"] == 200 and entry["path"] == "/predict"


def test_too_much_is_refused_by_the_server_in_its_own_words(behind: Behind) -> None:
    answer = httpx.post(f"{behind.public}/predict", content=bytes(16_900_000), timeout=30)
    assert answer.status_code == 413
    assert answer.json()["error"]["status"] == 413
    assert httpx.post(f"{behind.public}/predict", content=picture()).status_code == 200
