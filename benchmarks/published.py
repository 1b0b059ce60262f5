"""A network of 1,000 classes as somebody else would publish it: weights and a contract."""

from __future__ import annotations

from pathlib import Path

from striate.contract import Class, Contract, Resize
from striate.layers import Net
from striate.weights import Weights


def published(net: Net, path: Path) -> Weights:
    """Return a net of 1,000 classes as weights, with ImageNet's usual preparation."""
    contract = Contract(
        classes=tuple(Class(id=f"c{each}", label=f"class {each}") for each in range(1000)),
        channels="rgb",
        size=(224, 224),
        resize=Resize(rule="short_side", size=(256, 256)),
        crop="centre",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    return Weights(path, net.network, net.state_dict(), contract)
