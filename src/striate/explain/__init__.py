"""Looking inside: what counts for an answer, what each unit wants, and whether to believe it.

Every method is a function of (net, contract, image, target) that returns one frozen record; images
are pixels of 0 to 1, and the contract's normalisation is inside. `validity` says of a map whether
it can be believed.
"""

from striate.explain.attribution import Attribution, Method
from striate.explain.grad_cam import grad_cam
from striate.explain.input_x_gradient import input_x_gradient
from striate.explain.integrated_gradients import integrated_gradients
from striate.explain.occlusion import occlusion
from striate.explain.rectifiers import deconvolution, guided_backprop
from striate.explain.saliency import saliency
from striate.explain.smooth_grad import smooth_grad
from striate.explain.validity import Curve, Validity, validity
from striate.explain.walk import walk

__all__ = [
    "Attribution",
    "Curve",
    "Method",
    "Validity",
    "deconvolution",
    "grad_cam",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "occlusion",
    "saliency",
    "smooth_grad",
    "validity",
    "walk",
]
