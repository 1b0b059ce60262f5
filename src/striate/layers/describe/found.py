"""Leaving somebody's module as it was found, whatever its forward does to it meanwhile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import nn

_CONTAINERS = (dict, OrderedDict, list, set)


@contextmanager
def left_as_found(module: nn.Module) -> Iterator[None]:
    """Restore every attribute of every part afterwards: mode, hooks, parameters, caches.

    What an attribute holds is put back, and of dicts, lists and sets also their content; also
    after an exception.
    """
    before = [(part, _snapshot(part)) for part in module.modules() if _plain(part)]
    try:
        yield
    finally:
        for part, (attributes, contents) in before:
            part.__dict__.clear()
            part.__dict__.update(attributes)
            for name, content in contents.items():
                _refill(attributes[name], content)


def _plain(part: nn.Module) -> bool:
    return not isinstance(part, torch.jit.ScriptModule)


def _snapshot(part: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    attributes = dict(part.__dict__)
    return attributes, {
        name: copy(value) for name, value in attributes.items() if type(value) in _CONTAINERS
    }


def _refill(container: Any, content: Any) -> None:
    container.clear()
    (container.extend if isinstance(container, list) else container.update)(content)
