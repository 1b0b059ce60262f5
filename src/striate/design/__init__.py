"""Networks on paper: layers as frozen records, a network as their graph, and every number of it.

Integers only; nothing here imports torch.
"""

from striate.design.classical import CCells, Rbf, SCells, Subsample
from striate.design.crop import Box, crop
from striate.design.deepen import deepened
from striate.design.elementwise import (
    ChannelDropout,
    Combine,
    Elementwise,
    LogSoftmax,
    Multiply,
    PReLU,
)
from striate.design.grouping import GroupNorm, LayerNorm
from striate.design.init import (
    Codes,
    Constant,
    Fading,
    FanInUniform,
    He,
    Init,
    InverseFanIn,
    Normal,
    Uniform,
    Xavier,
)
from striate.design.layer import Layer, Parameter, Shape, Window
from striate.design.linear import Conv, Linear
from striate.design.local import Local
from striate.design.moving import LinearLast, Permute, Reduce, Reshape, Resize, Slice
from striate.design.network import Input, Network, Output
from striate.design.pointwise import (
    GELU,
    LRN,
    Activation,
    Affine,
    BatchNorm,
    Dropout,
    LeakyReLU,
    Noise,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from striate.design.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AdaptivePool,
    AvgPool,
    MaxPool,
    Pool,
)
from striate.design.receptive import Field, receptive_fields
from striate.design.sheet import Sheet, sheet
from striate.design.sketch import Sketch
from striate.design.transposed import ConvTranspose
from striate.design.widen import widened
from striate.design.wiring import Add, Concat, Flatten, Identity, Opaque, Pad, Shortcut
from striate.errors import DesignError

__all__ = [
    "GELU",
    "LRN",
    "Activation",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AdaptivePool",
    "Add",
    "Affine",
    "AvgPool",
    "BatchNorm",
    "Box",
    "CCells",
    "ChannelDropout",
    "Codes",
    "Combine",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DesignError",
    "Dropout",
    "Elementwise",
    "Fading",
    "FanInUniform",
    "Field",
    "Flatten",
    "GroupNorm",
    "He",
    "Identity",
    "Init",
    "Input",
    "InverseFanIn",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearLast",
    "Local",
    "LogSoftmax",
    "MaxPool",
    "Multiply",
    "Network",
    "Noise",
    "Normal",
    "Opaque",
    "Output",
    "PReLU",
    "Pad",
    "Parameter",
    "Permute",
    "Pool",
    "Rbf",
    "ReLU",
    "ReLU6",
    "Reduce",
    "Reshape",
    "Resize",
    "SCells",
    "Shape",
    "Sheet",
    "Shortcut",
    "SiLU",
    "Sigmoid",
    "Sketch",
    "Slice",
    "Softmax",
    "Subsample",
    "Tanh",
    "Uniform",
    "Window",
    "Xavier",
    "crop",
    "deepened",
    "receptive_fields",
    "sheet",
    "widened",
]
