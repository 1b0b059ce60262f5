"""A network from a paper, registered: from then on every room of this process takes its name.

    python examples/add_network.py

Prints its sheet, which is held to the counts that the paper implies, a few steps' worth of its
plan, and the shape of its answer. Another process knows the name only where this file is imported;
commands, which run nobody's Python, take the file that `network.save` writes. Inside the package
the same function goes into `striate/zoo`, in a file a family, and the tests of all networks ask it
too (CONTRIBUTING.md).

Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
visual document analysis", ICDAR 2003, figure 5.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import torch

from striate import design, engine, layers, zoo
from striate.design import Network, Sketch


@zoo.register(
    name="simard2003",
    summary="two strided convolutions and 100 hidden units: no pooling at all",
    citation="Simard et al., ICDAR 2003",
    input=(1, 29, 29),
    classes=10,
    parameters=132_540,
    macs=303_375,
    deviations="rectifiers where the paper has tanh",
)
def simard2003(
    *, name: str, classes: int, input: tuple[int, int, int], hidden: int = 100
) -> Network:
    """Write two convolutions of 5x5 and stride 2, each halving the image, and two full layers.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        hidden: units before it.
    """
    net = Sketch(name, input)
    for number, features in enumerate((5, 50), start=1):
        net.conv(f"conv{number}", features, 5, stride=2)
        net.relu(f"relu{number}")
    net.flatten()
    net.linear("hidden", hidden)
    net.relu("relu3")
    net.linear("classes", classes)
    return net.finish()


def main(out: Path) -> Network:
    """Use it as any other; write it down for commands."""
    network = zoo.network("simard2003")
    sheet = design.sheet(network)
    print(sheet, *zoo.notes(sheet), sep="\n")
    known = zoo.entry("simard2003")
    if (sheet.totals.parameters, sheet.totals.macs) != (known.parameters, known.macs):
        raise ValueError(f"expected {known.parameters} parameters and {known.macs} MACs")

    wide = zoo.network("simard2003(hidden=300)", classes=26)
    print(f"\n300 hidden units and 26 classes: {wide.parameter_count():,} parameters")
    print(engine.plan(network, batch=8, rounds=3, cached=False))
    net = layers.build(network, seed=0)
    print(tuple(net(torch.zeros(2, *network.input_shape)).shape))
    network.save(out / "simard2003.json")
    print(f"striate train mnist --net {out / 'simard2003.json'}")
    return network


if __name__ == "__main__":
    main(Path(mkdtemp()))
