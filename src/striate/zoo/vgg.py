"""VGG: columns A, A-LRN, B, C, D and E of the paper's table 1, with torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Literal

from striate.design import He, Network, Normal, Sketch
from striate.zoo.alexnet import alexnet_norm
from striate.zoo.declared import Figure, torchvision
from striate.zoo.registry import Shape, register

Norm = Literal["none", "batch", "response"]

_SOURCE = "Simonyan and Zisserman, ICLR 2015, table 1, column {}"

# Filters of each stage; a kernel other than 3 is written beside them.
_COLUMNS: dict[str, tuple[tuple[int | tuple[int, int], ...], ...]] = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "C": (
        (64, 64),
        (128, 128),
        (256, 256, (256, 1)),
        (512, 512, (512, 1)),
        (512, 512, (512, 1)),
    ),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "E": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


_ACTIVATIONS = Figure(
    what="activations",
    printed="24M",
    source="the lectures' table",
    why="its own rows sum to 15.2M, and no convention of what is kept gives 24M",
)


def vgg(
    column: str,
    *,
    name: str,
    classes: int,
    input: Shape,
    hidden: int = 4096,
    dropout: float = 0.5,
    norm: Norm = "none",
) -> Network:
    """Write a column of the table; images of other sizes meet the classifier through 7x7 pooling.

    Args:
        column: A to E.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        hidden: width of the two fully connected layers.
        dropout: after each of them.
        norm: `batch` normalises after every convolution; `response` after the first ReLU, as
            column A-LRN does.
    """
    net = Sketch(name, input, weight_init=He(fan="out"))
    _features(net, _COLUMNS[column], norm)
    net.adaptive_avg_pool("avgpool", 7)
    net.flatten()
    for index in (0, 3):
        net.linear(f"classifier.{index}", hidden, weight_init=Normal(std=0.01))
        net.relu(f"classifier.{index + 1}")
        net.dropout(f"classifier.{index + 2}", dropout)
    net.linear("classifier.6", classes, weight_init=Normal(std=0.01))
    return net.finish()


def _features(net: Sketch, stages: Sequence[Sequence[int | tuple[int, int]]], norm: Norm) -> None:
    index = count()
    for number, stage in enumerate(stages):
        for layer in stage:
            width, kernel = (layer, 3) if isinstance(layer, int) else layer
            net.conv(f"features.{next(index)}", width, kernel, padding=kernel // 2)
            if norm == "batch":
                net.batch_norm(f"features.{next(index)}")
            net.relu(f"features.{next(index)}")
        if norm == "response" and number == 0:
            net.put(alexnet_norm(f"features.{next(index)}", net.last))
        net.max_pool(f"features.{next(index)}", 2)


def _register(
    name: str,
    column: str,
    layers: int,
    parameters: int,
    macs: int,
    *,
    norm: Norm = "none",
    declared: tuple[Figure, ...] = (),
    accuracy: tuple[float, float] | None = None,
) -> None:
    form = {"none": "", "batch": ", batch norm", "response": ", response norm"}[norm]
    start = "starts from He's initialisation, not from a trained shallower column"

    @register(
        name=name,
        summary=f"{layers} weight layers" + (", three of them 1x1" * (column == "C")) + form,
        citation=_SOURCE.format(column + ("-LRN" if norm == "response" else "")),
        input=(3, 224, 224),
        parameters=parameters,
        macs=macs,
        deviations=f"{start}; batch norm as torchvision adds it" if norm == "batch" else start,
        declared=declared,
        accuracy=(torchvision(*accuracy),) if accuracy else (),
    )
    def write(
        *, name: str, classes: int, input: Shape, hidden: int = 4096, dropout: float = 0.5
    ) -> Network:
        return vgg(
            column,
            name=name,
            classes=classes,
            input=input,
            hidden=hidden,
            dropout=dropout,
            norm=norm,
        )


def _millions(printed: str) -> Figure:
    return Figure(what="parameters", printed=f"{printed}M", source="the paper's table 2")


_A, _B, _C, _D, _E = map(_millions, ("133", "133", "134", "138", "144"))

_register("vgg11", "A", 11, 132_863_336, 7_609_090_048, declared=(_A,), accuracy=(69.020, 88.628))
_register("vgg11_lrn", "A", 11, 132_863_336, 7_609_090_048, norm="response", declared=(_A,))
_register("vgg13", "B", 13, 133_047_848, 11_308_466_176, declared=(_B,), accuracy=(69.928, 89.246))
_register("vgg16_c", "C", 16, 133_638_952, 11_770_888_192, declared=(_C,))
_register(
    "vgg16",
    "D",
    16,
    138_357_544,
    15_470_264_320,
    declared=(_D, _ACTIVATIONS),
    accuracy=(71.592, 90.382),
)
_register("vgg19", "E", 19, 143_667_240, 19_632_062_464, declared=(_E,), accuracy=(72.376, 90.876))
_register("vgg11_bn", "A", 11, 132_868_840, 7_609_090_048, norm="batch", accuracy=(70.370, 89.810))
_register("vgg13_bn", "B", 13, 133_053_736, 11_308_466_176, norm="batch", accuracy=(71.586, 90.374))
_register("vgg16_bn", "D", 16, 138_365_992, 15_470_264_320, norm="batch", accuracy=(73.360, 91.516))
_register("vgg19_bn", "E", 19, 143_678_248, 19_632_062_464, norm="batch", accuracy=(74.218, 91.842))
