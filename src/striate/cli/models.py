"""`striate models`."""

from __future__ import annotations

from typing import Annotated

import typer

from striate.cli import output
from striate.cli.options import Json


def models(
    word: Annotated[
        str,
        typer.Argument(metavar="WORD", help="Only those with this word in name or summary."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Registered networks: parameters, MACs, input and source."""
    from striate import zoo
    from striate.errors import UsageError, did_you_mean
    from striate.records import nearest

    entries = [zoo.entry(each) for each in zoo.names()]
    found = [each for each in entries if word.lower() in f"{each.name} {each.summary}".lower()]
    if not found:
        raise UsageError(
            f"No network has {word!r} in its name or summary."
            f"{did_you_mean(nearest(word, zoo.names()))} `striate models` lists all."
        )
    documents, rows = [], []
    for entry in found:
        network = zoo.network(entry.name)
        shape, classes = network.input_shape, network.classes
        parameters, macs = network.parameter_count(), network.macs()
        rows.append(
            (entry.name, parameters, macs, "x".join(map(str, shape)), classes, entry.citation)
        )
        documents.append(
            {
                "name": entry.name,
                "parameters": parameters,
                "macs": macs,
                "input": list(shape),
                "classes": classes,
                "summary": entry.summary,
                "source": entry.citation,
            }
        )
    header = ("name", "parameters", "MACs", "input", "classes", "source")
    output.show({"models": documents}, output.clip(output.table(header, rows)), as_json)
