"""The page's door: who may ask, how much, and that every answer is safe to show.

A page on this machine can be reached by any web site that its user has open, unless it looks at who
asks: the Host has to be this machine (a name that was made to point here is refused), a change has
to come from the page itself, and whoever is let in from elsewhere has to bring the token.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from striate.records import to_builtins
from striate.serve.door import allows, is_loopback
from striate.serve.refusal import Refusal

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SAFE = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
_COOKIE = "striate_token"
_LONGEST_PATH = 4096


class Guard:
    """Lets requests through to the page.

    Args:
        page: what answers.
        token: asked of everybody; None on loopback, where the Host is looked at instead.
    """

    def __init__(self, page: ASGIApp, token: str | None = None) -> None:
        self.page, self.token = page, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        if scope["type"] != "http":
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                kept = [each for each in _SAFE.items() if each[0] not in given]
                message["headers"] = [*message["headers"], *kept]
            await send(message)

        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            fresh = self._enter(scope, headers)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, answer)
            return
        if fresh is not None:
            await fresh(scope, receive, answer)
            return
        await self.page(scope, receive, answer)

    def _enter(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        """Let a request in; one that brings the token in its address is sent on without it.

        Raises:
            Refusal: 4xx, it may not come in.
        """
        if len(scope["path"]) + len(scope["query_string"]) > _LONGEST_PATH:
            raise Refusal(414, "The address is too long.")
        host = headers.get(b"host", b"").decode("latin-1")
        if self.token is None and not _is_here(host):
            raise Refusal(421, "This page answers to localhost only.")
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get(b"origin", b"").decode("latin-1")
            if origin and urlsplit_host(origin) != host:
                raise Refusal(403, "Changes are taken from the page itself only.")
            if not origin and headers.get(b"sec-fetch-site", b"none") not in (
                b"none",
                b"same-origin",
            ):
                raise Refusal(403, "Changes are taken from the page itself only.")
        if self.token is None or allows(self.token, headers) or self._remembers(headers):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and hmac.compare_digest(given.encode(), self.token.encode()):
            cookie = f"{_COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            return Response(status_code=303, headers={"location": "/", "set-cookie": cookie})
        raise Refusal(401, "Expected the token: open the address that `striate view` printed.")

    def _remembers(self, headers: dict[bytes, bytes]) -> bool:
        try:
            found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(_COOKIE)
        except CookieError:
            return False
        value = found.value.encode() if found is not None else b""
        return hmac.compare_digest(value, (self.token or "").encode())


def urlsplit_host(origin: str) -> str:
    """Return host and port of an origin; nothing where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return is_loopback((name or host).strip("[]"))


def answered(document: Any) -> Response:
    """Return an answer in JSON; NaN and infinity become null."""
    content = msgspec.json.encode(to_builtins(document))
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})


def refused(refusal: Refusal) -> Response:
    """Return the answer that a refusal is."""
    content = msgspec.json.encode(refusal.document())
    return Response(content, refusal.status, refusal.headers(), media_type="application/json")
