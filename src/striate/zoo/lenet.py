"""LeNet as it is used today, and LeNet-5 as its paper has it."""

from __future__ import annotations

from striate.design import (
    Codes,
    Conv,
    He,
    InverseFanIn,
    Network,
    Rbf,
    Sketch,
    Subsample,
    Tanh,
)
from striate.zoo.declared import Accuracy, Figure, Quantity
from striate.zoo.registry import Shape, register

_PAPER = "LeCun, Bottou, Bengio, Haffner, 'Gradient-based learning', Proc. IEEE 1998"


@register(
    name="lenet",
    summary="two 5x5 convolutions with pooling, three fully connected layers",
    citation="LeCun et al., Proc. IEEE 1998, with ReLU, max pooling and a softmax",
    input=(1, 28, 28),
    classes=10,
    parameters=61_706,
    macs=416_520,
    deviations="full C3, no trainable subsampling, no RBF output: `lenet5_1998` has them",
)
def lenet(*, name: str, classes: int, input: Shape) -> Network:
    """Write 6-16-120-84; 28x28 images are padded by 2."""
    net = Sketch(name, input, weight_init=He())
    net.conv("conv1", 6, 5, padding=2)
    net.relu("relu1")
    net.max_pool("pool1", 2)
    net.conv("conv2", 16, 5)
    net.relu("relu2")
    net.max_pool("pool2", 2)
    net.flatten()
    net.linear("fc1", 120)
    net.relu("relu3")
    net.linear("fc2", 84)
    net.relu("relu4")
    net.linear("fc3", classes)
    return net.finish()


# Table I: the maps of S2 that each map of C3 sees.
TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

# Figure 3: the digits 0 to 9 as bitmaps of 7x12, side by side.
BITMAPS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def codes(classes: int) -> Codes:
    """Return the words of the first classes: bitmaps of digits, as many as there are."""
    rows = [line.split() for line in BITMAPS.strip().splitlines()]
    return Codes(words=tuple("".join(word) for word in zip(*rows, strict=True))[:classes])


def _printed(scope: str, parameters: str, connections: str) -> tuple[Figure, ...]:
    pairs: tuple[tuple[Quantity, str], ...] = (
        ("parameters", parameters),
        ("connections", connections),
    )
    return tuple(Figure(what=what, printed=printed, scope=scope) for what, printed in pairs)


@register(
    name="lenet5_1998",
    summary="LeNet-5: C3 by table, trained subsampling, scaled tanh, distances to fixed codes",
    citation=f"{_PAPER}, section II",
    input=(1, 32, 32),
    classes=10,
    parameters=60_000,
    deviations="the paper prints its codes as a picture only (figure 3), read off here; starting "
    "weights of C3 take one fan-in for all its maps",
    declared=(
        *_printed("c1", "156", "122,304"),
        *_printed("s2", "12", "5,880"),
        *_printed("c3", "1,516", "151,600"),
        *_printed("s4", "32", "2,000"),
        Figure(what="connections", printed="48,120", scope="c5"),
        Figure(what="parameters", printed="10,164", scope="f6"),
        Figure(what="parameters", printed="60,000"),
        Figure(what="connections", printed="340,908"),
    ),
    accuracy=(Accuracy(data="mnist", top1=99.05, source="the paper's figure 9, no distortions"),),
)
def lenet5_1998(*, name: str, classes: int, input: Shape, trained_codes: bool = False) -> Network:
    """Write the paper's network; another class count has drawn codes beyond the ten digits.

    Args:
        name: of the network.
        classes: codes of the output.
        input: (channels, height, width).
        trained_codes: whether the codes are trained too.
    """
    net = Sketch(name, input, weight_init=InverseFanIn(), bias_init=InverseFanIn())
    net.conv("c1", 6, 5)
    _squash(net, "c1")
    _subsample(net, "s2")
    net.put(_by_table("c3", net.last))
    _squash(net, "c3")
    _subsample(net, "s4")
    net.conv("c5", 120, 5)
    _squash(net, "c5")
    net.flatten()
    net.linear("f6", 84)
    _squash(net, "f6")
    net.put(
        Rbf(
            name="output",
            inputs=(net.last,),
            features=classes,
            fixed=not trained_codes,
            weight_init=codes(classes),
        )
    )
    return net.finish()


def _squash(net: Sketch, after: str) -> None:
    net.put(Tanh(name=f"{after}_tanh", inputs=(net.last,), outer=1.7159, inner=2 / 3))


def _subsample(net: Sketch, name: str) -> None:
    net.put(
        Subsample(
            name=name,
            inputs=(net.last,),
            kernel=(2, 2),
            stride=(2, 2),
            padding=((0, 0), (0, 0)),
            weight_init=InverseFanIn(),
            bias_init=InverseFanIn(),
        )
    )
    _squash(net, name)


def _by_table(name: str, source: str) -> Conv:
    return Conv(
        name=name,
        inputs=(source,),
        features=len(TABLE),
        kernel=(5, 5),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        connections=TABLE,
        weight_init=InverseFanIn(),
        bias_init=InverseFanIn(),
    )
