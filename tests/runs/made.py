"""Making a run folder of documents that say little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from striate import runs
from striate.contract import Class, Contract
from striate.design import Network

CONTRACT = Contract(
    classes=tuple(Class(id=f"{digit}", label=f"{digit}") for digit in range(10)),
    channels="grey",
    size=(28, 28),
    mean=(0.13,),
    std=(0.31,),
)


def make(path: Path, network: Network, **changes: Any) -> runs.Run:
    documents: dict[str, Any] = {
        "network": network,
        "contract": CONTRACT,
        "recipe": {"name": "quick", "rate": 0.1, "epochs": 3},
        "data": {"train": ["a", "b"]},
        "env": {"torch": "2"},
        "plan": {"version": 1, "threads": 1},
    }
    return runs.create(path, **(documents | changes))
