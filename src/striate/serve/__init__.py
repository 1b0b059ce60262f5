"""Serving: a trained network behind HTTP.

Its names are loaded at first use: the local page shares the door and the bodies of this room, and
opens before torch is there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.serve.limits import Limits as Limits
    from striate.serve.serving import Serving as Serving
    from striate.serve.serving import serve as serve

_HOME = {"Limits": "limits", "Serving": "serving", "serve": "serving"}
__all__ = ["Limits", "Serving", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'striate.serve' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"striate.serve.{_HOME[name]}"), name)
    globals()[name] = value
    return value
