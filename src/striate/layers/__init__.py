"""Networks as nn.Modules: what torch.nn lacks, and `build`, which reads a network off paper."""

from striate.layers.batchnorm import BatchNorm
from striate.layers.build import adopt, build
from striate.layers.dropout import Dropout
from striate.layers.modules import Add, Concat, Conv2d, Convolution, Shortcut, module
from striate.layers.net import Net, Scope
from striate.layers.placement import Placement, current_placement, placement
from striate.layers.undisturbed import undisturbed

__all__ = [
    "Add",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "Convolution",
    "Dropout",
    "Net",
    "Placement",
    "Scope",
    "Shortcut",
    "adopt",
    "build",
    "current_placement",
    "module",
    "placement",
    "undisturbed",
]
