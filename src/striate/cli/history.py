"""`striate history RUN...`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli import output
from striate.cli.options import Json
from striate.errors import UsageError
from striate.wording import quoted

if TYPE_CHECKING:
    from striate.runs import Run


def history(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders: finished, running or crashed."),
    ],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print run,tag,step,epoch,time,value: every number.")
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="FOLDER", help="Write event files there, one a run."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What training wrote down: epochs, CSV, files for TensorBoard.

    Steps that a resume has repeated are there once. docs/history.md says what the tags are.
    """
    if as_csv and as_json:
        raise UsageError("Expected --csv or --json, received both: leave one out.")
    from striate import runs

    opened = [runs.open(path) for path in paths]
    names = [run.path.resolve().name for run in opened]
    if tensorboard is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"Expected runs of different names, received {twice!r} twice: TensorBoard tells them "
            "by their folders. Rename one, or say the command for each with a FOLDER of its own."
        )
    documents = []
    for run in opened:
        file = None if tensorboard is None else runs.write_tensorboard(run, tensorboard)
        documents.append(
            {
                "run": str(run.path),
                "state": run.state,
                "epochs": _epochs(run.history()),
                "tensorboard": None if file is None else str(file),
            }
        )
    text = _csv(opened) if as_csv else "\n\n".join(map(_text, documents))
    if tensorboard is not None and not as_csv:
        text += f"\n\nnext\n  tensorboard --logdir {quoted(tensorboard)}"
    output.show({"runs": documents}, text, as_json)


def _epochs(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures of each epoch, also of one that has not been validated."""
    found: dict[int, dict[str, Any]] = {}
    losses: dict[int, list[float]] = {}
    for line in lines:
        number = line.get("epoch")
        if line["kind"] not in ("step", "validation") or not isinstance(number, int):
            continue
        row = found.setdefault(number, {"epoch": number})
        row["step"] = line["step"]
        if line["kind"] == "validation":
            row |= {"validation_loss": line.get("loss"), "accuracy": line["accuracy"]}
            row["best"] = bool(line.get("best"))
        else:
            row["rate"] = line.get("rate")
            if line.get("loss") is not None:
                losses.setdefault(number, []).append(line["loss"])
    for number, each in losses.items():
        found[number]["loss"] = sum(each) / len(each)
    return list(found.values())


def _text(document: Mapping[str, Any]) -> str:
    rows = [
        (
            row["epoch"],
            row["step"],
            *(_rounded(row.get(key)) for key in ("rate", "loss", "validation_loss")),
            None if "accuracy" not in row else output.percent(row["accuracy"]),
            "best" if row.get("best") else None,
        )
        for row in document["epochs"]
    ]
    header = ("epoch", "step", "rate", "loss", "validation loss", "accuracy", "")
    said = f"{document['run']}, {document['state']}\n" + output.table(header, rows)
    return said + (f"\n{document['tensorboard']}" if document["tensorboard"] else "")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _csv(opened: Sequence[Run]) -> str:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(("run", "tag", "step", "epoch", "time", "value"))
    for run in opened:
        writer.writerows((str(run.path), *each) for each in run.scalars())
    return page.getvalue().rstrip("\n")
