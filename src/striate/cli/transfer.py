"""`striate transfer DATA --from RUN|WEIGHTS`."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json
from striate.wording import quoted

if TYPE_CHECKING:
    from striate.transfer import TransferResult


class How(enum.StrEnum):
    """The ways."""

    auto = "auto"
    linear = "linear"
    head = "head"
    last = "last"
    all = "all"
    scratch = "scratch"


class Method(enum.StrEnum):
    """The linear classifiers."""

    logistic = "logistic"
    svm = "svm"


def transfer(  # long by its options
    data: Annotated[str, typer.Argument(metavar="DATA", help="A named set or a path.")],
    start: Annotated[
        Path, typer.Option("--from", metavar="RUN", help="A run folder, or published weights.")
    ],
    how: Annotated[
        How, typer.Option("--how", help="auto measures how similar the data is, and chooses.")
    ] = How.auto,
    compare: Annotated[
        bool | None,
        typer.Option("--compare/--no-compare", help="All five ways, same budget; auto does."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="Whose features a linear classifier takes."),
    ] = None,
    method: Annotated[
        Method, typer.Option("--method", help="Of the linear classifier.")
    ] = Method.logistic,
    per_class: Annotated[
        int | None,
        typer.Option("--per-class", metavar="N", min=2, help="So many training images a class."),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", min=1)] = 15,
    rate: Annotated[float, typer.Option("--rate", help="Of the new head.")] = 0.1,
    last: Annotated[
        int, typer.Option("--blocks", metavar="K", min=1, help="How many blocks `last` is.")
    ] = 1,
    layer_decay: Annotated[
        float | None,
        typer.Option("--layer-decay", metavar="D", help="A block's rate is D of the next one's."),
    ] = None,
    gradual: Annotated[
        bool, typer.Option("--gradual", help="Unfreeze in stages: head, last blocks, all.")
    ] = False,
    freeze_norm: Annotated[
        bool,
        typer.Option("--freeze-norm", help="Keep batch normalisation in blocks that move, too."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="The run; runs/DATA-transfer-001 else."),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Put a trained network to other classes; leaves a run folder.

    Rates fall with depth: a new head at the full rate, the later half of the blocks at a tenth, the
    earlier half at a hundredth. What does not move keeps its batch normalisation to the bit.

    The same command with the same --out goes on after an interruption.
    """
    _have(start)
    from striate import transfer as moving

    settings = moving.Settings(
        epochs=epochs,
        rate=rate,
        last=last,
        layer_decay=layer_decay,
        freeze_norm=freeze_norm,
        gradual=gradual,
        seed=seed,
        device=device,
    )
    found = moving.transfer(
        data,
        start,
        how=how.value,
        compare=compare,
        layer=layer,
        method=method.value,
        per_class=per_class,
        settings=settings,
        out=out,
    )
    output.show(found, _text(found), as_json)
    if found.state == "interrupted":
        sys.exit(output.INTERRUPTED)


def _have(start: Path) -> None:
    """Say, or download, what is not on this machine, before torch and the data are loaded."""
    from striate import weights

    if not start.exists() and str(start) in weights.names():
        weights.find(str(start))


_SPELLED = {
    "linear": "features and a linear classifier",
    "head": "a new head, trained",
    "last": "the last blocks and the head",
    "all": "all of it, slower with depth",
    "scratch": "from scratch",
}


def _text(found: TransferResult) -> str:
    parts = [
        f"{found.source} on {found.data}: {output.count(found.images, 'image')}, "
        f"{found.classes} classes"
    ]
    if found.probes:
        header = ("layer", "depth", "features", "linear probe")
        table = [
            (each.layer, f"{each.depth:.2f}", each.features, output.percent(each.accuracy, 1))
            for each in found.probes
        ]
        parts += [output.table(header, table), found.why]
    rows = [
        (
            _SPELLED[each.how],
            None if each.accuracy is None else output.percent(each.accuracy, 1),
            None
            if each.interval is None
            else f"{output.percent(each.interval[0], 1)} to {output.percent(each.interval[1], 1)}",
            each.moving,
            output.duration(each.seconds),
        )
        for each in found.rows
    ]
    titles = ("way", "accuracy", "95% interval", "trained", "time")
    parts += [output.table(titles, rows)] if rows else []
    if found.state == "interrupted":
        parts += [f"Interrupted. Go on with the same command and --out {quoted(found.run)}"]
    else:
        parts += [f"run  {found.run}"]
    return "\n\n".join([*parts, *(f"Note: {note}" for note in found.notes)])
