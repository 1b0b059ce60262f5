"""The attribution methods by name, for commands and pages."""

from __future__ import annotations

from collections.abc import Mapping

from striate.errors import UnknownName
from striate.explain.attribution import Method
from striate.explain.grad_cam import grad_cam
from striate.explain.input_x_gradient import input_x_gradient
from striate.explain.integrated_gradients import integrated_gradients
from striate.explain.occlusion import occlusion
from striate.explain.rectifiers import deconvolution, guided_backprop
from striate.explain.saliency import saliency
from striate.explain.smooth_grad import smooth_grad
from striate.records import nearest

METHODS: Mapping[str, Method] = {
    "saliency": saliency,
    "smooth_grad": smooth_grad(saliency),
    "input_x_gradient": input_x_gradient,
    "integrated_gradients": integrated_gradients,
    "guided_backprop": guided_backprop,
    "deconvolution": deconvolution,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
}

INSIDE = ("guided_backprop", "deconvolution", "grad_cam")  # need a Net; the others take any module


def method(name: str) -> Method:
    """Return a method by name.

    Raises:
        UnknownName: there is none; carries the nearest names.
    """
    if name not in METHODS:
        raise UnknownName("method", name, nearest(name, METHODS), f"Known: {', '.join(METHODS)}.")
    return METHODS[name]
