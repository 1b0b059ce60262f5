"""Published weights: networks that others trained, with their own preparation and class names.

`open` takes a name or a file, in whatever form its framework wrote it, and gives a network on
paper, its tensors, and the contract without which neither means anything. Nothing is unpickled.

Its names are loaded at first use: what is published, and whether it is here, is said before torch
is there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.weights.fitting import fit as fit
    from striate.weights.opening import open as open
    from striate.weights.published import Published as Published
    from striate.weights.published import entry as entry
    from striate.weights.published import find as find
    from striate.weights.published import names as names
    from striate.weights.published import whereabouts as whereabouts
    from striate.weights.weights import Weights as Weights

_HOME = {
    "Published": "published",
    "Weights": "weights",
    "entry": "published",
    "find": "published",
    "fit": "fitting",
    "names": "published",
    "open": "opening",
    "whereabouts": "published",
}
__all__ = ["Published", "Weights", "entry", "find", "fit", "names", "open", "whereabouts"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'striate.weights' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"striate.weights.{_HOME[name]}"), name)
    globals()[name] = value
    return value
