"""What a request asks for, read out of it; whatever is not so is one sentence and a 4xx."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.requests import Request

from striate.serve.bodies import read
from striate.serve.refusal import Refusal

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
_MOST_JSON = 1 << 17
_SECONDS = 20.0  # for a body to arrive


def name(request: Request) -> str:
    """Return the run that the address names."""
    return str(request.path_params["name"])


def text(request: Request, key: str) -> str:
    """Return a text of the query that has to be there."""
    value = request.query_params.get(key)
    if not value:
        raise Refusal(422, f"Expected {key}.")
    return value


def whole(request: Request, key: str, default: int | None = None, most: int = 1 << 31) -> int:
    """Return a whole number of the query, at most `most`."""
    value = request.query_params.get(key)
    if value is None and default is not None:
        return default
    if value is None or not (value.isascii() and value.isdecimal()) or len(value) > 10:
        raise Refusal(422, f"Expected {key} as a whole number, received {(value or '')[:20]!r}.")
    return min(int(value), most)


def part(request: Request) -> Part:
    """Return which part of the data is meant; the test part unless said."""
    given = request.query_params.get("part", "test")
    for part in PARTS:
        if part == given:
            return part
    raise Refusal(422, f"Expected a part of {', '.join(PARTS)}, received {given[:20]!r}.")


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings."""
    content = await read(request.receive, _MOST_JSON, _SECONDS)
    try:
        given = msgspec.json.decode(content or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"Expected JSON: {error}.") from None
    if not isinstance(given, dict):
        raise Refusal(422, "Expected a JSON object.")
    return given


def is_whole(value: Any) -> bool:
    """Tell whether a value of JSON is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(given: dict[str, Any], name: str, least: float, most: float) -> float:
    """Return a number of a JSON object, whole where `least` is."""
    value = given[name]
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or not least <= value <= most or (isinstance(least, int) and value % 1):
        raise Refusal(422, f"Expected {name} of {least:g} to {most:g}, received {str(value)[:40]}.")
    return int(value) if isinstance(least, int) else float(value)
