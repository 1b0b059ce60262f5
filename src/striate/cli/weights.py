"""`striate weights [WEIGHTS]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json

if TYPE_CHECKING:
    from striate.weights import Weights


def weights(
    weights: Annotated[
        Path | None,
        typer.Argument(metavar="WEIGHTS", help="A name or a file; all known ones unless given."),
    ] = None,
    network: Annotated[
        str | None, typer.Option("--net", metavar="NET", help="What a file is for.")
    ] = None,
    contract: Annotated[
        bool,
        typer.Option("--contract", help="Print the contract alone; a draft where none is known."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Published weights: what is known of them, or what a file holds.

    A contract that is written to FILE.contract.json beside a file is taken in place of the usual.
    """
    from striate import progress
    from striate import weights as published

    if weights is None:
        entries = [published.entry(name) for name in published.names()]
        rows = [(each.name, each.network or "in the file", each.accuracy) for each in entries]
        text = output.table(("name", "network", "accuracy"), rows)
        output.show({"weights": entries}, output.clip(text), as_json)
        return
    opened = published.open(weights, network=network, drafted=contract)
    opened.load()
    if contract:
        for note in opened.notes:
            progress.say(note)
        output.show(opened.contract(), _json(opened), as_json)
        return
    output.show(_document(opened), _text(opened), as_json)


def _json(opened: Weights) -> str:
    from striate.records import to_json

    return to_json(opened.contract(), indent=2).decode()


def _document(opened: Weights) -> dict[str, object]:
    return {
        "name": opened.name,
        "file": str(opened.path),
        "sha256": opened.identity,
        "network": opened.paper.name,
        "parameters": opened.paper.parameter_count(),
        "contract": opened.contract().digest,
        "published": opened.published,
        "notes": list(opened.notes),
    }


def _text(opened: Weights) -> str:
    contract, known = opened.contract(), opened.published
    lines = [
        ("weights", opened.name),
        ("file", str(opened.path)),
        ("sha256", opened.identity),
        ("network", f"{opened.paper.name}, {opened.paper.parameter_count():,} parameters"),
        ("input", f"{contract.channels} {contract.size[0]}x{contract.size[1]}"),
        ("classes", f"{len(contract.classes)}: {contract.classes[0].label} ... "
         f"{contract.classes[-1].label}"),
    ]  # fmt: skip
    if known is not None:
        lines += [("source", known.source), ("licence", known.licence)]
        lines += [("accuracy", known.accuracy)] if known.accuracy else []
    lines += [("note", note) for note in opened.notes]
    return "\n".join(f"{name.ljust(10)} {value}" for name, value in lines)
