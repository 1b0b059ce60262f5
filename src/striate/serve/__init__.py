"""Serving: a trained network behind HTTP."""

from striate.serve.limits import Limits
from striate.serve.serving import Serving, serve

__all__ = ["Limits", "Serving", "serve"]
