"""`striate augment DATA|RUN`, also `view-augment`: what the network will see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli import output
from striate.cli.options import Json, Net, RecipeName, Settings, Size, Strict, changed, sides
from striate.errors import UsageError


def augment(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA|RUN",
            help="A named set or a path, or a run: its own data and recipe; digits unless given.",
        ),
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

    These are the very images of `striate train` with the same data, recipe and seed; of a RUN,
    those that it was shown.
    """
    from striate import data as sources
    from striate import draw, recipes, runs
    from striate.records import to_builtins
    from striate.train.objective import Mixing
    from striate.train.prepare import lit, prepare
    from striate.train.seen import Seen

    draw.drawable(out)
    changes, pixels = changed(settings, seed=seed), sides(size)
    if (Path(data) / "run.json").is_file():
        own = runs.open_trained(data).recipe_document()["data"]
        if recipe != "auto":
            raise UsageError(f"{data} fixes the recipe: leave out --recipe.")
        recipe, data, strict = data, own["path"], strict or own["strict"]
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
