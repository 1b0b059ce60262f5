"""The server as a process: overloaded, insulted, stopped and killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serve.conftest import Heard, Server, picture, request, say, until_ready, write_bundle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that takes some milliseconds for an image."""
    return write_bundle(tmp_path_factory.mktemp("slow"), "lenet", 96)


async def ask(port: int, message: bytes) -> tuple[str, float]:
    """Send one request on a connection of its own; return what came of it, and the seconds.

    `refused`: nobody let it in. `lost`: it was let in, and not answered.
    """
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "refused", time.monotonic() - began
    try:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
        return head.split()[1].decode(), time.monotonic() - began
    except (OSError, asyncio.IncompleteReadError):
        return "lost", time.monotonic() - began
    finally:
        writer.close()


async def capacity(port: int, message: bytes, seconds: float) -> float:
    """Return how many requests a second a server answers to clients that wait."""
    until, answered = time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal answered
        while time.monotonic() < until:
            answered += (await ask(port, message))[0] == "200"

    await asyncio.gather(*(client() for _ in range(12)))
    return answered / seconds


def overload(server: Server, seconds: float) -> None:
    """Send twice what the server can answer, and hold it to its promises."""
    message = request(body=picture(size=(90, 90)))
    codes: Counter[str] = Counter()
    peak = 0

    async def whole() -> float:
        nonlocal peak
        await capacity(server.port, message, 0.5)
        rate = 2 * await capacity(server.port, message, 1.5)
        running: set[asyncio.Task[tuple[str, float]]] = set()
        began, sent = time.monotonic(), 0
        while (now := time.monotonic() - began) < seconds:
            while sent < rate * now:
                task = asyncio.create_task(ask(server.port, message))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda done: codes.update([done.result()[0]]))
                sent += 1
            peak = max(peak, server.resident())
            await asyncio.sleep(0.005)
        ended = time.monotonic()
        while (await ask(server.port, message))[0] != "200":
            await asyncio.sleep(0.05)
        recovered = time.monotonic() - ended
        await asyncio.gather(*running)
        return recovered

    before = server.resident()
    recovered = asyncio.run(whole())
    assert set(codes) <= {"200", "503"}, codes
    assert codes["200"] > 0
    assert recovered < 2
    assert peak - before < 250 << 20
    assert server.process.poll() is None
    assert not [each for each in server.entries() if each["event"] == "bug"]


def test_twice_too_much_is_answered_or_sent_away(start: Start, slow_bundle: Path) -> None:
    overload(start(slow_bundle, "--max-wait", 0.2, "--quiet"), 4)


@pytest.mark.slow
def test_a_minute_of_twice_too_much(start: Start, slow_bundle: Path) -> None:
    overload(start(slow_bundle, "--max-wait", 0.2, "--quiet"), 60)


# -- insults ---------------------------------------------------------------------------------------


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that says it is large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = zlib.compress(bytes(1 << 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def mutated(dice: random.Random, content: bytes) -> bytes:
    """Return bytes with some changed, cut out, doubled or cut off."""
    found = bytearray(content)
    for _ in range(dice.randrange(1, 8)):
        if not found:
            break
        place = dice.randrange(len(found))
        kind = dice.randrange(4)
        if kind == 0:
            found[place] = dice.randrange(256)
        elif kind == 1:
            del found[place : place + dice.randrange(1, 50)]
        elif kind == 2:
            found[place:place] = found[place : place + dice.randrange(1, 50)]
        else:
            del found[place if dice.random() < 0.3 else -1 :]
    return bytes(found)


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n%s\r\n--b--\r\n"
)
JSON = b'{"images": [{"name": "a", "data": "iVBORw0KGgo="}, "aGFsbG8="], "top": 2}'
PATHS = (
    "/predict?top=x", "/predict?top=-1", "/predict?top=99999999999", "/predict/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd", "/predict%00", "/" + "a" * 3000, "//", "/?" + "&" * 500,
    "/predict?top=%ff", "/docs/x", "http://elsewhere/predict", "*", "/predict;x=1",
)  # fmt: skip


def insult(dice: random.Random, pictures: list[bytes]) -> bytes:
    """Return a request with something wrong in it."""
    good = dice.choice(pictures)
    kinds = {
        "image/png": good,
        "multipart/form-data; boundary=b": FORM % good,
        "application/json": JSON,
        "application/json; charset=utf-16": JSON.decode().encode("utf-16"),
        "multipart/form-data; boundary=" + "b" * dice.choice((1, 71, 5000)): FORM % good,
    }
    kind = dice.choice(list(kinds))
    choice = dice.randrange(10)
    if choice < 4:
        return request(body=mutated(dice, kinds[kind]), content_type=kind)
    if choice == 4:
        body = bomb(dice.choice((1, 9_000, 60_000, 0)), dice.choice((9_000, 70_000, 2**31 - 1)))
        return request(body=body)
    if choice == 5:
        return request(dice.choice(PATHS), good)
    if choice == 6:
        method = dice.choice(("GET", "PUT", "DELETE", "TRACE", "OPTIONS", "HEAD", "PATCH", "X"))
        return request(dice.choice(("/predict", "/metrics", "/health")), good, method)
    if choice == 7:  # not HTTP as it should be
        return mutated(dice, request(body=good[:300], content_type=kind))
    if choice == 8:
        head = b"POST /predict HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + dice.choice((b"zz\r\nxx\r\n0\r\n\r\n", b"5\r\nhallo\r\n0\r\n\r\n", b"-1\r\n"))
    wrong = dice.choice(("-1", "abc", "1e3", "99999999999999", "1", ""))
    return request(body=good, content_length=wrong)


def insulted(server: Server, count: int) -> None:
    """Send malformed requests, a few at a time, and hold the server to its promises."""
    pictures = [picture(0), picture(1, "jpeg"), picture(2, "gif"), picture(3, "bmp", (9, 9))]
    dice = random.Random(0)
    codes: Counter[int] = Counter()
    before = server.resident()

    async def client(messages: list[bytes]) -> None:
        for message in messages:
            codes[(await asyncio.to_thread(heard, server.port, message)).status] += 1

    messages = [insult(dice, pictures) for _ in range(count)]

    async def whole() -> None:
        await asyncio.gather(*(client(messages[place::8]) for place in range(8)))

    asyncio.run(whole())
    assert sum(codes.values()) == count
    assert not {code for code in codes if code >= 500 and code != 503}, codes
    assert codes[400] and codes[422] and codes[404] and codes[405] and codes[413], codes
    assert server.process.poll() is None
    answer = say(server.port, request(body=pictures[0]))
    assert answer.status == 200, answer
    assert server.resident() - before < 250 << 20
    entries = server.entries()
    assert not [each for each in entries if each["event"] == "bug"]
    assert "Traceback" not in server.log.read_text()
    assert len([each for each in entries if each["event"] == "request"]) > count / 3


def heard(port: int, message: bytes) -> Heard:
    """Send a message; a client that announced more than it sends hangs up soon."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as talk:
        with contextlib.suppress(OSError):
            talk.sendall(message)
        try:
            first = talk.recv(4096)
        except TimeoutError:
            talk.shutdown(socket.SHUT_RDWR)
            return Heard(0, {}, b"")
        except OSError:
            return Heard(0, {}, b"")
        return Heard(int(first.split()[1]) if first else 0, {}, first)


def test_nonsense_is_answered_with_sense_and_silence_with_an_end(
    start: Start, bundle: Path
) -> None:
    server = start(bundle, "--max-pixels", 10_000_000, "--timeout", 2)
    insulted(server, 500)
    silent(server)


@pytest.mark.slow
def test_ten_thousand_malformed_requests(start: Start, bundle: Path) -> None:
    insulted(start(bundle, "--max-pixels", 10_000_000), 10_000)


def silent(server: Server) -> None:
    """Begin a head that never ends: it does not hold a connection for ever."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as talk:
        talk.sendall(b"POST /predict HTTP/1.1\r\nhost: h\r\nx-slow: ")
        assert talk.recv(100) == b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as talk:
        talk.sendall(request("/health", method="GET"))
        answer = b""
        while b"alive" not in answer:
            answer += talk.recv(2000)
        talk.sendall(b"POST /predict HTTP/1.1\r\nhost: h\r\nx-slow: ")
        assert talk.recv(100) == b""


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stop_under_load_loses_nobody(start: Start, slow_bundle: Path, workers: int) -> None:
    server = start(slow_bundle, "--workers", workers, "--quiet")
    message = request(body=picture(size=(90, 90)))
    outcome: Counter[str] = Counter()

    async def fresh(until: float) -> None:
        """Ask on a new connection each time."""
        while time.monotonic() < until:
            came = (await ask(server.port, message))[0]
            outcome[came] += 1
            if came == "refused":
                return

    async def kept(until: float) -> None:
        """Ask on one connection, until its answers say that it ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while time.monotonic() < until:
            writer.write(message)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (OSError, asyncio.IncompleteReadError):
                outcome["lost"] += 1
                break
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            outcome[head.split()[1].decode()] += 1
            if b"connection: close" in head.lower():
                outcome["ended"] += 1
                break
        writer.close()

    async def whole() -> None:
        until = time.monotonic() + 20
        clients = [fresh(until) for _ in range(6)] + [kept(until) for _ in range(6)]
        running = asyncio.gather(*clients)
        while outcome["200"] <= 20 and time.monotonic() < until - 5:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        await running

    asyncio.run(whole())
    assert server.process.wait(20) == 0, server.log.read_text()
    assert not outcome["lost"], outcome
    assert outcome["200"] > 20 and outcome["ended"] == 6 and outcome["refused"], outcome
    with pytest.raises(OSError):
        say(server.port, request("/health", method="GET"))


@pytest.mark.parametrize("workers", [1, 2])
def test_its_address_is_said_once_it_can_answer(start: Start, bundle: Path, workers: int) -> None:
    server = start(bundle, "--workers", workers)
    assert say(server.port, request("/ready", method="GET")).status == 200
    first, second = server.entries()[:2]  # said before what takes long
    assert (first["event"], second["event"]) == ("starting", "making")
    assert first["run"] == str(bundle) and second["network"] == "lenet"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0, server.log.read_text()


def test_killed_and_started_again_it_is_ready_at_once(start: Start, bundle: Path) -> None:
    """Counted in processor time, which other work on this machine does not lengthen."""
    first = start(bundle)
    os.kill(first.process.pid, signal.SIGKILL)
    again = start(bundle, port=first.port)
    assert again.processor_seconds() < 5
    assert say(again.port, request(body=picture())).status == 200


def test_a_killed_worker_is_replaced_and_without_its_watcher_it_leaves(
    start: Start, bundle: Path
) -> None:
    server = start(bundle, "--workers", 2)

    def workers() -> list[int]:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        return [int(each) for each in children.read_text().split()]

    before = workers()
    assert len(before) == 2
    for _ in range(20):
        assert say(server.port, request(body=picture())).status == 200
    page = say(server.port, request("/metrics", method="GET")).body.decode()
    assert "striate_images_total 20\n" in page  # whichever process counted them
    os.kill(before[0], signal.SIGKILL)
    until = time.monotonic() + 30
    while len(set(workers()) - set(before)) == 0:
        assert time.monotonic() < until
        time.sleep(0.05)
    until_ready(server.port, server.process, server.log)
    assert any(each["event"] == "worker died" for each in server.entries())
    left = workers()
    server.process.kill()
    server.process.wait()
    while any(Path(f"/proc/{each}").exists() and "Z" not in state(each) for each in left):
        assert time.monotonic() < until + 30
        time.sleep(0.05)
    start(bundle, port=server.port)


def state(process: int) -> str:
    """Return a process' state, Z for one that is dead already."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
