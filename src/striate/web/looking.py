"""What is asked of a network itself: its filters and answers, its units, maps, attacks.

All of this needs torch, which takes its time to load; so this file is loaded behind the page, which
has opened by then.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from striate import doctor
from striate.explain import METHODS
from striate.records import to_builtins
from striate.serve.refusal import Refusal
from striate.web import asking, given, inside
from striate.web.bench import Bench, Lane
from striate.web.folder import reading
from striate.web.guard import answered
from striate.web.opened import Opened
from striate.web.pictures import png
from striate.web.shelf import Shelf

_KEYS = re.compile(r"[0-9a-f]{24}")


class Looking:
    """The answers of `/api/runs/NAME/LOOK`.

    Args:
        shelf: the networks.
        bench: where they are computed.
    """

    def __init__(self, shelf: Shelf, bench: Bench) -> None:
        self.shelf, self.bench = shelf, bench
        self._answers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "findings": self._findings,
            "samples": self._samples,
            "sample": self._sample,
            "filters": self._filters,
            "gabor": self._gabor,
            "activations": self._activations,
            "patches": self._patches,
            "wish": self._wish,
            "methods": self._methods,
            "answer": self._answer,
            "map": self._map,
            "validity": self._validity,
            "attack": self._attack,
        }

    async def answer(self, look: str, request: Request) -> Response:
        """Answer one request.

        Raises:
            Refusal: 404, nothing is called so.
        """
        if look not in self._answers:
            raise Refusal(404, "There is nothing here.")
        return await self._answers[look](request)

    async def _findings(self, request: Request) -> Response:
        run = self.shelf.run(given.name(request))

        def diagnose() -> Any:
            with reading(run.path.name):
                return to_builtins(doctor.diagnose(run))

        return answered(await self.bench.do(request, "slow", diagnose))

    # -- networks

    async def _filters(self, request: Request) -> Response:
        return await self._found(request, "quick", inside.filters, given.text(request, "layer"))

    async def _gabor(self, request: Request) -> Response:
        return await self._found(request, "slow", inside.gabor, kept=True)

    async def _activations(self, request: Request) -> Response:
        layer, image = given.text(request, "layer"), given.text(request, "image")

        def show(opened: Opened) -> dict[str, Any]:
            return inside.activations(opened, self._pixels(opened, image), layer)

        return await self._found(request, "quick", show)

    async def _patches(self, request: Request) -> Response:
        unit = given.text(request, "layer"), given.whole(request, "channel")
        return await self._found(request, "slow", inside.patches, *unit, kept=True)

    async def _wish(self, request: Request) -> Response:
        unit = given.text(request, "layer"), given.whole(request, "channel")
        return await self._found(request, "slow", inside.wish, *unit, kept=True)

    # -- images

    async def _samples(self, request: Request) -> Response:
        part, first = given.part(request), given.whole(request, "first", 0)

        def show(opened: Opened) -> dict[str, Any]:
            images = opened.images(part)
            end = min(first + given.whole(request, "count", 48, most=200), len(images.samples))
            labels = [images.classes[at].label for at in images.samples.labels[first:end].tolist()]
            ids = [str(each) for each in images.samples.ids[first:end]]
            return {"part": part, "count": len(images.samples), "first": first, "labels": labels,
                    "ids": ids}  # fmt: skip

        return await self._found(request, "quick", show)

    async def _sample(self, request: Request) -> Response:
        part, index = given.part(request), given.whole(request, "index", -1)
        named = request.query_params.get("id")

        def show(opened: Opened) -> bytes:
            at = index
            if named is not None:
                ids = [str(each) for each in opened.images(part).samples.ids]
                if named not in ids:
                    raise Refusal(404, f"The data has no image {named[:100]!r}.")
                at = ids.index(named)
            pixels = opened.stored(part, at)
            step = max(1, max(pixels.shape[:2]) // 512)
            return png(np.asarray(pixels[::step, ::step]))

        opened = await self._opened(request)
        content = await self.bench.do(request, "quick", show, opened)
        return Response(content, media_type="image/png", headers={"cache-control": "max-age=600"})

    async def _answer(self, request: Request) -> Response:
        image = given.text(request, "image")
        return await self._found(
            request, "quick", lambda at: asking.answer(at, self._pixels(at, image))
        )

    async def _map(self, request: Request) -> Response:
        return await self._judge(request, asking.map_of)

    async def _validity(self, request: Request) -> Response:
        return await self._judge(request, asking.validity)

    async def _judge(self, request: Request, work: Callable[..., dict[str, Any]]) -> Response:
        image, method = given.text(request, "image"), given.text(request, "method")
        target = given.whole(request, "class")

        def show(opened: Opened) -> dict[str, Any]:
            key = (opened.name, opened.stamp, work.__name__, image, method, target)
            return self.shelf.keep(
                key, lambda: work(opened, self._pixels(opened, image), method, target)
            )

        return await self._found(request, "slow", show)

    async def _attack(self, request: Request) -> Response:
        image, kind = given.text(request, "image"), given.text(request, "kind")
        try:
            eps = float(given.text(request, "eps"))
        except ValueError:
            raise Refusal(422, "Expected eps as a number of 0 to 1.") from None

        def show(opened: Opened) -> dict[str, Any]:
            return asking.attacked(opened, self._pixels(opened, image), kind, eps)

        return await self._found(request, "quick", show)

    async def _methods(self, request: Request) -> Response:
        return answered({"maps": list(METHODS), "attacks": asking.ATTACKS})

    def _pixels(self, opened: Opened, image: str) -> Any:
        """Return an image as the network takes it: `test:12`, or `dropped:KEY`."""
        kind, _, place = image.partition(":")
        if kind == "dropped" and _KEYS.fullmatch(place):
            return opened.dropped(self.shelf.picture(place))
        if kind in given.PARTS and place.isascii() and place.isdecimal() and len(place) < 10:
            return opened.sample(given.PARTS[given.PARTS.index(kind)], int(place))
        raise Refusal(422, f"Expected an image as test:12 or dropped:KEY, received {image[:60]!r}.")

    # --

    async def _opened(self, request: Request) -> Opened:
        return await self.bench.do(request, "quick", self.shelf.open, given.name(request))

    async def _found(
        self,
        request: Request,
        lane: Lane,
        work: Callable[..., Any],
        *more: Any,
        kept: bool = False,
    ) -> Response:
        """Answer with what some work finds in a run's network; `kept`, once for all."""
        opened = await self._opened(request)
        if not kept:
            return answered(await self.bench.do(request, lane, work, opened, *more))
        key = (opened.name, opened.stamp, work.__name__, *more)
        found = partial(self.shelf.keep, key, partial(work, opened, *more))
        return answered(await self.bench.do(request, lane, found))
