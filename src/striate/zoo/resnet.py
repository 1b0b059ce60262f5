"""Residual networks: torchvision's for ImageNet, the paper's for CIFAR."""

from __future__ import annotations

from typing import Literal

from striate.design import Constant, FanInUniform, He, Network, Sketch
from striate.errors import UsageError
from striate.zoo.registry import Shape, register

Stem = Literal["imagenet", "cifar", "deep"]

_PAPER = "He et al., 'Deep Residual Learning', CVPR 2016, {}"


def resnet(
    blocks: tuple[int, ...],
    *,
    name: str,
    classes: int,
    input: Shape,
    bottleneck: bool = False,
    width: int = 64,
    stem: Stem = "imagenet",
    average: bool = False,
    dropout: float = 0.0,
    zero_last_scale: bool = False,
) -> Network:
    """Write torchvision's residual network: stride in the 3x3, projection where the shape changes.

    Args:
        blocks: number of blocks in each stage; each stage doubles the channels.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        bottleneck: blocks of 1x1, 3x3, 1x1 with 4 x the channels at their ends.
        width: channels of the first stage.
        stem: `imagenet` is 7x7 with stride 2 and max pooling; `deep` has two 3x3 for the 7x7;
            `cifar` is a 3x3 with stride 1, for small images.
        average: shortcuts that halve the size average before their 1x1, instead of dropping three
            pixels of four (ResNet-D: He, T. et al., "Bag of Tricks", CVPR 2019).
        dropout: before the classifier.
        zero_last_scale: each block starts as the identity (Goyal et al. 2017).
    """
    net = Sketch(name, input, weight_init=He(fan="out"))
    _stem(net, stem, width)
    channels = width
    last = 0.0 if zero_last_scale else 1.0
    for stage, count in enumerate(blocks, start=1):
        features = width * 2 ** (stage - 1)
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            scope = f"layer{stage}.{index}"
            write = _bottleneck if bottleneck else _basic
            channels = write(net, scope, channels, features, stride, last, average)
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    if dropout:
        net.dropout("dropout", dropout)
    net.linear("fc", classes, weight_init=FanInUniform(), bias_init=FanInUniform())
    return net.finish()


def _stem(net: Sketch, stem: Stem, width: int) -> None:
    if stem == "imagenet":
        net.conv("conv1", width, 7, stride=2, padding=3, bias="none")
    elif stem == "cifar":
        net.conv("conv1", width, 3, padding=1, bias="none")
    elif stem == "deep":
        net.conv("conv0", max(16, width // 2), 3, stride=2, padding=1, bias="none")
        net.batch_norm("bn0")
        net.relu("relu0")
        net.conv("conv1", width, 3, padding=1, bias="none")
    else:
        raise UsageError(f"Expected stem imagenet, cifar or deep, received stem={stem!r}.")
    net.batch_norm("bn1")
    net.relu("relu")
    if stem != "cifar":
        net.max_pool("maxpool", 3, stride=2, padding=1)


def _basic(
    net: Sketch,
    scope: str,
    channels: int,
    features: int,
    stride: int,
    last: float,
    average: bool,
) -> int:
    source = net.last
    net.conv(f"{scope}.conv1", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")
    main = net.batch_norm(f"{scope}.bn2", scale=last)
    shortcut = _projection(net, scope, source, channels, features, stride, average)
    net.add(f"{scope}.add", main, shortcut)
    net.relu(f"{scope}.relu1")
    return features


def _bottleneck(
    net: Sketch,
    scope: str,
    channels: int,
    features: int,
    stride: int,
    last: float,
    average: bool,
) -> int:
    source = net.last
    net.conv(f"{scope}.conv1", features, 1, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn2")
    net.relu(f"{scope}.relu1")
    net.conv(f"{scope}.conv3", 4 * features, 1, bias="none")
    main = net.batch_norm(f"{scope}.bn3", scale=last)
    shortcut = _projection(net, scope, source, channels, 4 * features, stride, average)
    net.add(f"{scope}.add", main, shortcut)
    net.relu(f"{scope}.relu2")
    return 4 * features


def _projection(
    net: Sketch,
    scope: str,
    source: str,
    channels: int,
    features: int,
    stride: int,
    average: bool,
) -> str:
    if stride == 1 and channels == features:
        return source
    if average and stride > 1:
        source = net.avg_pool(f"{scope}.downsample.pool", stride, ceil=True, of=source)
        stride = 1
    net.conv(f"{scope}.downsample.0", features, 1, stride=stride, bias="none", of=source)
    return net.batch_norm(f"{scope}.downsample.1")


def _register_imagenet(
    name: str, blocks: tuple[int, ...], bottleneck: bool, parameters: int, macs: int
) -> None:
    @register(
        name=name,
        summary=f"{'bottleneck' if bottleneck else 'basic'} blocks {blocks}",
        citation=_PAPER.format("table 1"),
        input=(3, 224, 224),
        parameters=parameters,
        macs=macs,
        deviations="stride in the 3x3, as torchvision has it" if bottleneck else "",
    )
    def write(
        *,
        name: str,
        classes: int,
        input: Shape,
        width: int = 64,
        stem: Stem = "imagenet",
        average: bool = False,
        dropout: float = 0.0,
        zero_last_scale: bool = False,
    ) -> Network:
        return resnet(
            blocks,
            name=name,
            classes=classes,
            input=input,
            bottleneck=bottleneck,
            width=width,
            stem=stem,
            average=average,
            dropout=dropout,
            zero_last_scale=zero_last_scale,
        )


_register_imagenet("resnet18", (2, 2, 2, 2), False, 11_689_512, 1_814_073_344)
_register_imagenet("resnet34", (3, 4, 6, 3), False, 21_797_672, 3_663_761_408)
_register_imagenet("resnet50", (3, 4, 6, 3), True, 25_557_032, 4_089_184_256)
_register_imagenet("resnet101", (3, 4, 23, 3), True, 44_549_160, 7_801_405_440)
_register_imagenet("resnet152", (3, 8, 36, 3), True, 60_192_808, 11_513_626_624)


def resnet_cifar(
    depth: int,
    *,
    name: str,
    classes: int,
    input: Shape,
    width: int = 16,
) -> Network:
    """Write the paper's network for 32x32 images: 6n + 2 layers, shortcuts without parameters.

    Args:
        depth: 6n + 2.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        width: channels of the first stage.
    """
    net = Sketch(name, input, weight_init=He())
    net.conv("conv1", width, 3, padding=1, bias="none")
    net.batch_norm("bn1")
    net.relu("relu")
    channels = width
    for stage in (1, 2, 3):
        features = width * 2 ** (stage - 1)
        for index in range((depth - 2) // 6):
            stride = 2 if stage > 1 and index == 0 else 1
            _cifar_block(net, f"layer{stage}.{index}", channels, features, stride)
            channels = features
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.linear("linear", classes, weight_init=He(), bias_init=Constant())
    return net.finish()


def _cifar_block(net: Sketch, scope: str, channels: int, features: int, stride: int) -> None:
    shortcut = net.last
    net.conv(f"{scope}.conv1", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")
    main = net.batch_norm(f"{scope}.bn2")
    if stride != 1 or channels != features:
        shortcut = net.shortcut(f"{scope}.shortcut", features, stride, of=shortcut)
    net.add(f"{scope}.add", main, shortcut)
    net.relu(f"{scope}.relu1")


def _register_cifar(depth: int, parameters: int, macs: int) -> None:
    @register(
        name=f"resnet{depth}",
        summary=f"{depth} layers for 32x32 images, shortcuts without parameters (option A)",
        citation=_PAPER.format("section 4.2"),
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
    )
    def write(*, name: str, classes: int, input: Shape, width: int = 16) -> Network:
        return resnet_cifar(depth, name=name, classes=classes, input=input, width=width)


_register_cifar(20, 269_722, 40_551_040)
_register_cifar(32, 464_154, 68_862_592)
_register_cifar(44, 658_586, 97_174_144)
_register_cifar(56, 853_018, 125_485_696)
_register_cifar(110, 1_727_962, 252_887_680)
