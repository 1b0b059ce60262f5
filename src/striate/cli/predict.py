"""`striate predict RUN FILES...`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json, Strict
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.inference import Prediction


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Images, folders, quoted globs.")
    ],
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="Classes --json names for each image.")
    ] = 5,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print file,id,label,probability.")] = False,
    monte_carlo: Annotated[
        int,
        typer.Option(
            "--monte-carlo",
            metavar="N",
            min=0,
            help="Ask N times with dropout left on, and say how far the answers differ.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the draws.")] = 0,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Labels for image files.

    The images go through exactly the preparation that the network was trained with.
    """
    if as_csv and as_json:
        raise UsageError("Expected --csv or --json, received both: leave one out.")
    from striate import inference

    found = inference.predict(
        run,
        files,
        top=top,
        device=device,
        strict=strict,
        monte_carlo=monte_carlo,
        seed=seed,
    )
    text = "" if as_json else _csv(found) if as_csv else _text(found)
    output.show(found, text, as_json)


def _text(found: Sequence[Prediction]) -> str:
    rows = [(each.file, each.label, output.percent(each.probability, 1)) for each in found]
    if found and found[0].doubts is None:
        return output.table(("file", "label", "probability"), rows)
    doubted = [
        (*row, f"{each.doubts.deviation:.3f}", f"{each.doubts.entropy:.3f}")
        for row, each in zip(rows, found, strict=True)
        if each.doubts is not None
    ]
    return output.table(("file", "label", "probability", "deviation", "entropy"), doubted)


def _csv(found: Sequence[Prediction]) -> str:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(("file", "id", "label", "probability"))
    writer.writerows((each.file, each.id, each.label, f"{each.probability:.6f}") for each in found)
    return page.getvalue().rstrip("\n")
