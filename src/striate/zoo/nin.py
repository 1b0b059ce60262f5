"""Network in Network: a small perceptron slides with each filter, the classes are pooled maps."""

from __future__ import annotations

from itertools import count

from striate.design import He, Network, Sketch
from striate.zoo.declared import Accuracy
from striate.zoo.registry import Shape, register

_PAPER = "Lin, Chen, Yan, 'Network In Network', ICLR 2014"
_START = "it starts from He's initialisation, theirs from a Gaussian for pixels of 0 to 255"


class _Mlpconv:
    """Writes the paper's mlpconv layers, numbering 1x1 layers through the network."""

    def __init__(self, net: Sketch) -> None:
        self.net, self.numbers = net, count(1)

    def write(
        self, index: int, widths: tuple[int, ...], kernel: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        """Write a convolution and the 1x1 layers over it, ReLU after each."""
        first, *others = widths
        self.net.conv(f"conv{index}", first, kernel, stride=stride, padding=padding)
        self.net.relu(f"relu{index}")
        for width in others:
            number = next(self.numbers)
            self.net.conv(f"cccp{number}", width, 1)
            self.net.relu(f"relu_cccp{number}")


@register(
    name="nin_cifar",
    summary="three mlpconv layers for 32x32 images, global average pooling",
    citation=f"{_PAPER}, section 4.2, layout of the authors' published network",
    input=(3, 32, 32),
    classes=10,
    parameters=966_986,
    macs=222_486_528,
    deviations="widths and the average pooling are the authors' network's, the paper prints "
    f"neither; {_START}",
    accuracy=(
        Accuracy(data="cifar10", top1=89.59, source="the paper, no augmentation"),
        Accuracy(data="cifar10", top1=91.19, source="the paper, shifts and flips"),
    ),
)
def nin_cifar(*, name: str, classes: int, input: Shape) -> Network:
    """Write 5x5, 5x5 and 3x3 mlpconv layers, dropout after the first two poolings."""
    net = Sketch(name, input, weight_init=He())
    layers = _Mlpconv(net)
    layers.write(1, (192, 160, 96), 5, padding=2)
    net.max_pool("pool1", 3, stride=2, ceil=True)
    net.dropout("drop1")
    layers.write(2, (192, 192, 192), 5, padding=2)
    net.avg_pool("pool2", 3, stride=2, ceil=True)
    net.dropout("drop2")
    layers.write(3, (192, 192, classes), 3, padding=1)
    net.adaptive_avg_pool("pool3")
    net.flatten()
    return net.finish()


@register(
    name="nin_imagenet",
    summary="four mlpconv layers for 224x224 images, global average pooling",
    citation=f"{_PAPER}; the ImageNet network is the authors', in Caffe's model zoo",
    input=(3, 224, 224),
    parameters=7_595_176,
    macs=1_100_188_800,
    deviations=f"no paper prints this network; {_START}",
)
def nin_imagenet(*, name: str, classes: int, input: Shape) -> Network:
    """Write 11x11/4, 5x5, 3x3 and 3x3 mlpconv layers, dropout before the last."""
    net = Sketch(name, input, weight_init=He())
    layers = _Mlpconv(net)
    layers.write(1, (96, 96, 96), 11, stride=4)
    net.max_pool("pool1", 3, stride=2, ceil=True)
    layers.write(2, (256, 256, 256), 5, padding=2)
    net.max_pool("pool2", 3, stride=2, ceil=True)
    layers.write(3, (384, 384, 384), 3, padding=1)
    net.max_pool("pool3", 3, stride=2, ceil=True)
    net.dropout("drop")
    layers.write(4, (1024, 1024, classes), 3, padding=1)
    net.adaptive_avg_pool("pool4")
    net.flatten()
    return net.finish()
