"""`striate augment DATA`, also `view-augment`: what the network will see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli import output
from striate.cli.options import Json, Net, RecipeName, Settings, Size, Strict, changed, sides


def augment(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A named set or a path; digits unless given.")
    ] = "digits",
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The picture: PNG or SVG.")
    ] = Path("augmented.png"),
    net: Net = "auto",
    recipe: RecipeName = "auto",
    size: Size = None,
    settings: Settings = None,
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Rows.")] = 6,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", min=1, help="Columns.")] = 7,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Of the training.")
    ] = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """A picture of training images as each epoch will show them.

    These are the very images of `striate train` with the same data, recipe and seed.
    """
    from striate import data as sources
    from striate import draw, recipes
    from striate.records import to_builtins
    from striate.train.objective import Mixing
    from striate.train.prepare import lit, prepare
    from striate.train.seen import Seen

    draw.drawable(out)
    changes, pixels = changed(settings, seed=seed), sides(size)
    dataset = sources.open(data, strict=strict)
    chosen = recipes.make(recipe, dataset, network=net, size=pixels, settings=changes)
    prepared = prepare(chosen, dataset)
    chosen = lit(chosen, prepared)
    sheet = sources.contact_sheet(
        prepared.split.train,
        prepared.contract,
        chosen.augmentation,
        seed=chosen.seed,
        images=images,
        epochs=epochs,
        whitening=prepared.whitening,
        seen=Seen(chosen, prepared),
        mixed=type(chosen.objective).__name__ if isinstance(chosen.objective, Mixing) else "",
    )
    if output.first_process():
        sheet.save(out)
    document = {
        "file": str(out),
        "augmentation": to_builtins(chosen.augmentation),
        "objective": to_builtins(chosen.objective),
        "whitening": chosen.preprocessing.whitening,
    }
    output.show(document, str(out), as_json)
