"""Looking inside: what counts for an answer, what each unit wants, and whether to believe it.

Every method is a function of (net, contract, image, target) that returns one frozen record; images
are pixels of 0 to 1, and the contract's normalisation is inside. `validity` says of a map whether
it can be believed; `look_inside` writes all of it about a run as a folder of pictures and a page.
"""

from striate.explain.attribution import Attribution, Method
from striate.explain.chance import Chance, classical_chance, gabor_chance
from striate.explain.dream import Dream, dream
from striate.explain.embedding import Embedding, embed
from striate.explain.filters import Filters, GaborFit, filters
from striate.explain.grad_cam import grad_cam
from striate.explain.input_x_gradient import input_x_gradient
from striate.explain.inside import PARTS, Look, look_inside
from striate.explain.integrated_gradients import integrated_gradients
from striate.explain.invert import Inversion, invert
from striate.explain.methods import METHODS, method
from striate.explain.occlusion import occlusion
from striate.explain.patches import Patch, reconstruct, top_patches
from striate.explain.rectifiers import deconvolution, guided_backprop
from striate.explain.report import Report
from striate.explain.saliency import saliency
from striate.explain.shift import ShiftConsistency, shift_consistency
from striate.explain.similarity import Similarity, features, similarity
from striate.explain.smooth_grad import smooth_grad
from striate.explain.unit import Activations, Unit, activations
from striate.explain.validity import Curve, Validity, validity
from striate.explain.visualise import (
    Direction,
    Visualisation,
    class_goal,
    visualise,
    visualise_each,
)
from striate.explain.walk import walk

__all__ = [
    "METHODS",
    "PARTS",
    "Activations",
    "Attribution",
    "Chance",
    "Curve",
    "Direction",
    "Dream",
    "Embedding",
    "Filters",
    "GaborFit",
    "Inversion",
    "Look",
    "Method",
    "Patch",
    "Report",
    "ShiftConsistency",
    "Similarity",
    "Unit",
    "Validity",
    "Visualisation",
    "activations",
    "class_goal",
    "classical_chance",
    "deconvolution",
    "dream",
    "embed",
    "features",
    "filters",
    "gabor_chance",
    "grad_cam",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "invert",
    "look_inside",
    "method",
    "occlusion",
    "reconstruct",
    "saliency",
    "shift_consistency",
    "similarity",
    "smooth_grad",
    "top_patches",
    "validity",
    "visualise",
    "visualise_each",
    "walk",
]
