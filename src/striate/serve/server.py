"""The HTTP server around a service: one that stops without losing what it has accepted.

On SIGTERM the door is shut first: the kernel drops whoever still knocks (they are refused once the
socket closes), those it has already let in are taken, and every answer from then on ends its
connection. Only then does the server close, and wait for what is being computed.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from striate.serve.app import Service
from striate.serve.door import BACKLOG
from striate.serve.stopping import Stoppable

_LINGER = 1.0  # seconds for clients to end the connections that they keep open
_HEAD = 10.0  # seconds at most for the head of a request
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # of sockets, which Python does not name
_KEEP_ALIVE = 15  # seconds a connection may rest between requests


class Protocol(H11Protocol):
    """HTTP/1.1 with clients that have to come to the point: a head that never ends is cut off."""

    def connection_made(self, transport: Any) -> None:
        """Close the connection unless a request comes soon."""
        super().connection_made(transport)
        self._watch(0)

    def on_response_complete(self) -> None:
        """Close the connection unless the next request comes in time."""
        self._watch(self.timeout_keep_alive)
        super().on_response_complete()

    def _watch(self, rest: float) -> None:
        head = min(_HEAD, self.config.app.limits.seconds)  # type: ignore[union-attr]
        self.loop.call_later(rest + head, self._check, self.cycle)

    def _check(self, before: Any) -> None:
        if self.cycle is before and not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer has been sent already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with suppress(h11.LocalProtocolError):
                super().send_400_response(msg)
                return
        self.transport.close()


class Server(Stoppable):
    """A server of one service on one socket.

    Args:
        service: answers.
        listening: the socket; several processes may share it.
        ready: called once it can answer.
        watcher: a pipe that ends with the process that watches over this one; None for a server
            of one process.
    """

    def __init__(
        self,
        service: Service,
        listening: socket.socket,
        *,
        ready: Callable[[], None],
        watcher: int | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=min(_KEEP_ALIVE, int(service.limits.seconds) or 1),
                timeout_graceful_shutdown=int(service.limits.seconds) + 1,
            )
        )
        self.service, self.listening = service, listening
        self.ready, self.watcher = ready, watcher

    async def work(self) -> None:
        """Serve until asked to stop.

        Raises:
            StriateError: the service cannot start.
        """
        with suppress(OSError):  # left by a worker that stopped on its own
            self.listening.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        if self.watcher is not None:
            asyncio.get_running_loop().add_reader(self.watcher, self._abandoned, self.watcher)
        starting = asyncio.ensure_future(self._start())
        with self.capture_signals():
            if self.watcher is not None:  # one of several: the others answer until it can
                await asyncio.wait([starting])
            await self.serve(sockets=[self.listening])
        if not starting.done():
            starting.cancel()
        self.service.stop()
        with suppress(asyncio.CancelledError):
            await starting

    async def _start(self) -> None:
        try:
            await self.service.start()
            self.ready()
        except BaseException:
            self.should_exit = True
            raise

    def _abandoned(self, watcher: int) -> None:
        asyncio.get_running_loop().remove_reader(watcher)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take who is in, let them finish, and close."""
        self.service.draining = True
        _shut(self.listening)
        left = _LINGER
        await asyncio.sleep(0.1)  # the connections that the kernel has accepted are taken
        while self.server_state.connections and left > 0 and not self.force_exit:
            await asyncio.sleep(0.05)
            left -= 0.05
        await super().shutdown(sockets)


def _shut(listening: socket.socket) -> None:
    """Let the kernel drop what newly comes to a socket, where it can (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0: no packet
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
