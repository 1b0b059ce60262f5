"""Two networks compared on paper, before an hour of a GPU is spent on either.

    python examples/compare_on_paper.py [NET] [NET] [--input 3x224x224] [--memory 16GB]

NET is whatever `striate design` takes: a registered name, a line of notation, a prototxt. Prints
them side by side, the layers where most multiply-adds, parameters and memory are, the largest batch
that each trains with in that memory, and how much of an image its last layer sees. Nothing of torch
is imported: it takes half a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from striate import design, zoo
from striate.design import Sheet
from striate.design.compare import comparison, text
from striate.design.forecast import forecast, largest_batch


def heaviest(sheet: Sheet) -> str:
    """Say where a network's costs are."""
    said = []
    for what, total in (
        ("macs", sheet.totals.macs),
        ("parameters", sheet.totals.parameters),
        ("activation_bytes", sheet.totals.activation_bytes),
    ):
        layer = max(sheet.layers, key=lambda row: getattr(row, what))
        said.append(f"{getattr(layer, what) / total:.0%} of the {what} in {layer.name}")
    return ", ".join(said).replace("_", " ")


def main(names: Sequence[str], shape: tuple[int, ...], memory: int) -> list[int]:
    """Print the comparison; return the largest batches."""
    networks = [zoo.read(name, input=shape) for name in names]
    sheets = [design.sheet(network) for network in networks]
    print(text(comparison(sheets)), "\n")
    batches = []
    for network, sheet in zip(networks, sheets, strict=True):
        batches.append(largest_batch(network, memory))
        peak = forecast(network, batch=max(1, batches[-1]))
        seen = " x ".join(str(axis.size) for axis in sheet.totals.receptive_field.axes)
        print(f"{network.name}: {heaviest(sheet)}")
        print(f"  trains {batches[-1]} images in {memory / 1e9:g} GB; the peak is at {peak.layer}")
        print(f"  a unit of its last layer with places sees {seen} pixels")
    return batches


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("nets", nargs="*", default=["resnet50", "mobilenet_v1"])
    parser.add_argument("--input", default="3x224x224")
    parser.add_argument("--memory", default="16GB")
    chosen = parser.parse_args()
    main(
        chosen.nets or ["resnet50", "mobilenet_v1"],
        tuple(map(int, chosen.input.split("x"))),
        int(float(chosen.memory.removesuffix("GB")) * 1e9),
    )
