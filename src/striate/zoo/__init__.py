"""Named networks on paper, one family a file, each with the figures its paper declares.

Example:
    >>> network("resnet20", classes=10).parameter_count()
    269722
"""

from striate.zoo import (
    alexnet,
    allcnn,
    alphago,
    convnet,
    dense,
    densenet,
    googlenet,
    inception,
    lenet,
    mobilenet,
    neocognitron,
    nin,
    preresnet,
    resnet,
    resnext,
    squeezenet,
    vgg,
    zfnet,
)
from striate.zoo.declared import Accuracy, Figure
from striate.zoo.read import other_classes, read
from striate.zoo.registry import Entry, entry, knobs, names, network, notes, register

__all__ = [
    "Accuracy",
    "Entry",
    "Figure",
    "alexnet",
    "zfnet",
    "squeezenet",
    "nin",
    "preresnet",
    "mobilenet",
    "inception",
    "googlenet",
    "allcnn",
    "alphago",
    "convnet",
    "dense",
    "densenet",
    "entry",
    "knobs",
    "lenet",
    "names",
    "neocognitron",
    "network",
    "notes",
    "other_classes",
    "read",
    "register",
    "resnet",
    "resnext",
    "vgg",
]
