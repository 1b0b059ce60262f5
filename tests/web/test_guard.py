"""Who may ask, and how safe an answer is."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import Served, serving

from striate.errors import RunError
from striate.web import Page, Shelf
from striate.web.shelf import check_places

STATIC = Path(__file__).parents[2] / "src" / "striate" / "web" / "static"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8100", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 421),
     ("127.0.0.1.evil.example:80", 421), ("", 421)],
)  # fmt: skip
def test_a_name_made_to_point_here_is_refused(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/", headers={"host": host}).status_code == status


def test_a_change_comes_from_the_page_itself(client: httpx.Client, served: Served) -> None:
    own = {"origin": served.url}
    foreign = {"origin": "https://evil.example"}
    assert client.post("/api/training/pause", headers=own).status_code == 200
    assert client.post("/api/training/pause", headers=foreign).status_code == 403
    assert client.post("/api/training/pause", headers={"origin": "null"}).status_code == 403
    crossing = {"sec-fetch-site": "cross-site"}
    assert client.post("/api/training/pause", headers=crossing).status_code == 403


def test_others_bring_the_token(folder: Path) -> None:
    with (
        serving(Page(Shelf([folder / "runs"]), token="a-long-token")) as found,
        httpx.Client(base_url=found.url, trust_env=False) as client,
    ):
        assert client.get("/api/runs").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/api/runs?token=a-long-token").status_code == 401
        bearer = {"authorization": "Bearer a-long-token"}
        assert client.get("/api/runs", headers=bearer).status_code == 200
        entered = client.get("/?token=a-long-token")
        assert entered.status_code == 303
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert "SameSite=Strict" in entered.headers["set-cookie"]
        assert client.get("/api/runs").status_code == 200


def test_every_answer_forbids_the_page_to_go_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/static/main.js", "/api/runs", "/nothing", "/api/runs/none/network"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_files_name_no_other_place() -> None:
    allowed = {"http://www.w3.org/2000/svg"}
    for path in STATIC.iterdir():
        assert set(re.findall(r"https?://[^\s\"'`)]+", path.read_text())) <= allowed, path.name


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd",
     "/api/runs/..%2Fsecret.txt", "/api/runs/..", "/api/runs/%2e%2e%2f%2e%2e/network",
     "/api/runs/below~..~..~secret.txt", "/api/runs/digits-001%00/network"],
)  # fmt: skip
def test_no_address_leads_out_of_the_runs(served: Served, path: str) -> None:
    plain = http.client.HTTPConnection(served.url.removeprefix("http://"))  # mends no address
    plain.request("GET", path)
    answer = plain.getresponse()
    assert answer.status in (404, 405)
    assert b"nobody" not in answer.read()
    plain.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no folder .*nothing"):
        check_places([tmp_path / "nothing"])


def test_a_damaged_run_is_listed_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    with (
        serving(Page(Shelf([tmp_path]))) as found,
        httpx.Client(base_url=found.url, trust_env=False) as client,
    ):
        (line,) = client.get("/api/runs").json()
        assert line["state"] == "unreadable"
        assert client.get("/api/runs/broken").status_code == 422
