"""Networks as nn.Modules: what torch.nn lacks, and `build`, which reads a network off paper."""

from striate.layers.batchnorm import BatchNorm
from striate.layers.build import adopt, build
from striate.layers.convolution import Conv2d, Convolution
from striate.layers.describe import Proof, describe, prove
from striate.layers.dropout import Dropout
from striate.layers.local import Local
from striate.layers.modules import module
from striate.layers.net import Net, Scope, fuse
from striate.layers.placement import Placement, current_placement, placement
from striate.layers.pointwise import Affine, ScaledTanh
from striate.layers.undisturbed import undisturbed
from striate.layers.wiring import Add, Concat, Pad, PaddedPool, Shortcut

__all__ = [
    "Add",
    "Affine",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "Convolution",
    "Dropout",
    "Local",
    "Net",
    "Pad",
    "PaddedPool",
    "Placement",
    "Proof",
    "ScaledTanh",
    "Scope",
    "Shortcut",
    "adopt",
    "build",
    "current_placement",
    "describe",
    "fuse",
    "module",
    "placement",
    "prove",
    "undisturbed",
]
