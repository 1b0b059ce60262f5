"""The Neocognitron, the first network of shared filters and pooling, as a gradient trains it."""

from __future__ import annotations

from striate.design import CCells, Fading, Network, SCells, Sketch, Slice
from striate.zoo.registry import Shape, register

_PAPER = "Fukushima, 'Neocognitron', Biological Cybernetics 36, 1980"
_PLANES = 24  # in every layer


@register(
    name="neocognitron",
    summary="three pairs of S- and C-cells with 24 planes each, then a classifier",
    citation=f"{_PAPER}, section 5",
    input=(1, 16, 16),
    classes=10,
    deviations="trained by gradient, where the paper's cells organise themselves without labels: "
    "synapses are absolute values, and a fully connected layer names the classes of the last "
    "C-cells, of which the paper takes the most active",
)
def neocognitron(*, name: str, classes: int, input: Shape, planes: int = _PLANES) -> Network:
    """Write the network of the paper's simulation: planes of 16, 10, 8, 6, 2 and 1 cells a side.

    Args:
        name: of the network.
        classes: features of the classifier.
        input: (channels, height, width); what is below 0 counts as 0.
        planes: in each layer.
    """
    net = Sketch(name, input)
    net.relu("u0")
    _s_cells(net, "s1", planes, 5, 2, 4.0)
    # C1 leaves out the border: 10 cells a side, whose windows lie within the inner 14 of 16.
    net.put(Slice(name="inner", inputs=(net.last,), ranges=((0, None, 1), *((1, -1, 1),) * 2)))
    _c_cells(net, "c1", 5, 0)
    _s_cells(net, "s2", planes, 5, 1, 1.5)
    _c_cells(net, "c2", 5, 1)
    _s_cells(net, "s3", planes, 5, 0, 1.5)
    _c_cells(net, "c3", 2, 0)
    net.flatten()
    net.linear("classifier", classes)
    return net.finish()


def _s_cells(
    net: Sketch, name: str, planes: int, kernel: int, padding: int, selectivity: float
) -> None:
    net.put(
        SCells(
            name=name,
            inputs=(net.last,),
            features=planes,
            kernel=(kernel, kernel),
            stride=(1, 1),
            padding=((padding, padding), (padding, padding)),
            selectivity=selectivity,
        )
    )


def _c_cells(net: Sketch, name: str, kernel: int, padding: int) -> None:
    net.put(
        CCells(
            name=name,
            inputs=(net.last,),
            kernel=(kernel, kernel),
            stride=(1, 1),
            padding=((padding, padding), (padding, padding)),
            fading=Fading(total=4.0),
        )
    )
