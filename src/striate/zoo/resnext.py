"""ResNeXt: residual bottlenecks whose 3x3 convolution is in groups, for ImageNet and for CIFAR.

Names are torchvision's, which are those of its ResNets.
"""

from __future__ import annotations

from typing import Any

from striate.design import Network
from striate.zoo.declared import Accuracy, Figure, torchvision
from striate.zoo.registry import Shape, register
from striate.zoo.resnet import Stem, resnet

_PAPER = "Xie et al., 'Aggregated Residual Transformations', CVPR 2017, {}"
_TABLE = "the paper's table {}"


def _register(
    name: str,
    blocks: tuple[int, ...],
    cardinality: int,
    base: int,
    where: str,
    stem: Stem = "imagenet",
    **known: Any,
) -> None:
    @register(
        name=name,
        summary=f"bottleneck blocks {blocks}, {cardinality} groups of {base} channels",
        citation=where,
        **known,
    )
    def write(
        *,
        name: str,
        classes: int,
        input: Shape,
        groups: int = cardinality,
        group_width: int = base,
        stem: Stem = stem,
        dropout: float = 0.0,
    ) -> Network:
        return resnet(
            blocks,
            name=name,
            classes=classes,
            input=input,
            bottleneck=True,
            stem=stem,
            dropout=dropout,
            groups=groups,
            group_width=group_width,
        )


def _register_imagenet() -> None:
    paper = _TABLE.format(1)
    _register(
        "resnext50_32x4d",
        (3, 4, 6, 3),
        32,
        4,
        _PAPER.format("table 1"),
        input=(3, 224, 224),
        parameters=25_028_904,
        macs=4_230_479_872,
        declared=(
            Figure(what="parameters", printed="25.0M", source=paper),
            Figure(what="macs", printed="4.2G", source=paper),
        ),
        accuracy=(torchvision(77.618, 93.698),),
    )
    for base, cardinality, parameters, macs in (
        (8, 32, 88_791_336, 16_414_015_488),
        (4, 64, 83_455_272, 15_460_270_080),
    ):
        _register(
            f"resnext101_{cardinality}x{base}d",
            (3, 4, 23, 3),
            cardinality,
            base,
            _PAPER.format("section 5.1") + ("" if base == 4 else ", as torchvision has it"),
            input=(3, 224, 224),
            parameters=parameters,
            macs=macs,
            accuracy=(torchvision(79.312, 94.526) if base == 8 else torchvision(83.246, 96.454),),
        )


def _register_cifar() -> None:
    paper = _TABLE.format(7)
    for cardinality, printed, error in ((8, "34.4M", 3.65), (16, "68.1M", 3.58)):
        _register(
            f"resnext29_{cardinality}x64d",
            (3, 3, 3),
            cardinality,
            64,
            _PAPER.format("appendix A"),
            stem="cifar",
            input=(3, 32, 32),
            classes=10,
            declared=(Figure(what="parameters", printed=printed, source=paper),),
            accuracy=(Accuracy(data="cifar10", top1=round(100 - error, 2), source=paper),),
        )


_register_imagenet()
_register_cifar()
