"""SqueezeNet 1.0 and 1.1, with torchvision's names."""

from __future__ import annotations

from math import sqrt

from striate.design import Constant, FanInUniform, Network, Normal, Sketch
from striate.errors import UsageError
from striate.zoo.declared import Figure, torchvision
from striate.zoo.registry import Shape, register

_PAPER = "Iandola et al., 'SqueezeNet: AlexNet-level accuracy with 50x fewer parameters', 2016"

# Fire modules: features of squeeze, and of each of the two expansions; "pool" between them.
_Fire = tuple[int, int]
_VERSIONS: dict[str, tuple[tuple[int, int], tuple[_Fire | str, ...]]] = {
    "1.0": (
        (96, 7),
        ("pool", (16, 64), (16, 64), (32, 128), "pool")
        + ((32, 128), (48, 192), (48, 192), (64, 256), "pool", (64, 256)),
    ),
    "1.1": (
        (64, 3),
        ("pool", (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool")
        + ((48, 192), (48, 192), (64, 256), (64, 256)),
    ),
}


def squeezenet(
    version: str, *, name: str, classes: int, input: Shape, last_padding: int = 0
) -> Network:
    """Write a stem, eight fire modules (1x1 squeeze, 1x1 and 3x3 expansion) and a 1x1 classifier.

    Args:
        version: `1.0` is the paper's; `1.1` has a smaller stem and pools earlier.
        name: of the network.
        classes: features of the classifier.
        input: (channels, height, width).
        last_padding: around the classifier's 1x1, 1 in the authors' own definition.
    """
    if last_padding < 0:
        raise UsageError(f"Expected last_padding of at least 0, received {last_padding}.")
    (width, kernel), steps = _VERSIONS[version]
    net = Sketch(name, input, weight_init=FanInUniform(gain=sqrt(6)), bias_init=Constant())
    net.conv("features.0", width, kernel, stride=2)
    net.relu("features.1")
    for index, step in enumerate(steps, start=2):
        if isinstance(step, str):
            net.max_pool(f"features.{index}", 3, stride=2, ceil=True)
        else:
            _fire(net, f"features.{index}", *step)
    net.dropout("classifier.0")
    net.conv("classifier.1", classes, 1, padding=last_padding, weight_init=Normal(std=0.01))
    net.relu("classifier.2")
    net.adaptive_avg_pool("classifier.3")
    net.flatten()
    return net.finish()


def _fire(net: Sketch, scope: str, squeeze: int, expand: int) -> None:
    net.conv(f"{scope}.squeeze", squeeze, 1)
    squeezed = net.relu(f"{scope}.squeeze_activation")
    net.conv(f"{scope}.expand1x1", expand, 1)
    narrow = net.relu(f"{scope}.expand1x1_activation")
    net.conv(f"{scope}.expand3x3", expand, 3, padding=1, of=squeezed)
    wide = net.relu(f"{scope}.expand3x3_activation")
    net.concat(f"{scope}.concat", narrow, wide)


def _counts(*rows: tuple[int, str]) -> tuple[Figure, ...]:
    source = "the paper's table 1"
    return tuple(
        Figure(what="parameters", printed=printed, scope=f"features.{index}", source=source)
        for index, printed in rows
    )


@register(
    name="squeezenet1_0",
    summary="eight fire modules after a 7x7 stem",
    citation=f"{_PAPER}, table 1",
    input=(3, 224, 224),
    parameters=1_248_424,
    deviations="no padding before conv10, as torchvision has it; the authors' has 1: last_padding",
    declared=(
        Figure(what="parameters", printed="1,248,424", source="the paper's table 1"),
        *_counts((0, "14,208"), (3, "11,920"), (4, "12,432"), (5, "45,344"), (7, "49,440")),
        Figure(what="macs", printed="0.819G", source="torchvision"),
        *_counts((8, "104,880"), (9, "111,024"), (10, "188,992"), (12, "197,184")),
    ),
    accuracy=(torchvision(58.092, 80.420),),
)
def squeezenet1_0(*, name: str, classes: int, input: Shape, last_padding: int = 0) -> Network:
    """Write the paper's network; `last_padding=1` takes the authors' weights."""
    return squeezenet("1.0", name=name, classes=classes, input=input, last_padding=last_padding)


@register(
    name="squeezenet1_1",
    summary="eight fire modules after a 3x3 stem, pooling earlier: 2.3 times less to compute",
    citation="the authors' version 1.1, as torchvision builds it",
    input=(3, 224, 224),
    parameters=1_235_496,
    declared=(Figure(what="macs", printed="0.349G", source="torchvision"),),
    accuracy=(torchvision(58.178, 80.624),),
)
def squeezenet1_1(*, name: str, classes: int, input: Shape) -> Network:
    """Write the authors' second version, with torchvision's names."""
    return squeezenet("1.1", name=name, classes=classes, input=input)
