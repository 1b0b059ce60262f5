"""ZFNet: AlexNet with a finer first layer, in the lectures' widths and in the paper's."""

from __future__ import annotations

from striate.design import Network, Normal, Sketch
from striate.zoo.alexnet import alexnet_norm
from striate.zoo.declared import Accuracy
from striate.zoo.registry import Shape, register

_PAPER = "Zeiler and Fergus, 'Visualizing and Understanding Convolutional Networks', ECCV 2014"
_NORM = (
    "response normalisation with AlexNet's constants, which the paper does not print; its starts, "
    "N(0, 0.01^2), want pixels of 0 to 255 less their mean"
)


def zfnet(widths: tuple[int, int, int], *, name: str, classes: int, input: Shape) -> Network:
    """Write 7x7/2 and 5x5/2 convolutions, three of 3x3, and AlexNet's classifier.

    Maps of 110, 55, 26, 13 and 6 pixels as in the paper's figure 3, which needs a padding of 1
    before the first layer and pooling that rounds up. Weights start from N(0, 0.01^2), biases at 0.

    Args:
        widths: filters of conv3, conv4 and conv5.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
    """
    net = Sketch(name, input, weight_init=Normal(std=0.01))
    for index, width, kernel, padding in ((1, 96, 7, 1), (2, 256, 5, 0)):
        net.conv(f"conv{index}", width, kernel, stride=2, padding=padding)
        net.relu(f"relu{index}")
        net.max_pool(f"pool{index}", 3, stride=2, ceil=True)
        net.put(alexnet_norm(f"norm{index}", net.last))
    for index, width in zip((3, 4, 5), widths, strict=True):
        net.conv(f"conv{index}", width, 3, padding=1)
        net.relu(f"relu{index}")
    net.max_pool("pool5", 3, stride=2, ceil=True)
    net.flatten()
    for index in (6, 7):
        net.linear(f"fc{index}", 4096)
        net.relu(f"relu{index}")
        net.dropout(f"drop{index}")
    net.linear("fc8", classes)
    return net.finish()


@register(
    name="zfnet",
    summary="ZFNet as the lectures print it: 512, 1024, 512 filters in conv3 to conv5",
    citation=f"{_PAPER}, in the widths of the lectures",
    input=(3, 224, 224),
    parameters=107_627_624,
    deviations="the paper's figure 3 has 384, 384, 256 filters: `zfnet_paper`; " + _NORM,
    accuracy=(
        Accuracy(data="imagenet", top5=85.2, source="the lectures, the paper's six networks"),
    ),
)
def _lectures(*, name: str, classes: int, input: Shape) -> Network:
    return zfnet((512, 1024, 512), name=name, classes=classes, input=input)


@register(
    name="zfnet_paper",
    summary="ZFNet as in the paper's figure 3: 384, 384, 256 filters in conv3 to conv5",
    citation=_PAPER,
    input=(3, 224, 224),
    parameters=62_357_608,
    macs=1_168_032_896,
    deviations=_NORM,
    accuracy=(Accuracy(data="imagenet", top5=83.5, source="the paper, one network"),),
)
def _paper(*, name: str, classes: int, input: Shape) -> Network:
    return zfnet((384, 384, 256), name=name, classes=classes, input=input)
