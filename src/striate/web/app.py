"""The page's server: what can be asked, and that every mistake is one sentence.

Nothing here computes: what takes time goes to the bench, and ends when its client leaves. Nothing
here imports torch either, so that the page opens at once; what looks into networks is loaded behind
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from striate import progress
from striate.errors import StriateError
from striate.serve.bodies import Gone, read
from striate.serve.refusal import Refusal
from striate.web import given, paper, telling
from striate.web.bench import Bench, Cancelled
from striate.web.folder import reading
from striate.web.guard import Guard, answered, refused
from striate.web.pictures import check_picture
from striate.web.school import School
from striate.web.shelf import Shelf

if TYPE_CHECKING:
    from striate.web.looking import Looking

_STATIC = Path(__file__).with_name("static")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_MOST_PICTURE = 16 << 20
_SECONDS = 20.0  # for a body to arrive
_MOST_STREAMS = 24
_GOING = ("running",)  # states in which there is more to come
_BEHIND = 0.5  # seconds after the first list of runs, which torch would hold up while it loads

Answer = Callable[[Request], Awaitable[Response]]


class Page:
    """The page as an ASGI application.

    Args:
        shelf: what it shows.
        token: asked of everybody; None for loopback.
    """

    def __init__(self, shelf: Shelf, token: str | None = None) -> None:
        self.shelf, self.bench, self.school = shelf, Bench(), School(shelf)
        self._streams = 0
        self._looking: Future[Looking] | None = None
        self._files = {each.name: each for each in _STATIC.iterdir() if each.suffix in _KINDS}
        get: dict[str, Answer] = {
            "/api/runs": self._runs,
            "/api/runs/{name}": self._run,
            "/api/runs/{name}/events": self._events,
            "/api/runs/{name}/network": self._network,
            "/api/runs/{name}/fields": self._fields,
            "/api/runs/{name}/{look}": self._look,
            "/api/training": self._training,
        }
        post: dict[str, Answer] = {
            "/api/pictures": self._drop,
            "/api/design": self._design,
            "/api/training": self._start,
            "/api/training/pause": self._pause,
            "/api/runs/{name}/resume": self._resume,
        }
        routes = [Route(path, answer) for path, answer in get.items()]
        routes += [Route(path, answer, methods=["POST"]) for path, answer in post.items()]
        routes += [Route("/", self._index), Route("/static/{file}", self._static)]
        wrong: dict[Any, Any] = {
            Refusal: _refused,
            StriateError: _mistaken,
            HTTPException: _unknown,
            Cancelled: _left,
            Gone: _left,
            Exception: _broken,
        }
        self.app = Guard(Starlette(routes=routes, exception_handlers=wrong), token)

    def close(self) -> None:
        """End trainings that were started here, saved, and what is being computed."""
        self.school.close()
        self.bench.close()

    # -- files

    async def _index(self, request: Request) -> Response:
        return self._file("index.html")

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["file"])

    def _file(self, name: str) -> Response:
        path = self._files.get(name)
        if path is None:
            raise Refusal(404, "There is no such file.")
        return FileResponse(
            path, media_type=_KINDS[path.suffix], headers={"cache-control": "no-cache"}
        )

    # -- runs

    async def _runs(self, request: Request) -> Response:
        found = await self.bench.do(request, "quick", telling.everyone, self.shelf)
        asyncio.get_running_loop().call_later(_BEHIND, self._load)
        return answered(found)

    async def _run(self, request: Request) -> Response:
        name = given.name(request)

        def tell() -> dict[str, Any]:
            with reading(name):
                return {"name": name, **telling.whole(self.shelf.model(name))}

        return answered(await self.bench.do(request, "quick", tell))

    async def _events(self, request: Request) -> Response:
        run = self.shelf.run(given.name(request))
        lasting = (
            _GOING if request.query_params.get("paused") == "end" else (*_GOING, "interrupted")
        )
        if self._streams >= _MOST_STREAMS:
            raise Refusal(503, "Too many curves are being watched.", retry_after=5)

        async def stream() -> Any:
            self._streams += 1
            try:
                async for event in telling.events(run.path, lasting):
                    yield event
            finally:
                self._streams -= 1

        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    # -- networks

    async def _network(self, request: Request) -> Response:
        name = given.name(request)

        def show() -> dict[str, Any]:
            model = self.shelf.model(name)
            own = (name, "network", model.identity)
            return self.shelf.keep(own, lambda: paper.document(model.network()))

        return answered(await self.bench.do(request, "quick", show))

    async def _fields(self, request: Request) -> Response:
        name, layer = given.name(request), given.text(request, "layer")

        def show() -> dict[str, Any]:
            model = self.shelf.model(name)
            key = (name, "fields", layer, model.identity)
            return self.shelf.keep(key, lambda: paper.fields(model.network(), layer))

        return answered(await self.bench.do(request, "quick", show))

    async def _drop(self, request: Request) -> Response:
        content = await read(request.receive, _MOST_PICTURE, _SECONDS)
        await self.bench.do(request, "quick", check_picture, content)
        return answered({"image": f"dropped:{self.shelf.put_picture(content)}"})

    # -- design and training

    async def _design(self, request: Request) -> Response:
        asked = await given.body(request)
        text, shape, classes = asked.get("text"), asked.get("input"), asked.get("classes")
        if not isinstance(text, str):
            raise Refusal(422, "Expected text: a network's name, or notation (conv3-16 FC-10).")
        if shape is not None and not (isinstance(shape, list) and all(map(given.is_whole, shape))):
            raise Refusal(422, "Expected input as [channels, height, width], [3, 32, 32] say.")
        if classes is not None and not (given.is_whole(classes) and 1 <= classes <= 100_000):
            raise Refusal(422, f"Expected classes of 1 to 100,000, received {str(classes)[:20]}.")
        size = None if shape is None else tuple(shape)
        return answered(await self.bench.do(request, "quick", paper.design, text, size, classes))

    async def _training(self, request: Request) -> Response:
        def show() -> dict[str, Any]:
            return {**self.school.status(), **self.school.choices()}

        return answered(await self.bench.do(request, "quick", show))

    async def _start(self, request: Request) -> Response:
        asked = await given.body(request)
        data, network = asked.get("data", "digits"), asked.get("network", "auto")
        if not isinstance(data, str) or not isinstance(network, str):
            raise Refusal(422, "Expected data and network as text.")
        settings = tuple(
            f"{key}={given.number(asked, name, least, most)}"
            for name, key, least, most in (
                ("epochs", "epochs", 1, 1000), ("batch", "batch", 1, 4096),
                ("seed", "seed", 0, 1 << 31), ("rate", "optimiser.rate", 1e-9, 100.0),
            )
            if asked.get(name) is not None
        )  # fmt: skip
        begin = partial(self.school.start, data, network, settings)
        return answered(await self.bench.do(request, "quick", begin))

    async def _pause(self, request: Request) -> Response:
        await given.body(request)
        return answered(self.school.pause())

    async def _resume(self, request: Request) -> Response:
        asked = await given.body(request)
        rate = given.number(asked, "rate", 1e-9, 100.0) if asked.get("rate") is not None else None
        name = given.name(request)
        return answered(await self.bench.do(request, "quick", self.school.resume, name, rate))

    # --

    # -- what is asked of a network itself

    async def _look(self, request: Request) -> Response:
        looking = await asyncio.shield(asyncio.wrap_future(self._load()))
        return await looking.answer(request.path_params["look"], request)

    def _load(self) -> Future[Looking]:
        """Begin to load what needs torch, in a thread of its own, unless that has begun."""
        if self._looking is None:
            thread = ThreadPoolExecutor(1, "page-behind")
            self._looking = thread.submit(_looking, self.shelf, self.bench)
            thread.shutdown(wait=False)
        return self._looking


def _looking(shelf: Shelf, bench: Bench) -> Looking:
    from striate.web.looking import Looking

    return Looking(shelf, bench)


# -- what is answered ------------------------------------------------------------------------------


async def _refused(request: Request, error: Exception) -> Response:
    return refused(error if isinstance(error, Refusal) else Refusal(500, "Internal error."))


async def _mistaken(request: Request, error: Exception) -> Response:
    return refused(Refusal(422, str(error)))


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return refused(Refusal(status, "There is nothing here." if status == 404 else "Not so."))


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _broken(request: Request, error: Exception) -> Response:
    progress.say(f"A bug of the page at {request.url.path[:200]}: {type(error).__name__}: {error}")
    return refused(Refusal(500, "Internal error."))
