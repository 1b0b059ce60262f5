"""What a forward returned, tensor by tensor, each with a name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def outputs_of(returned: Any) -> list[tuple[str, Tensor]]:
    """Return every tensor with a name: `logits` for a lone one, else keys, fields or numbers."""
    if isinstance(returned, Tensor):
        return [("logits", returned)]
    named: dict[str, Tensor] = {}
    for path, tensor in _walk(returned, ""):
        name, number = path, 1
        while name in named:
            number += 1
            name = f"{path}_{number}"
        named[name] = tensor
    return list(named.items())


def _walk(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
        return
    for key, item in _items(value):
        word = re.sub(r"\W", "_", str(key), flags=re.ASCII)
        word = word if word.isidentifier() else f"output{word}"
        inner = "_".join(filter(None, [path, word if path == "" or isinstance(key, str) else key]))
        yield from _walk(item, inner)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name)
    elif hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value, start=1):
            yield str(number), item
