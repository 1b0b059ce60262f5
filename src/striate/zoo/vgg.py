"""VGG: columns A, B, C, D and E of the paper's table 1, with torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence

from striate.design import He, Network, Normal, Sketch
from striate.zoo.registry import Shape, register

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


def vgg(
    column: str, *, name: str, classes: int, input: Shape, hidden: int = 4096, dropout: float = 0.5
) -> Network:
    """Write a column of the table; images of other sizes meet the classifier through 7x7 pooling.

    Args:
        column: A to E.
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        hidden: width of the two fully connected layers.
        dropout: after each of them.
    """
    net = Sketch(name, input, weight_init=He(fan="out"))
    _features(net, _COLUMNS[column])
    net.adaptive_avg_pool("avgpool", 7)
    net.flatten()
    for index in (0, 3):
        net.linear(f"classifier.{index}", hidden, weight_init=Normal(std=0.01))
        net.relu(f"classifier.{index + 1}")
        net.dropout(f"classifier.{index + 2}", dropout)
    net.linear("classifier.6", classes, weight_init=Normal(std=0.01))
    return net.finish()


def _features(net: Sketch, stages: Sequence[Sequence[int | tuple[int, int]]]) -> None:
    index = 0
    for stage in stages:
        for layer in stage:
            width, kernel = (layer, 3) if isinstance(layer, int) else layer
            net.conv(f"features.{index}", width, kernel, padding=kernel // 2)
            net.relu(f"features.{index + 1}")
            index += 2
        net.max_pool(f"features.{index}", 2)
        index += 1


def _register(name: str, column: str, layers: int, parameters: int, macs: int) -> None:
    @register(
        name=name,
        summary=f"{layers} weight layers" + (", three of them 1x1" if column == "C" else ""),
        citation=_SOURCE.format(column),
        input=(3, 224, 224),
        parameters=parameters,
        macs=macs,
        deviations="starts from He's initialisation, not from a trained shallower column",
    )
    def write(
        *, name: str, classes: int, input: Shape, hidden: int = 4096, dropout: float = 0.5
    ) -> Network:
        return vgg(column, name=name, classes=classes, input=input, hidden=hidden, dropout=dropout)


_register("vgg11", "A", 11, 132_863_336, 7_609_090_048)
_register("vgg13", "B", 13, 133_047_848, 11_308_466_176)
_register("vgg16_c", "C", 16, 133_638_952, 11_770_888_192)
_register("vgg16", "D", 16, 138_357_544, 15_470_264_320)
_register("vgg19", "E", 19, 143_667_240, 19_632_062_464)
