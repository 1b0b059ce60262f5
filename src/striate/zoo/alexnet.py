"""AlexNet, as torchvision has it and as the lectures print it."""

from __future__ import annotations

from striate.design import Constant, Network, Normal, Sketch
from striate.zoo.registry import Shape, register


@register(
    name="alexnet",
    summary="torchvision's AlexNet: one tower, 64-192-384-256-256, no normalisation",
    citation="Krizhevsky, 'One weird trick', 2014, as torchvision builds it",
    input=(3, 224, 224),
    parameters=61_100_840,
    macs=714_188_480,
    deviations="dropout stands before fc6 and fc7, where the papers have it after",
)
def alexnet(*, name: str, classes: int, input: Shape) -> Network:
    """Write the network whose weights torchvision publishes, with its names."""
    net = Sketch(name, input)
    net.conv("features.0", 64, 11, stride=4, padding=2)
    net.relu("features.1")
    net.max_pool("features.2", 3, stride=2)
    net.conv("features.3", 192, 5, padding=2)
    net.relu("features.4")
    net.max_pool("features.5", 3, stride=2)
    for index, width in ((6, 384), (8, 256), (10, 256)):
        net.conv(f"features.{index}", width, 3, padding=1)
        net.relu(f"features.{index + 1}")
    net.max_pool("features.12", 3, stride=2)
    net.adaptive_avg_pool("avgpool", 6)
    net.flatten()
    net.dropout("classifier.0")
    net.linear("classifier.1", 4096)
    net.relu("classifier.2")
    net.dropout("classifier.3")
    net.linear("classifier.4", 4096)
    net.relu("classifier.5")
    net.linear("classifier.6", classes)
    return net.finish()


@register(
    name="alexnet_onetower",
    summary="AlexNet as the lectures print it: one tower, 96-256-384-384-256, pool then norm",
    citation="Krizhevsky et al., NIPS 2012, both towers as one, without groups",
    input=(3, 227, 227),
    parameters=62_378_344,
    macs=1_135_256_096,
    deviations="the paper splits conv2, 4 and 5 over two GPUs and normalises before pooling",
)
def alexnet_onetower(*, name: str, classes: int, input: Shape) -> Network:
    """Write CONV1 to FC8; Gaussian starts and unit biases as in the paper."""
    net = Sketch(name, input, weight_init=Normal(std=0.01))
    one = Constant(value=1.0)
    net.conv("conv1", 96, 11, stride=4)
    net.relu("relu1")
    net.max_pool("pool1", 3, stride=2)
    net.lrn("norm1")
    net.conv("conv2", 256, 5, padding=2, bias_init=one)
    net.relu("relu2")
    net.max_pool("pool2", 3, stride=2)
    net.lrn("norm2")
    for index, width, bias in ((3, 384, Constant()), (4, 384, one), (5, 256, one)):
        net.conv(f"conv{index}", width, 3, padding=1, bias_init=bias)
        net.relu(f"relu{index}")
    net.max_pool("pool5", 3, stride=2)
    net.flatten()
    for index in (6, 7):
        net.linear(f"fc{index}", 4096, weight_init=Normal(std=0.005), bias_init=one)
        net.relu(f"relu{index}")
        net.dropout(f"drop{index}")
    net.linear("fc8", classes)
    return net.finish()
