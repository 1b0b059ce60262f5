"""Malformed requests: no 5xx, no traceback, nothing of other files, and bounded memory."""

from __future__ import annotations

import http.client
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.web.conftest import SECRET, Served

_RUNS = ("digits-001", "below~digits-002", "..", "../secret.txt", "%2e%2e", "nothing", "\0", "é")
_ENDS = (
    "", "/events", "/findings", "/network", "/samples", "/sample", "/filters", "/gabor",
    "/activations", "/fields", "/patches", "/wish", "/answer", "/map", "/validity", "/attack",
    "/methods", "/resume", "/../../secret.txt", "/..%2f..%2fsecret.txt", "/none",
)  # fmt: skip
_PLACES = (
    "/", "/static/main.js", "/static/../app.py", "/static/..%2f..%2fapp.py", "//etc/passwd",
    "/static/%00", "/api/training", "/api/pictures", "/api/design",
    "/api/training/pause", "/%2e%2e/%2e%2e/etc/passwd", "/api/runs",
)  # fmt: skip
_KEYS = ("layer", "channel", "image", "method", "class", "kind", "eps", "part", "index", "id",
         "first", "count", "text", "token")  # fmt: skip
_VALUES = (
    "test:0", "test:-1", "test:999999999", "train:x", "dropped:" + "0" * 24, "dropped:../secret",
    "stage1", "../secret.txt", "0", "-1", "1e999", "nan", "inf", "99999999999999999999", "", "\0",
    "saliency", "fgsm", "0.1", "test", "validation", "é\u202e", "a" * 3000, "٣",
)  # fmt: skip


def _query() -> st.SearchStrategy[str]:
    from urllib.parse import quote

    value = st.one_of(st.sampled_from(_VALUES), st.text(max_size=20))
    pair = st.tuples(st.sampled_from(_KEYS), value)
    pairs = st.lists(pair, max_size=5)
    return pairs.map(lambda all_: "&".join(f"{k}={quote(v, safe='')}" for k, v in all_))


def _paths() -> st.SearchStrategy[str]:
    from urllib.parse import quote

    odd = st.text(max_size=30).map(lambda text: "/" + quote(text, safe="/.%"))
    of_runs = st.tuples(st.sampled_from(_RUNS), st.sampled_from(_ENDS)).map(
        lambda pair: f"/api/runs/{quote(pair[0], safe='%.~')}{pair[1]}"
    )
    return st.one_of(of_runs, st.sampled_from(_PLACES), odd)


def _bomb(side: int) -> bytes:
    """Return a PNG of a few bytes that unpacks to side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"\0" * 100_000)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 10, 90)).save(file, "png")
    return file.getvalue()


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from((*_KEYS, "input", "classes", "rate")), inner, max_size=4)
    ),
    max_leaves=8,
)


def _bodies() -> st.SearchStrategy[bytes]:
    cut = st.integers(0, 60).map(lambda at: _picture()[:at])
    odd = st.sampled_from(
        (b"", b"{", b"[" * 50_000, b"null", b"\xff\xfe", _bomb(60_000), _bomb(7000), b"GIF89a",
         b'{"text": ' + b'"a' * 10, b"BM" + b"\xff" * 40, b"x" * 200_000)
    )  # fmt: skip
    nets = st.sampled_from(
        ("[" * 200, "(conv)*99999999", "resnet18(blocks=1e9)", "conv3-99999999", "FC-" + "9" * 40,
         "input 1x1x1 maxpool", "conv\0", "lenet(x=__import__('os'))", "conv3-64 " * 300)
    ).map(lambda text: json.dumps({"text": text}).encode())  # fmt: skip
    return st.one_of(
        _JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=200), cut, odd, nets
    )


def _resident() -> int:
    """Return the bytes of memory that this process, with the server in it, holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _malformed(served: Served, examples: int) -> None:
    place = served.url.removeprefix("http://")
    asked = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")),
        _paths(), _query(), _bodies(),
    )  # fmt: skip
    def one(method: str, path: str, query: str, body: bytes) -> None:
        nonlocal asked
        if path == "/api/training" and method == "POST":
            method = "PUT"  # what is well formed by chance would train
        asked += 1
        client = http.client.HTTPConnection(place, timeout=60)
        try:
            client.request(
                method, f"{path}?{query}" if query else path, body if method != "GET" else None
            )
            answer = client.getresponse()
            streamed = answer.headers.get_content_type() == "text/event-stream"
            content = answer.read(400 if streamed else None)
        except (http.client.InvalidURL, UnicodeEncodeError):
            return  # a client of ours does not send it
        finally:
            client.close()
        assert answer.status < 500 or answer.status == 503, (method, path, query, body[:200])
        assert b"Traceback" not in content
        assert SECRET.encode() not in content
        assert b"root:x" not in content

    one()
    assert asked >= 0.9 * examples


@pytest.fixture(scope="module")
def warm(served: Served) -> Served:
    """The server after it has opened what it opens."""
    _malformed(served, 60)
    return served


def test_two_hundred_malformed_requests(warm: Served) -> None:
    before = _resident()
    _malformed(warm, 200)
    assert _resident() - before < 300 << 20


@pytest.mark.slow
def test_ten_thousand_malformed_requests(warm: Served) -> None:
    before = _resident()
    _malformed(warm, 10_000)
    assert _resident() - before < 400 << 20


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 422), (b"no image", 422), (_bomb(60_000), 413), (_bomb(7000), 413),
     (b"\0" * (17 << 20), 413)],
    ids=["empty", "text", "bomb", "small bomb", "huge"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(served: Served, content: bytes, status: int) -> None:
    import httpx

    before = _resident()
    answer = httpx.post(f"{served.url}/api/pictures", content=content, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")
    assert _resident() - before < 100 << 20


def test_pictures_make_room_for_others(served: Served) -> None:
    shelf = served.page.shelf
    keys = [shelf.put_picture(bytes([at]) * (4 << 20)) for at in range(20)]
    assert sum(map(len, shelf._pictures.values())) <= 48 << 20
    assert shelf.picture(keys[-1])
    with pytest.raises(Exception, match="drop it again"):
        shelf.picture(keys[0])
    shelf._pictures.clear()
