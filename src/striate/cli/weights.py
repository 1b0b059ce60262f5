"""`striate weights [WEIGHTS]`."""

from __future__ import annotations

from collections.abc import Sequence
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
    from striate.records import to_builtins

    if weights is None:
        entries = [published.entry(name) for name in published.names()]
        to_be_had = [published.whereabouts(each.name) for each in entries]
        rows = [
            (each.name, each.network or "in the file", where, each.accuracy)
            for each, where in zip(entries, to_be_had, strict=True)
        ]
        text = output.table(("name", "network", "to be had", "accuracy"), rows)
        document = [
            {**to_builtins(each), "whereabouts": where}
            for each, where in zip(entries, to_be_had, strict=True)
        ]
        text = output.clip(text) + f"\n\n{_said_of(to_be_had)}"
        output.show({"weights": document}, text, as_json)
        return
    opened = published.open(weights, network=network, drafted=contract)
    opened.load()
    if contract:
        for note in opened.notes:
            progress.say(note)
        output.show(opened.contract(), _json(opened), as_json)
        return
    output.show(_document(opened), _text(opened), as_json)


def _said_of(to_be_had: Sequence[str]) -> str:
    """Say what the column means, for what it holds."""
    from striate.weights.published import places

    said = f"Files are looked for in {' and '.join(map(str, places()))}."
    if "downloadable" in to_be_had:
        said += " Downloadable ones are fetched when they are first named."
    if "by hand" in to_be_had:
        said += " By hand: `striate weights NAME` says how the file is made."
    return said


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
