"""Pre-activation residual networks for CIFAR, deep and wide: norm and ReLU before each convolution.

Where the shape changes, the shortcut is a 1x1 convolution of the activated input, and both paths
share that activation; elsewhere the shortcut is the input as it is.
"""

from __future__ import annotations

from striate.design import Constant, He, Network, Sketch
from striate.zoo.declared import Accuracy, Figure
from striate.zoo.registry import Shape, register

_DEEP = "He et al., 'Identity Mappings in Deep Residual Networks', ECCV 2016"
_WIDE = "Zagoruyko and Komodakis, 'Wide Residual Networks', BMVC 2016"


def preresnet(
    blocks: int,
    *,
    name: str,
    classes: int,
    input: Shape,
    width: int = 16,
    bottleneck: bool = False,
    dropout: float = 0.0,
) -> Network:
    """Write a pre-activation network of three stages.

    Args:
        blocks: in each stage.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        width: channels of the first stage's 3x3 convolutions; the stem has 16.
        bottleneck: blocks of 1x1 (which strides), 3x3, 1x1 with 4 x the channels at their ends.
        dropout: between the two convolutions of a basic block.
    """
    net = Sketch(name, input, weight_init=He())
    net.conv("conv1", 16, 3, padding=1, bias="none")
    channels = 16
    for stage in (1, 2, 3):
        features = width * 2 ** (stage - 1)
        for index in range(blocks):
            stride = 2 if stage > 1 and index == 0 else 1
            scope = f"layer{stage}.{index}"
            wide = 4 * features if bottleneck else features
            same = net.last
            net.batch_norm(f"{scope}.bn1")
            active = net.relu(f"{scope}.relu1")
            if bottleneck:
                main = _bottleneck(net, scope, features, stride)
            else:
                main = _basic(net, scope, features, stride, dropout)
            if stride != 1 or channels != wide:
                same = net.conv(f"{scope}.shortcut", wide, 1, stride=stride, bias="none", of=active)
            net.add(f"{scope}.add", main, same)
            channels = wide
    net.batch_norm("bn")
    net.relu("relu")
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.linear("linear", classes, weight_init=He(), bias_init=Constant())
    return net.finish()


def _basic(net: Sketch, scope: str, features: int, stride: int, dropout: float) -> str:
    net.conv(f"{scope}.conv1", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn2")
    net.relu(f"{scope}.relu2")
    if dropout:
        net.dropout(f"{scope}.dropout", dropout)
    return net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")


def _bottleneck(net: Sketch, scope: str, features: int, stride: int) -> str:
    net.conv(f"{scope}.conv1", features, 1, stride=stride, bias="none")
    net.batch_norm(f"{scope}.bn2")
    net.relu(f"{scope}.relu2")
    net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn3")
    net.relu(f"{scope}.relu3")
    return net.conv(f"{scope}.conv3", 4 * features, 1, bias="none")


def _register_deep(depth: int, parameters: int, macs: int, error: float) -> None:
    @register(
        name=f"preresnet{depth}",
        summary=f"{depth} layers of pre-activation bottlenecks for 32x32 images",
        citation=f"{_DEEP}, table 4",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        accuracy=(
            Accuracy(data="cifar10", top1=round(100 - error, 2), source="the paper's table 4"),
        ),
    )
    def write(*, name: str, classes: int, input: Shape) -> Network:
        return preresnet((depth - 2) // 9, name=name, classes=classes, input=input, bottleneck=True)


_register_deep(164, 1_703_258, 244_500_992, 5.46)
_register_deep(1001, 10_327_706, 1_487_849_984, 4.92)


def _register_wide(
    depth: int, factor: int, parameters: int, macs: int, printed: str, error: float
) -> None:
    @register(
        name=f"wrn_{depth}_{factor}",
        summary=f"{depth} layers, {factor} times as wide as a ResNet for 32x32 images",
        citation=f"{_WIDE}, tables 1 and 4",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        declared=(Figure(what="parameters", printed=printed, source="the paper's table 5"),),
        accuracy=(
            Accuracy(data="cifar10", top1=round(100 - error, 2), source="the authors' README"),
        ),
    )
    def write(*, name: str, classes: int, input: Shape, dropout: float = 0.0) -> Network:
        return preresnet(
            (depth - 4) // 6,
            name=name,
            classes=classes,
            input=input,
            width=16 * factor,
            dropout=dropout,
        )


_register_wide(16, 8, 10_961_370, 1_548_145_664, "11.0M", 4.27)
_register_wide(40, 4, 8_949_210, 1_298_582_016, "8.9M", 4.53)
_register_wide(28, 10, 36_479_194, 5_243_328_768, "36.5M", 4.00)
