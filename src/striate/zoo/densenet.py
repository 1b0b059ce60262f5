"""Densely connected networks: torchvision's for ImageNet, the paper's for CIFAR.

Every layer reads the outputs of all layers before it in its block. On paper each joins its own to
what it read, which is one concatenation a layer and the same values in the same order.
"""

from __future__ import annotations

from striate.design import Constant, FanInUniform, He, Network, Sketch
from striate.zoo.declared import Accuracy, Figure, torchvision
from striate.zoo.registry import Shape, register

_PAPER = "Huang et al., 'Densely Connected Convolutional Networks', CVPR 2017"


def densenet(
    blocks: tuple[int, ...],
    growth: int,
    first: int,
    *,
    name: str,
    classes: int,
    input: Shape,
    bottleneck: bool = True,
    compression: float = 0.5,
    stem: bool = True,
    dropout: float = 0.0,
) -> Network:
    """Write a DenseNet with torchvision's names.

    Args:
        blocks: layers in each dense block.
        growth: k, channels that each layer adds.
        first: channels before the first block.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        bottleneck: a 1x1 to 4 k channels before each 3x3 (the B of -BC).
        compression: theta, the share of channels that a transition lets through (the C).
        stem: 7x7 with stride 2 and max pooling, for ImageNet; else one 3x3.
        dropout: after every convolution but the first, as the paper has it without augmentation.
    """
    net = Sketch(name, input, weight_init=He())
    if stem:
        net.conv("features.conv0", first, 7, stride=2, padding=3, bias="none")
        net.batch_norm("features.norm0")
        net.relu("features.relu0")
        net.max_pool("features.pool0", 3, stride=2, padding=1)
    else:
        net.conv("features.conv0", first, 3, padding=1, bias="none")
    channels = first
    for block, count in enumerate(blocks, start=1):
        for index in range(1, count + 1):
            scope = f"features.denseblock{block}.denselayer{index}"
            _layer(net, scope, growth, bottleneck, dropout)
        channels += count * growth
        if block < len(blocks):
            channels = int(compression * channels)
            _transition(net, f"features.transition{block}", channels, dropout)
    net.batch_norm(f"features.norm{len(blocks) + 1}")
    net.relu("relu")
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.linear("classifier", classes, weight_init=FanInUniform(), bias_init=Constant())
    return net.finish()


def _layer(net: Sketch, scope: str, growth: int, bottleneck: bool, dropout: float) -> None:
    before = net.last
    net.batch_norm(f"{scope}.norm1")
    net.relu(f"{scope}.relu1")
    if bottleneck:
        net.conv(f"{scope}.conv1", 4 * growth, 1, bias="none")
        if dropout:
            net.dropout(f"{scope}.drop1", dropout)
        net.batch_norm(f"{scope}.norm2")
        net.relu(f"{scope}.relu2")
    last = net.conv(f"{scope}.conv{1 + bottleneck}", growth, 3, padding=1, bias="none")
    if dropout:
        last = net.dropout(f"{scope}.drop{1 + bottleneck}", dropout)
    net.concat(f"{scope}.concat", before, last)


def _transition(net: Sketch, scope: str, channels: int, dropout: float) -> None:
    net.batch_norm(f"{scope}.norm")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv", channels, 1, bias="none")
    if dropout:
        net.dropout(f"{scope}.drop", dropout)
    net.avg_pool(f"{scope}.pool", 2)


def _register_imagenet(
    depth: int,
    blocks: tuple[int, ...],
    growth: int,
    parameters: int,
    macs: str,
    accuracy: Accuracy,
) -> None:
    @register(
        name=f"densenet{depth}",
        summary=f"dense blocks of {', '.join(map(str, blocks))} layers, growth {growth}",
        citation=f"{_PAPER}, table 1",
        input=(3, 224, 224),
        parameters=parameters,
        declared=(Figure(what="macs", printed=macs, source="torchvision"),),
        accuracy=(accuracy,),
    )
    def write(*, name: str, classes: int, input: Shape, dropout: float = 0.0) -> Network:
        return densenet(
            blocks,
            growth,
            2 * growth,
            name=name,
            classes=classes,
            input=input,
            dropout=dropout,
        )


_register_imagenet(121, (6, 12, 24, 16), 32, 7_978_856, "2.834G", torchvision(74.434, 91.972))
_register_imagenet(161, (6, 12, 36, 24), 48, 28_681_000, "7.728G", torchvision(77.138, 93.560))
_register_imagenet(169, (6, 12, 32, 32), 32, 14_149_480, "3.360G", torchvision(75.600, 92.806))
_register_imagenet(201, (6, 12, 48, 32), 32, 20_013_928, "4.291G", torchvision(76.896, 93.370))


def _register_cifar(
    depth: int,
    growth: int,
    bottleneck: bool,
    parameters: int,
    macs: int,
    printed: str,
    error: float,
) -> None:
    kind = "densenet_bc" if bottleneck else "densenet"
    layers = (depth - 4) // (6 if bottleneck else 3)

    @register(
        name=f"{kind}_{depth}_{growth}",
        summary=f"three dense blocks of {layers} layers, growth {growth}"
        + (", bottlenecks, half the channels at transitions" if bottleneck else ""),
        citation=f"{_PAPER}, table 2",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        declared=(Figure(what="parameters", printed=printed, source="the paper's table 2"),),
        accuracy=(
            Accuracy(
                data="cifar10",
                top1=round(100 - error, 2),
                source="the paper's table 2, with augmentation",
            ),
        ),
    )
    def write(*, name: str, classes: int, input: Shape, dropout: float = 0.0) -> Network:
        return densenet(
            (layers,) * 3,
            growth,
            2 * growth if bottleneck else 16,
            name=name,
            classes=classes,
            input=input,
            bottleneck=bottleneck,
            compression=0.5 if bottleneck else 1.0,
            stem=False,
            dropout=dropout,
        )


_register_cifar(40, 12, False, 1_019_722, 264_812_928, "1.0M", 5.24)
_register_cifar(100, 12, False, 6_979_642, 1_769_516_448, "7.0M", 4.10)
_register_cifar(100, 24, False, 27_249_082, 6_889_347_744, "27.2M", 3.74)
_register_cifar(100, 12, True, 769_162, 287_929_692, "0.8M", 4.51)
_register_cifar(250, 24, True, 15_324_406, 5_418_785_724, "15.3M", 3.62)
_register_cifar(190, 40, True, 25_624_430, 9_301_945_740, "25.6M", 3.46)
