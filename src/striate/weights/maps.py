"""Name maps: how others call the tensors that a network on paper has. Data, nothing else.

A rename is a pattern for a tensor's whole name and what takes its place; the first that fits is
taken, for every name of a file.
"""

from __future__ import annotations

from typing import Literal

Rename = tuple[str, str]

# Wrappers around a module, and the entries of a checkpoint under which a state dict is kept.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
ENTRIES = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "weights", "params",
    "state_dict_ema", "model_ema",
)  # fmt: skip

# PyTorch: spellings of earlier releases, and of repositories whose networks are the zoo's.
TORCH: tuple[Rename, ...] = (
    # DenseNet before torchvision 0.3, when a module's name could hold a dot.
    (r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)", r"\1\2"),
    # AlexNet and VGG trained with their features alone on several devices.
    (r"(features|classifier)\.module\.(.*)", r"\1.\2"),
)

# Keras: a tensor of a layer, by its last word -> ours, and how its axes are turned.
Turn = Literal["", "kernel", "depthwise"]
KERAS: dict[str, tuple[str, Turn]] = {
    "kernel": ("weight", "kernel"),
    "depthwise_kernel": ("weight", "depthwise"),
    "bias": ("bias", ""),
    "gamma": ("weight", ""),
    "beta": ("bias", ""),
    "moving_mean": ("running_mean", ""),
    "moving_variance": ("running_var", ""),
    # Keras 1, whose names end in a number besides.
    "W": ("weight", "kernel"),
    "b": ("bias", ""),
}

# Caffe: a layer's blobs in their order, by the kind of the layer here.
CAFFE: dict[str, tuple[str, ...]] = {
    "Convolution": ("weight", "bias"),
    "Deconvolution": ("weight", "bias"),
    "InnerProduct": ("weight", "bias"),
    "Scale": ("weight", "bias"),
    "BatchNorm": ("running_mean", "running_var"),  # both times the third blob
    "PReLU": ("weight",),
}

# Networks whose files say layer names only, in the order they are tried: by those names, or, where
# every layer follows the one before it, by the shapes in their order alone.
KERAS_IN_ORDER = ("vgg16", "vgg19")
KERAS_NETWORKS = tuple(f"mobilenet_v1(width={width})" for width in (1.0, 0.75, 0.5, 0.25))
