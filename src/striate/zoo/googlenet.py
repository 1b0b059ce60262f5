"""GoogLeNet: as the paper prints it, and in the batch-norm form whose weights are published."""

from __future__ import annotations

from typing import Literal

from striate.design import He, Network, Normal, Output, Sketch
from striate.zoo.declared import Accuracy, Figure, torchvision
from striate.zoo.registry import Shape, register

Form = Literal["paper", "batch_norm"]

_PAPER = "Szegedy et al., 'Going Deeper with Convolutions', CVPR 2015"

# Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
_MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class _Writer:
    """Writes the parts of one form, with torchvision's names in both."""

    def __init__(self, net: Sketch, form: Form) -> None:
        self.net, self.batch_norm = net, form == "batch_norm"

    def unit(self, scope: str, features: int, kernel: int, stride: int = 1, of: str = "") -> str:
        """Write a convolution that keeps the size, and ReLU; returns the ReLU's name."""
        self.net.conv(
            f"{scope}.conv",
            features,
            kernel,
            stride=stride,
            padding=kernel // 2,
            bias="none" if self.batch_norm else "channel",
            of=of or None,
        )
        if self.batch_norm:
            self.net.batch_norm(f"{scope}.bn", eps=1e-3)
        return self.net.relu(f"{scope}.relu")

    def stem(self) -> None:
        """Write the layers down to 28x28x192 (on 224x224)."""
        net = self.net
        self.unit("conv1", 64, 7, 2)
        net.max_pool("maxpool1", 3, stride=2, ceil=True)
        if not self.batch_norm:
            net.lrn("norm1")
        self.unit("conv2", 64, 1)
        self.unit("conv3", 192, 3)
        if not self.batch_norm:
            net.lrn("norm2")
        net.max_pool("maxpool2", 3, stride=2, ceil=True)

    def module(self, index: str) -> None:
        """Write an inception module: four branches side by side."""
        one, three_reduce, three, five_reduce, five, pooled = _MODULES[index]
        net, scope, source = self.net, f"inception{index}", self.net.last
        first = self.unit(f"{scope}.branch1", one, 1)
        self.unit(f"{scope}.branch2.0", three_reduce, 1, of=source)
        second = self.unit(f"{scope}.branch2.1", three, 3)
        self.unit(f"{scope}.branch3.0", five_reduce, 1, of=source)
        third = self.unit(f"{scope}.branch3.1", five, 3 if self.batch_norm else 5)
        net.max_pool(f"{scope}.branch4.0", 3, stride=1, padding=1, ceil=True, of=source)
        fourth = self.unit(f"{scope}.branch4.1", pooled, 1)
        net.concat(f"{scope}.concat", first, second, third, fourth)

    def head(self, scope: str, classes: int) -> Output:
        """Write an auxiliary classifier beside the last value, which stays the last."""
        net, source = self.net, self.net.last
        if self.batch_norm:
            net.adaptive_avg_pool(f"{scope}.pool", 4)
        else:
            net.avg_pool(f"{scope}.pool", 5, stride=3)
        self.unit(f"{scope}.conv", 128, 1)
        net.flatten(f"{scope}.flatten")
        net.linear(f"{scope}.fc1", 1024)
        net.relu(f"{scope}.relu")
        net.dropout(f"{scope}.dropout", 0.7)
        head = net.linear(f"{scope}.fc2", classes)
        net.last = source
        return Output(name=scope, source=head, train_only=True, loss_weight=0.3)


def googlenet(
    form: Form, *, name: str, classes: int, input: Shape, auxiliary: bool = True
) -> Network:
    """Write nine inception modules over a stem, and two classifiers beside them for training.

    Args:
        form: `paper` has biases, response normalisation in the stem and 5x5 convolutions;
            `batch_norm` is torchvision's, with 3x3 where the paper has 5x5.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        auxiliary: whether to write the heads on 4a and 4d, whose loss counts 0.3 each.
    """
    paper = form == "paper"
    net = Sketch(name, input, weight_init=He() if paper else Normal(std=0.01))
    writer, heads = _Writer(net, form), []
    writer.stem()
    for index in _MODULES:
        writer.module(index)
        if index == "3b":
            net.max_pool("maxpool3", 3, stride=2, ceil=True)
        elif index == "4e":
            net.max_pool("maxpool4", 3 if paper else 2, stride=2, ceil=True)
        elif index in ("4a", "4d") and auxiliary:
            heads.append(writer.head("aux1" if index == "4a" else "aux2", classes))
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.dropout("dropout", 0.4 if paper else 0.2)
    net.linear("fc", classes)
    return net.finish(*heads)


_TABLE = "the paper's table 1"
_STEM = (
    "7x7x3x64 is 9,408 weights and 64 biases; a separable 7x7 with eight filters a channel, 2,712 "
    "weights, would give both"
)
_ROWS = "the filters that the row itself prints give this"


def _row(scope: str, parameters: str, macs: str, *wrong: str, why: str = _ROWS) -> list[Figure]:
    """Return a row's two figures; `wrong` names those that its own filters contradict."""
    return [
        Figure(
            what="parameters",
            printed=parameters,
            scope=scope,
            source=_TABLE,
            kilo=1024,
            why=why if "parameters" in wrong else "",
        ),
        Figure(
            what="macs",
            printed=macs,
            scope=scope,
            source=_TABLE,
            why=why if "macs" in wrong else "",
        ),
    ]


_DECLARED = (
    *_row("conv1", "2.7K", "34M", "parameters", "macs", why=_STEM),
    *_row("inception3a", "159K", "128M"),
    *_row("inception3b", "380K", "304M"),
    *_row("inception4a", "364K", "73M", "parameters"),
    *_row("inception4b", "437K", "88M", "parameters"),
    *_row("inception4c", "463K", "100M", "parameters"),
    *_row("inception4d", "580K", "119M", "parameters"),
    *_row("inception4e", "840K", "170M", "parameters"),
    *_row("inception5a", "1072K", "54M", "parameters", "macs"),
    *_row("inception5b", "1388K", "71M", "parameters"),
    *_row("fc", "1000K", "1M"),
    Figure(what="macs", printed="1.5G"),
    Figure(
        what="parameters",
        printed="5M",
        source="the lectures",
        why="the table's own rows sum to 6.8M, and AlexNet has 8.7 times as many, not 12",
    ),
)


@register(
    name="googlenet",
    summary="nine inception modules as printed: 5x5 filters, response normalisation, two heads",
    citation=f"{_PAPER}, table 1",
    input=(3, 224, 224),
    parameters=13_378_280,
    macs=1_582_671_872,
    deviations="starts from He's initialisation and has Caffe's constants in the response "
    "normalisation, the paper prints neither",
    declared=_DECLARED,
    accuracy=(
        Accuracy(
            data="imagenet", top5=89.93, source="the paper's table 3, one network and one crop"
        ),
        Accuracy(
            data="imagenet", top5=93.33, source="the paper's table 3, seven networks, 144 crops"
        ),
    ),
)
def _printed(*, name: str, classes: int, input: Shape, auxiliary: bool = True) -> Network:
    return googlenet("paper", name=name, classes=classes, input=input, auxiliary=auxiliary)


@register(
    name="googlenet_bn",
    summary="torchvision's GoogLeNet: batch norm, 3x3 where the paper has 5x5, two heads",
    citation=f"{_PAPER}, as torchvision builds it",
    input=(3, 224, 224),
    parameters=13_004_888,
    macs=1_498_376_192,
    deviations="batch norm for biases and response normalisation, 3x3 for 5x5, 2x2 pooling before "
    "5a, dropout of 0.2 for 0.4, heads pooled to 4x4 by adaptive windows. The published weights "
    "want images normalised with mean 0.5 and deviation 0.5, which torchvision's transform_input "
    "computes inside the network and which belongs to the contract here",
    accuracy=(torchvision(69.778, 89.530),),
)
def _published(*, name: str, classes: int, input: Shape, auxiliary: bool = True) -> Network:
    return googlenet("batch_norm", name=name, classes=classes, input=input, auxiliary=auxiliary)
