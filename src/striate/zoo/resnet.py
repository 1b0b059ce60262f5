"""Residual networks: torchvision's and the paper's for ImageNet, the paper's for CIFAR; and plain.

A plain network is a residual one without its shortcuts: the paper's control.
"""

from __future__ import annotations

from typing import Literal

from striate.design import Constant, FanInUniform, He, Network, Sketch
from striate.errors import UsageError
from striate.zoo.declared import Accuracy, Figure, torchvision
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
    stride_first: bool = False,
    plain: bool = False,
    groups: int = 1,
    group_width: int = 64,
) -> Network:
    """Write a residual network with torchvision's names, projections where the shape changes.

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
        stride_first: bottlenecks stride in their first 1x1, as the paper's; else in the 3x3.
        plain: leave all shortcuts out.
        groups: of the 3x3 convolutions of bottlenecks (ResNeXt's cardinality).
        group_width: channels of each group in the first stage, where `width` is 64.
    """
    if groups < 1 or group_width < 1:
        raise UsageError(
            f"Expected at least one group and channel, received groups={groups}, "
            f"group_width={group_width}."
        )
    net = Sketch(name, input, weight_init=He(fan="out"))
    _stem(net, stem, width)
    channels = width
    last = 0.0 if zero_last_scale else 1.0
    for stage, count in enumerate(blocks, start=1):
        features = width * 2 ** (stage - 1)
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            scope = f"layer{stage}.{index}"
            source = net.last
            if bottleneck:
                inner = features * group_width // 64 * groups
                main = _bottleneck(net, scope, features, stride, last, stride_first, inner, groups)
            else:
                main = _basic(net, scope, features, stride, last)
            wide = 4 * features if bottleneck else features
            if not plain:
                shortcut = _projection(net, scope, source, channels, wide, stride, average)
                net.add(f"{scope}.add", main, shortcut)
            net.relu(f"{scope}.relu{2 if bottleneck else 1}")
            channels = wide
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


def _basic(net: Sketch, scope: str, features: int, stride: int, last: float) -> str:
    net.conv(f"{scope}.conv1", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")
    return net.batch_norm(f"{scope}.bn2", scale=last)


def _bottleneck(
    net: Sketch,
    scope: str,
    features: int,
    stride: int,
    last: float,
    stride_first: bool,
    inner: int,
    groups: int,
) -> str:
    first, second = (stride, 1) if stride_first else (1, stride)
    net.conv(f"{scope}.conv1", inner, 1, stride=first, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", inner, 3, stride=second, padding=1, groups=groups, bias="none")
    net.batch_norm(f"{scope}.bn2")
    net.relu(f"{scope}.relu1")
    net.conv(f"{scope}.conv3", 4 * features, 1, bias="none")
    return net.batch_norm(f"{scope}.bn3", scale=last)


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
    name: str,
    blocks: tuple[int, ...],
    *,
    bottleneck: bool,
    stride_first: bool = False,
    plain: bool = False,
    parameters: int | None = None,
    macs: int | None = None,
    declared: tuple[Figure, ...] = (),
    accuracy: tuple[Accuracy, ...] = (),
) -> None:
    what = f"{'bottleneck' if bottleneck else 'basic'} blocks {blocks}"
    moved = bottleneck and not stride_first

    @register(
        name=name,
        summary=what
        + (", stride in the first 1x1" if stride_first else "")
        + (", without shortcuts" if plain else ""),
        citation=_PAPER.format("table 1"),
        input=(3, 224, 224),
        parameters=parameters,
        macs=macs,
        deviations="stride in the 3x3, as torchvision has it" if moved else "",
        declared=declared,
        accuracy=accuracy,
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
            stride_first=stride_first,
            plain=plain,
        )


def _printed(macs: str) -> tuple[Figure, ...]:
    return (Figure(what="macs", printed=macs, source="the paper's table 1, as FLOPs"),)


def _register_all() -> None:
    """Torchvision's five; the paper's own where the stride is elsewhere; its plain controls."""
    basic = (
        (18, (2, 2, 2, 2), 11_689_512, 1_814_073_344, "1.8G", torchvision(69.758, 89.078)),
        (34, (3, 4, 6, 3), 21_797_672, 3_663_761_408, "3.6G", torchvision(73.314, 91.420)),
    )
    deep = (
        (50, (3, 4, 6, 3), 25_557_032, 4_089_184_256, 3_857_973_248, "3.8G", (76.130, 92.862)),
        (101, (3, 4, 23, 3), 44_549_160, 7_801_405_440, 7_570_194_432, "7.6G", (77.374, 93.546)),
        (152, (3, 8, 36, 3), 60_192_808, 11_513_626_624, 11_282_415_616, "11.3G", (78.312, 94.046)),
    )
    for depth, blocks, parameters, macs, printed, accuracy in basic:
        _register_imagenet(
            f"resnet{depth}",
            blocks,
            bottleneck=False,
            parameters=parameters,
            macs=macs,
            declared=_printed(printed),
            accuracy=(accuracy,),
        )
        _register_imagenet(
            f"plain{depth}", blocks, bottleneck=False, plain=True, declared=_printed(printed)
        )
    for depth, blocks, parameters, macs, macs_v1, printed, (top1, top5) in deep:
        _register_imagenet(
            f"resnet{depth}",
            blocks,
            bottleneck=True,
            parameters=parameters,
            macs=macs,
            accuracy=(torchvision(top1, top5),),
        )
        _register_imagenet(
            f"resnet{depth}_v1",
            blocks,
            bottleneck=True,
            stride_first=True,
            parameters=parameters,
            macs=macs_v1,
            declared=_printed(printed),
        )


_register_all()


Shortcuts = Literal["A", "B", "none"]


def resnet_cifar(
    depth: int,
    *,
    name: str,
    classes: int,
    input: Shape,
    width: int = 16,
    shortcuts: Shortcuts = "A",
) -> Network:
    """Write the paper's network for 32x32 images: 6n + 2 layers.

    Args:
        depth: 6n + 2.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        width: channels of the first stage.
        shortcuts: where the shape changes: `A` takes every second pixel and zeros as channels, `B`
            projects; `none` leaves all shortcuts out (the paper's plain networks).
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
            _cifar_block(net, f"layer{stage}.{index}", channels, features, stride, shortcuts)
            channels = features
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.linear("linear", classes, weight_init=He(), bias_init=Constant())
    return net.finish()


def _cifar_block(
    net: Sketch, scope: str, channels: int, features: int, stride: int, shortcuts: Shortcuts
) -> None:
    shortcut = net.last
    net.conv(f"{scope}.conv1", features, 3, stride=stride, padding=1, bias="none")
    net.batch_norm(f"{scope}.bn1")
    net.relu(f"{scope}.relu")
    net.conv(f"{scope}.conv2", features, 3, padding=1, bias="none")
    main = net.batch_norm(f"{scope}.bn2")
    if shortcuts != "none":
        if stride != 1 or channels != features:
            if shortcuts == "A":
                shortcut = net.shortcut(f"{scope}.shortcut", features, stride, of=shortcut)
            else:
                shortcut = _projection(net, scope, shortcut, channels, features, stride, False)
        net.add(f"{scope}.add", main, shortcut)
    net.relu(f"{scope}.relu1")


def _register_cifar(
    name: str,
    depth: int,
    shortcuts: Shortcuts,
    parameters: int | None = None,
    macs: int | None = None,
    *,
    printed: str | None = None,
    error: float | None = None,
) -> None:
    kinds = {
        "A": "shortcuts without parameters (option A)",
        "B": "projections where the shape changes (option B)",
        "none": "no shortcuts",
    }
    table = "the paper's table 6"

    @register(
        name=name,
        summary=f"{depth} layers for 32x32 images, {kinds[shortcuts]}",
        citation=_PAPER.format("section 4.2"),
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        declared=(Figure(what="parameters", printed=printed, source=table),) if printed else (),
        accuracy=(Accuracy(data="cifar10", top1=round(100 - error, 2), source=table),)
        if error is not None
        else (),
    )
    def write(*, name: str, classes: int, input: Shape, width: int = 16) -> Network:
        return resnet_cifar(
            depth, name=name, classes=classes, input=input, width=width, shortcuts=shortcuts
        )


def _register_all_cifar() -> None:
    for depth, parameters, macs, printed, error in (
        (20, 269_722, 40_551_040, "0.27M", 8.75),
        (32, 464_154, 68_862_592, "0.46M", 7.51),
        (44, 658_586, 97_174_144, "0.66M", 7.17),
        (56, 853_018, 125_485_696, "0.85M", 6.97),
        (110, 1_727_962, 252_887_680, "1.7M", 6.43),
        (1202, 19_421_274, 2_829_238_912, "19.4M", 7.93),
    ):
        _register_cifar(
            f"resnet{depth}", depth, "A", parameters, macs, printed=printed, error=error
        )
    for depth in (20, 32, 44, 56, 110):
        known = (272_474, 40_813_184) if depth == 20 else (None, None)
        _register_cifar(f"resnet{depth}_b", depth, "B", *known)
    for depth in (20, 32, 44, 56, 110):
        _register_cifar(f"plain{depth}", depth, "none")


_register_all_cifar()
