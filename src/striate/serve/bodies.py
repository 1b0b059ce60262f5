"""From a request's body to the images in it: as they are, as a form, or as base64 in JSON.

The body is read whole into memory, up to a limit. What is over it is read and thrown away for a
moment, since a client that is still sending sees a closed connection and never the answer.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from striate.errors import did_you_mean
from striate.records import nearest
from striate.serve.refusal import Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_COURTESY = 1.0  # seconds, for what nobody wants to read
_FIELDS = ("image", "images", "top")
_ENTRY = ("data", "name")
HOW_TO_SEND = (
    "Send a file's bytes, as the body (curl --data-binary @photo.jpg) or in a form "
    "(curl -F image=@photo.jpg)."
)


class Gone(Exception):
    """The client has left."""


class Picture(NamedTuple):
    """An image as it came: what to call it, and its bytes."""

    name: str
    content: bytes


class Order(NamedTuple):
    """What a request asks for: labels of these images, and so many of them."""

    pictures: tuple[Picture, ...]
    top: int | None = None


async def read(receive: Receive, limit: int, seconds: float, declared: int = 0) -> bytes:
    """Return a request's body.

    Args:
        receive: gives the next part.
        limit: bytes at most.
        seconds: that it may take.
        declared: bytes, by its head.

    Raises:
        Refusal: 413 where it is longer than `limit`, 408 where it takes longer than `seconds`.
        Gone: the client left before the end.
    """
    parts: list[bytes] = []
    length, more = declared if declared > limit else 0, True
    try:
        async with asyncio.timeout(seconds):
            while more and length <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                more, length = bool(message.get("more_body")), length + len(part)
                parts.append(part)
    except TimeoutError:
        said = f"The body did not arrive within {seconds:g} seconds."
        raise Refusal(408, said, close=True) from None
    if length > limit:
        parts.clear()
        if more:
            await discard(receive)
        said = f"Expected a body of at most {limit:,} bytes, received more."
        raise Refusal(413, said, close=more)
    return b"".join(parts)


def declared(length: str) -> int:
    """Return the bytes that a Content-Length declares; 0 where it says nothing of use."""
    return int(length) if length.isdecimal() and len(length) < 20 else 0


async def discard(receive: Receive) -> None:
    """Read what is still coming, for a moment."""
    try:
        async with asyncio.timeout(_COURTESY):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def understand(body: bytes, content_type: str) -> Order:
    """Return what a body asks for.

    Args:
        body: the bytes.
        content_type: `multipart/form-data` for a form, `application/json` for base64; anything
            else is taken for an image, as it is.

    Raises:
        Refusal: 400, it is not what it says, or there is no image in it.
    """
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    if not body:
        said = "Expected an image as the body, received an empty one."
        raise Refusal(400, f"{said} {HOW_TO_SEND}")
    if kind == "multipart/form-data":
        order = _form(body, rest)
    elif kind == "application/json" or kind.endswith("+json"):
        order = _json(body)
    else:
        order = Order((Picture("The image", body),))
    if not order.pictures:
        raise Refusal(400, "Expected at least one image, received none.")
    return order


def number(text: str) -> int:
    """Read how many classes are asked for.

    Raises:
        Refusal: 400, it is no positive number.
    """
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 7 and int(text) > 0):
        raise Refusal(400, f"Expected top from 1 to 999999, received {text[:40]!r}.")
    return int(text)


# -- JSON ------------------------------------------------------------------------------------------


def _json(body: bytes) -> Order:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(400, f"The body is no JSON document: {error}.") from None
    if not isinstance(document, dict):
        raise Refusal(400, 'Expected {"image": BASE64} or {"images": [BASE64, ...]}.')
    _known(document, _FIELDS, "the body")
    if ("image" in document) == ("images" in document):
        raise Refusal(400, "Expected one of image and images in the JSON document.")
    entries = document["images"] if "images" in document else [document["image"]]
    if not isinstance(entries, list):
        raise Refusal(400, "Expected images as a list.")
    pictures = tuple(_entry(each, f"image {place}") for place, each in enumerate(entries, 1))
    top = document.get("top")
    return Order(pictures, None if top is None else number(str(top)))


def _entry(entry: object, name: str) -> Picture:
    if isinstance(entry, dict):
        _known(entry, _ENTRY, name)
        given = entry.get("name", name)
        if not isinstance(given, str):
            raise Refusal(400, f"Expected the name of {name} as text.")
        entry, name = entry.get("data"), given[:200]
    if not isinstance(entry, str):
        raise Refusal(400, f"Expected {name} as text in base64.")
    text = entry.partition(",")[2] if entry.startswith("data:") else entry
    try:
        return Picture(name, binascii.a2b_base64("".join(text.split()), strict_mode=True))
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"Expected {name} in base64: {str(error).rstrip('.')}.") from None


def _known(document: dict[Any, Any], fields: tuple[str, ...], where: str) -> None:
    for field in document:
        if field not in fields:
            hint = did_you_mean(nearest(str(field), fields, 1))
            raise Refusal(
                400,
                f"Expected {', '.join(fields)} in {where}, received {str(field)[:40]!r}.{hint}",
            )


# -- forms -----------------------------------------------------------------------------------------


class _Form:
    """Collects a form's parts as the parser finds them."""

    def __init__(self, body: bytes) -> None:
        self.body = memoryview(body)
        self.parts: list[tuple[dict[bytes, bytes], list[memoryview]]] = []
        self.name, self.value, self.whole = b"", b"", False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": lambda: self.parts.append(({}, [])),
            "on_part_data": self.data,
            "on_header_field": self.field,
            "on_header_value": self.header,
            "on_header_end": self.end_header,
            "on_end": self.end,
        }

    def data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1][1].append(memoryview(data)[start:end])

    def field(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def header(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def end_header(self) -> None:
        self.parts[-1][0][self.name.lower()] = self.value
        self.name, self.value = b"", b""

    def end(self) -> None:
        self.whole = True


def _form(body: bytes, options: str) -> Order:
    from python_multipart import MultipartParser
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    boundary = parse_options_header(f"multipart/form-data;{options}")[1].get(b"boundary", b"")
    if not boundary:
        raise Refusal(400, "Expected a boundary in the Content-Type of the form, received none.")
    form = _Form(body)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        said = str(error)[:160].rstrip(".")
        raise Refusal(400, f"The body is no multipart form: {said}.") from None
    if not form.whole:
        raise Refusal(400, "The form is cut short: its last boundary is missing.")
    pictures: list[Picture] = []
    top: int | None = None
    for headers, pieces in form.parts:
        options_of = parse_options_header(headers.get(b"content-disposition", b""))[1]
        content = b"".join(pieces)
        if options_of.get(b"name") == b"top" and b"filename" not in options_of:
            top = number(content[:40].decode(errors="replace").strip())
            continue
        name = options_of.get(b"filename") or options_of.get(b"name") or b""
        shown = name.decode(errors="replace")[:200] or f"image {len(pictures) + 1}"
        pictures.append(Picture(shown, content))
    return Order(tuple(pictures), top)
