"""AlexNet: the paper's two groups, the lectures' one tower, and torchvision's."""

from __future__ import annotations

from typing import Literal

from striate.design import LRN, Constant, Network, Normal, Sketch
from striate.zoo.declared import Accuracy, Figure, torchvision
from striate.zoo.registry import Shape, register

_PAPER = "Krizhevsky, Sutskever, Hinton, 'ImageNet Classification', NIPS 2012"

# One tower and two groups have the same units.
_NEURONS = (
    Figure(what="neurons", printed="650,000"),
    Figure(
        what="neurons",
        printed="253,440",
        scope="conv1",
        why="that is 55x48x96, but the layer is 55x55x96",
    ),
    Figure(what="neurons", printed="186,624", scope="conv2"),
    Figure(what="neurons", printed="64,896", scope="conv3"),
    Figure(what="neurons", printed="43,264", scope="conv5"),
)


@register(
    name="alexnet",
    summary="torchvision's AlexNet: one tower, 64-192-384-256-256, no normalisation",
    citation="Krizhevsky, 'One weird trick', 2014, as torchvision builds it",
    input=(3, 224, 224),
    parameters=61_100_840,
    macs=714_188_480,
    deviations="dropout stands before fc6 and fc7, where the papers have it after",
    accuracy=(torchvision(56.522, 79.066),),
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


def alexnet_norm(name: str, source: str) -> LRN:
    """Return response normalisation with the paper's constants: k = 2, n = 5, beta = 0.75.

    The paper's alpha, 1e-4, multiplies the sum of squares; the record's multiplies their mean.
    """
    return LRN(name=name, inputs=(source,), size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def towers(
    *,
    name: str,
    classes: int,
    input: Shape,
    groups: int,
    order: Literal["norm_pool", "pool_norm"],
    norm: Literal["paper", "caffe"],
    fc_std: float,
) -> Network:
    """Write 96-256-384-384-256-4096-4096 with Gaussian starts and the paper's unit biases.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        groups: 2 has conv2, 4 and 5 see half the channels each, as on the paper's two GPUs.
        order: of response normalisation and pooling.
        norm: constants of the response normalisation: the paper's, or Caffe's k = 1.
        fc_std: how wide fc6 and fc7 start; all else starts from N(0, 0.01^2).
    """
    net = Sketch(name, input, weight_init=Normal(std=0.01))
    one = Constant(value=1.0)
    net.conv("conv1", 96, 11, stride=4)
    _unit(net, 1, order, norm)
    net.conv("conv2", 256, 5, padding=2, groups=groups, bias_init=one)
    _unit(net, 2, order, norm)
    for index, width, split, bias in (
        (3, 384, 1, Constant()),
        (4, 384, groups, one),
        (5, 256, groups, one),
    ):
        net.conv(f"conv{index}", width, 3, padding=1, groups=split, bias_init=bias)
        net.relu(f"relu{index}")
    net.max_pool("pool5", 3, stride=2)
    net.flatten()
    for index in (6, 7):
        net.linear(f"fc{index}", 4096, weight_init=Normal(std=fc_std), bias_init=one)
        net.relu(f"relu{index}")
        net.dropout(f"drop{index}")
    net.linear("fc8", classes)
    return net.finish()


def _unit(net: Sketch, index: int, order: str, norm: str) -> None:
    """Write ReLU, normalisation and pooling after conv1 or conv2."""
    net.relu(f"relu{index}")
    for step in order.split("_"):
        if step == "pool":
            net.max_pool(f"pool{index}", 3, stride=2)
        elif norm == "paper":
            net.put(alexnet_norm(f"norm{index}", net.last))
        else:
            net.lrn(f"norm{index}")


@register(
    name="alexnet_onetower",
    summary="AlexNet as the lectures print it: one tower, 96-256-384-384-256, pool then norm",
    citation=f"{_PAPER}, both towers as one, without groups",
    input=(3, 227, 227),
    parameters=62_378_344,
    macs=1_135_256_096,
    deviations="the paper splits conv2, 4 and 5 over two GPUs and normalises before pooling, with "
    "k = 2 where this has Caffe's k = 1",
    declared=(
        *_NEURONS,
        Figure(what="parameters", printed="35K", scope="conv1", source="the lectures"),
    ),
)
def alexnet_onetower(*, name: str, classes: int, input: Shape) -> Network:
    """Write CONV1 to FC8; Gaussian starts and unit biases as in the paper, fc as in Caffe."""
    return towers(
        name=name,
        classes=classes,
        input=input,
        groups=1,
        order="pool_norm",
        norm="caffe",
        fc_std=0.005,
    )


@register(
    name="alexnet_grouped",
    summary="AlexNet as published: two groups in conv2, 4 and 5, norm then pool",
    citation=_PAPER,
    input=(3, 227, 227),
    parameters=60_965_224,
    macs=724_406_816,
    deviations="the paper says 224x224 images, but its 55x55 maps follow from 227x227",
    declared=(Figure(what="parameters", printed="60M"), *_NEURONS),
    accuracy=(
        Accuracy(data="imagenet", top1=59.3, top5=81.8, source="the paper, one network, ten crops"),
    ),
)
def alexnet_grouped(
    *, name: str, classes: int, input: Shape, norm: Literal["paper", "caffe"] = "paper"
) -> Network:
    """Write the paper's two towers as groups; the norm `caffe` has bvlc_alexnet's constants."""
    return towers(
        name=name,
        classes=classes,
        input=input,
        groups=2,
        order="norm_pool",
        norm=norm,
        fc_std=0.01,
    )
