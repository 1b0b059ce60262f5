"""Contracts of files that do not say theirs: a draft, for their owner to put right."""

from __future__ import annotations

from pathlib import Path

from striate.contract import Class, Contract, Resize
from striate.design import Network
from striate.errors import WeightsError


def draft(network: Network, path: Path) -> Contract:
    """Return a contract that fits a network: pixels from 0 to 1, classes by their numbers.

    Raises:
        WeightsError: the network's input is no grey or colour image.
    """
    channels, *size = network.input_shape
    if channels not in (1, 3) or len(size) != 2:
        raise WeightsError(
            f"Expected {path} to take a grey or colour image, received {network.input_shape}."
        )
    height, width = size
    return Contract(
        classes=tuple(Class(id=str(at), label=f"class {at}") for at in range(network.classes)),
        channels="grey" if channels == 1 else "rgb",
        size=(height, width),
        resize=Resize(rule="exact", size=(height, width)),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def unknown(network: Network, path: Path) -> WeightsError:
    """Return the error that says what is needed, and how to come by it."""
    name = f"{path.name}.contract.json"
    return WeightsError(
        f"Nothing says what images go through before {network.name} ({network.classes} classes) in "
        f"{path}, nor what the classes are called. `striate weights {path} --contract > {name}` "
        "drafts it: put right its channels, scale, mean, std, resize and classes, and leave it "
        "beside the file."
    )
