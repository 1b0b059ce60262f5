"""All-convolutional nets: pooling replaced by convolutions with stride 2."""

from __future__ import annotations

from typing import Literal

from striate.design import He, Network, Sketch
from striate.errors import UsageError
from striate.zoo.declared import Accuracy, Figure
from striate.zoo.registry import Shape, register

Reduce = Literal["conv", "pool", "stride", "conv_pool"]

# Kernels of the convolutions before each reduction (table 1); widths are 96 and 192.
_COLUMNS = {"A": (5,), "B": (5, 1), "C": (3, 3)}


def allcnn(
    column: str,
    *,
    name: str,
    classes: int,
    input: Shape,
    reduce: Reduce = "conv",
    dropout: float = 0.5,
) -> Network:
    """Write a column of table 1 with one of table 2's ways to halve the image.

    Args:
        column: A, B or C.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        reduce: `conv` a 3x3 with stride 2 (All-CNN), `pool` max pooling (the base model), `stride`
            neither, the convolution before has the stride (Strided-CNN), `conv_pool` a 3x3 and max
            pooling (ConvPool-CNN).
        dropout: after each reduction; 0.2 of the input is dropped as well where it is not 0.
    """
    if reduce not in ("conv", "pool", "stride", "conv_pool"):
        raise UsageError(f"Expected reduce conv, pool, stride or conv_pool, received {reduce!r}.")
    net = Sketch(name, input, weight_init=He())
    if dropout:
        net.dropout("drop0", 0.2)
    for stage, width in ((1, 96), (2, 192)):
        kernels = _COLUMNS[column]
        for index, kernel in enumerate(kernels, start=1):
            strided = reduce == "stride" and index == len(kernels)
            _conv(net, f"{stage}_{index}", width, kernel, 2 if strided else 1)
        if reduce in ("conv", "conv_pool"):
            _conv(net, f"{stage}_{len(kernels) + 1}", width, 3, 2 if reduce == "conv" else 1)
        if reduce in ("pool", "conv_pool"):
            net.max_pool(f"pool{stage}", 3, stride=2, padding=1)
        if dropout:
            net.dropout(f"drop{stage}", dropout)
    _conv(net, "3_1", 192, 3)
    _conv(net, "3_2", 192, 1)
    _conv(net, "3_3", classes, 1)
    net.adaptive_avg_pool("pool")
    net.flatten()
    return net.finish()


def _conv(net: Sketch, index: str, width: int, kernel: int, stride: int = 1) -> None:
    net.conv(f"conv{index}", width, kernel, stride=stride, padding=kernel // 2)
    net.relu(f"relu{index}")


def _register(
    column: str,
    parameters: int,
    macs: int | None,
    error: float,
    declared: tuple[Figure, ...] = (),
) -> None:
    @register(
        name=f"allcnn_{column.lower()}",
        summary=f"All-CNN-{column}: convolutions only, 3x3 with stride 2 for pooling",
        citation="Springenberg et al., 'Striving for Simplicity', ICLR 2015 workshop, tables 1, 2",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        deviations="padded to keep the size, so the last maps are 8x8 where table 1 averages over "
        "6x6; starts from He's initialisation, the paper does not say from which",
        declared=declared,
        accuracy=(Accuracy(data="cifar10", top1=100 - error, source="the paper, no augmentation"),),
    )
    def write(
        *,
        name: str,
        classes: int,
        input: Shape,
        reduce: Reduce = "conv",
        dropout: float = 0.5,
    ) -> Network:
        return allcnn(
            column, name=name, classes=classes, input=input, reduce=reduce, dropout=dropout
        )


_register("A", 1_254_250, None, 10.30)
_register("B", 1_300_618, None, 9.10)
_register("C", 1_369_738, 281_174_016, 9.08, (Figure(what="parameters", printed="1.4M"),))
