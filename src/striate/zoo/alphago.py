"""AlphaGo's networks over a 19x19 board: the policy that proposes moves, the value of a position.

A board position is 48 planes (stone colours, liberties, captures, ladders ...); the value network
has one more, whose turn it is. The policy ends in a 1x1 convolution with a bias of its own at each
position, and the softmax is over the 361 points.
"""

from __future__ import annotations

from striate.design import Network, Sketch
from striate.design.pointwise import Tanh
from striate.errors import DesignError
from striate.zoo.declared import Accuracy, Figure
from striate.zoo.registry import Shape, register

_PAPER = "Silver et al., 'Mastering the game of Go', Nature 2016"


def _trunk(net: Sketch, filters: int, layers: int) -> None:
    """Write the 5x5 and the 3x3 convolutions, all of them with ReLU and the board's size."""
    net.conv("conv1", filters, 5, padding=2)
    net.relu("relu1")
    for index in range(2, layers + 1):
        net.conv(f"conv{index}", filters, 3, padding=1)
        net.relu(f"relu{index}")


def _register_policy(
    filters: int, declared: tuple[Figure, ...] = (), parameters: int | None = None
) -> None:
    top1 = {192: 55.4, 256: 57.0}.get(filters)
    symmetries = {192: "1 symmetry", 256: "8 symmetries"}.get(filters)
    source = f"the paper's extended data table 3, {symmetries}"

    @register(
        name=f"alphago_policy_{filters}",
        summary=f"AlphaGo's policy network with {filters} filters: 48 planes to 361 points",
        citation=f"{_PAPER}, methods and extended data table 3",
        input=(48, 19, 19),
        classes=361,
        per_position=True,
        declared=declared,
        accuracy=(Accuracy(data="kgs", top1=top1, source=source),) if top1 else (),
        parameters=parameters,
    )
    def write(*, name: str, classes: int, input: Shape) -> Network:
        net = Sketch(name, input)
        _trunk(net, filters, 12)
        net.conv("conv13", 1, 1, bias="position")
        net.flatten()
        network = net.finish()
        if network.classes != classes:
            raise DesignError(
                f"{name} answers with one value for each of the {input[1]}x{input[2]} points of "
                f"the board: expected classes={network.classes}, received classes={classes}.",
                "conv13",
            )
        return network


_register_policy(128)
_register_policy(192, (Figure(what="macs", printed="1.40G"),), 3_882_793)
_register_policy(256)
_register_policy(384)


@register(
    name="alphago_value",
    summary="AlphaGo's value network: 49 planes to one value from -1 to 1",
    citation=f"{_PAPER}, methods",
    input=(49, 19, 19),
    classes=1,
)
def value(*, name: str, classes: int, input: Shape) -> Network:
    """Write the value network: 13 convolutions, a 1x1, 256 units, tanh of one."""
    net = Sketch(name, input)
    _trunk(net, 192, 13)
    net.conv("conv14", 1, 1)
    net.relu("relu14")
    net.flatten()
    net.linear("fc15", 256)
    net.relu("relu15")
    net.linear("fc16", classes)
    net.put(Tanh(name="tanh", inputs=(net.last,)))
    return net.finish()
