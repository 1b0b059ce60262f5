"""What the server offers, as an OpenAPI 3.1 document; the page under /docs is drawn from it."""

from __future__ import annotations

from typing import Any

from striate import __version__
from striate.serve.limits import Limits

_JSON = "application/json"


def openapi(network: str, limits: Limits, asks_key: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        network: its name.
        limits: said where they matter.
        asks_key: whether clients need a key.
    """
    secured: dict[str, Any] = {"security": [{"bearer": []}, {"header": []}]} if asks_key else {}
    paths = {
        "/predict": {"post": _predict(limits) | secured},
        "/health": {"get": _plain("Whether the process is alive.", _JSON)},
        "/ready": {"get": _plain("Whether predictions are answered now; 503 if not.", _JSON, 503)},
        "/metrics": {"get": _plain("Counters, for Prometheus.", "text/plain") | secured},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"striate serves {network}",
            "version": __version__,
            "description": "Images in, labels out, prepared as the network was trained.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": _KEYS},
    }


def _predict(limits: Limits) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "properties": {
            "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "top": {"type": "integer", "minimum": 1},
        },
    }
    return {
        "summary": "Labels of one image or several.",
        "description": (
            f"A body of at most {limits.body_bytes:,} bytes with at most {limits.images} images of "
            f"at most {limits.pixels:,} pixels each. The answer has them in the same order."
        ),
        "parameters": [
            {
                "name": "top",
                "in": "query",
                "description": "How many classes to name for each image.",
                "schema": {"type": "integer", "minimum": 1, "default": 5},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": binary,
                "multipart/form-data": {"schema": form},
                _JSON: {"schema": {"$ref": "#/components/schemas/Images"}},
            },
        },
        "responses": {
            "200": _response("The labels.", "Answer"),
            "400": _response("The body is not what it says it is.", "Error"),
            "401": _response("The API key is missing or wrong.", "Error"),
            "408": _response("The body took too long to arrive.", "Error"),
            "413": _response("Too many bytes, pixels or images.", "Error"),
            "422": _response("A file is no image, or is damaged.", "Error"),
            "503": _response("Busy: come again after Retry-After seconds.", "Error"),
        },
    }


def _plain(summary: str, kind: str, other: int | None = None) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": {kind: {}}}}
    if other:
        responses[str(other)] = {"description": "Not now.", "content": {_JSON: {}}}
    return {"summary": summary, "responses": responses}


def _response(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {_JSON: {"schema": reference}}}


_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_GUESS = {"id": _TEXT, "label": _TEXT, "probability": _NUMBER}


def _object(properties: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return found | ({"required": list(properties)} if required else {})


_BASE64 = {"type": "string", "contentEncoding": "base64"}
_SCHEMAS = {
    "Images": _object(
        {
            "image": _BASE64,
            "images": {
                "type": "array",
                "items": {"anyOf": [_BASE64, _object({"name": _TEXT, "data": _BASE64})]},
            },
            "top": {"type": "integer", "minimum": 1},
        },
        required=False,
    ),
    "Answer": _object(
        {
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
            "network": _TEXT,
            "contract": _TEXT,
        }
    ),
    "Prediction": _object(
        {"file": _TEXT, **_GUESS, "top": {"type": "array", "items": _object(_GUESS)}}
    ),
    "Error": _object({"error": _object({"status": {"type": "integer"}, "message": _TEXT})}),
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
