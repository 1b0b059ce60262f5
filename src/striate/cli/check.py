"""`striate check [DATA] [--net NET]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli import output
from striate.cli.options import Device, Json, Strict, numbers

if TYPE_CHECKING:
    from striate.data import Dataset
    from striate.doctor import Check


def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A named set or a path; digits unless given.")
    ] = "digits",
    net: Annotated[
        str, typer.Option("--net", metavar="NET", help="A network, or auto for the recipe's own.")
    ] = "auto",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", metavar="RECIPE", help="A recipe, or auto to choose by the images."
        ),
    ] = "auto",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Scale images to so many pixels: 64 or 64x96."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the recipe: batch=64. Can be repeated."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Of network and checks.")
    ] = None,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check data and network together, before a minute is spent on training.

    Each check says what it measured, what it expected, what that means and what to do. Exit code 1
    where one fails.
    """
    from striate import data as sources
    from striate import doctor, recipes

    changes = [*(settings or ()), *([f"seed={seed}"] if seed is not None else [])]
    sides = None if size is None else numbers(size, "--size as HxW or one side", most=2)
    recipes.check(recipe, network=net, device=device, settings=changes)
    dataset = sources.open(data, strict=strict)
    chosen = recipes.make(
        recipe,
        dataset,
        network=net,
        size=None if sides is None else (sides[0], sides[-1]),
        device=device,
        settings=changes,
    )
    from striate.train.prepare import prepare

    found = doctor.preflight(chosen, prepare(chosen, dataset))
    said = doctor.verdict(found)
    document = {"verdict": said, "data": facts(dataset), "preflight": found}
    title = f"{dataset.name} with {chosen.network.name}: {said}"
    output.show(document, f"{title}\n\n{checks_text(found)}", as_json)
    if said == "fail":
        raise typer.Exit(output.FAILED_VERDICT)


def facts(dataset: Dataset) -> dict[str, Any]:
    """Return what data is, as plain values."""
    return {
        "name": dataset.name,
        "classes": len(dataset.classes),
        "images": {part: len(samples) for part, samples in dataset.parts.items()},
        "skipped": len(dataset.skipped),
        "notes": list(dataset.notes),
    }


def checks_text(checks: Sequence[Check]) -> str:
    """Set checks as a table, and say of those that did not pass what to do."""
    rows = [
        (
            each.verdict,
            each.check.replace("_", " "),
            "" if each.measured is None else f"{each.measured:.4g}",
            each.meaning,
        )
        for each in checks
    ]
    text = output.table(("", "check", "measured", "meaning"), rows)
    for each in checks:
        if each.verdict in ("warn", "fail"):
            text += (
                f"\n\n{each.verdict}: {each.check.replace('_', ' ')}: expected {each.expected}; "
                f"{each.meaning}. To do: {each.fix}."
            )
    return text
