"""Who may come in: the address a server listens on, and the key it asks for.

A server of ours is for this machine alone unless a key is asked for. Whatever serves HTTP opens its
door here.
"""

from __future__ import annotations

import errno
import hmac
import ipaddress
import socket
import time

from striate.errors import MissingExtra, UsageError

BACKLOG = 1024
_LEAST_KEY = 8
_ALONE = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
"""What keeps a port ours: the latter would let two programs have one port on Windows."""

_PATIENCE = 3.0  # seconds that the port of a server just killed may still be held


def require(what: str) -> None:
    """Refuse to go on without what serving HTTP needs beyond striate itself.

    Args:
        what: wants to serve, as a sentence begins with it.

    Raises:
        MissingExtra: names the package.
    """
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra(what, error.name or "uvicorn", "serve") from error


def check(host: str, key: str | None) -> None:
    """Refuse to listen to other machines without a key.

    Raises:
        UsageError: the address is not loopback and there is no key, or the key is no key.
    """
    if key is not None and (len(key) < _LEAST_KEY or not key.isascii() or not key.isprintable()):
        raise UsageError(
            f"Expected an API key of at least {_LEAST_KEY} printable ASCII characters, received "
            f"{len(key)} characters. Make one with: python -c 'import secrets; "
            "print(secrets.token_urlsafe())'"
        )
    if key is None and not is_loopback(host):
        raise UsageError(
            f"Listening on {host} lets other machines in: ask them for a key, with --api-key KEY "
            "or in the environment as STRIATE_API_KEY; or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address is of this machine alone.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allows(key: str | None, headers: dict[bytes, bytes]) -> bool:
    """Tell whether a request's headers carry the key, in a time that says nothing about it.

    Args:
        key: what is asked for; None lets everybody in.
        headers: by lower-case name: `Authorization: Bearer KEY`, or `X-API-Key: KEY`.
    """
    if key is None:
        return True
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        given = headers.get(b"x-api-key", b"")
    return hmac.compare_digest(given.strip(), key.encode())


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or address.
        port: 0 for any that is free.

    Raises:
        UsageError: there is no such address here, or the port is taken.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if taken and time.monotonic() < until:
                time.sleep(0.1)
                continue
            why = "another program listens there" if taken else error.strerror or str(error)
            raise UsageError(
                f"Cannot listen on {host}, port {port}: {why}. Choose another --port or --host."
            ) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, _ALONE, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def url(listening: socket.socket) -> str:
    """Return where a socket is reached, as http://host:port."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
