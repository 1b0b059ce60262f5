"""`striate check [DATA] [--net NET]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from striate.cli import output
from striate.cli.options import Device, Json, Strict, numbers

if TYPE_CHECKING:
    from striate.data import Dataset
    from striate.data.health import Health
    from striate.doctor import Check
    from striate.inference import Doubt

_SHOWN = 5
_SUSPECTS = 10


def check(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="A named set or a path; digits, or --run's own, unless given."
        ),
    ] = None,
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
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write check.json and a page with pictures."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Ask a trained run: labels it doubts, its accuracy without what leaked.",
        ),
    ] = None,
    only_data: Annotated[
        bool, typer.Option("--only-data", help="Leave the network alone.")
    ] = False,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """What is wrong with data, and with a network on it.

    Bad files, duplicates, leaks between the parts, wrong labels; then each check of the network
    says what it measured, what it expected, what that means and what to do. Exit code 1 where one
    fails. With --run the data is looked at in the parts that the run was trained with, and the run
    is asked about those it has not seen.
    """
    from striate import data as sources
    from striate.data import health

    sides = None if size is None else numbers(size, "--size as HxW or one side", most=2)
    changes = [*(settings or ()), *([f"seed={seed}"] if seed is not None else [])]
    preflight = not only_data and run is None
    if preflight:
        from striate import recipes

        recipes.check(recipe, network=net, device=device, settings=changes)
    if run is None:
        dataset = sources.open("digits" if data is None else data, strict=strict)
    else:
        from striate import inference

        dataset = inference.split_as_trained(run, data, strict=strict)
    found = health.examine(dataset)
    verdict: str = found.verdict
    document: dict[str, Any] = {"data": facts(dataset, found)}
    text = f"{dataset.name}: {found.verdict}\n\n{health_text(found)}"
    if run is not None:
        doubted = inference.doubt(run, dataset, found.leaked, device=device)
        document["run"] = doubted
        text += f"\n\n{_doubt_text(doubted)}"
    if preflight:
        asked = Asked(recipe, net, sides, changes, device)
        document["preflight"], said, about = _preflight(dataset, asked)
        verdict = max(verdict, said, key=("pass", "warn", "fail").index)
        text += f"\n\n{about}"
    document = {"verdict": verdict, **document}
    if out is not None and output.first_process():
        text += f"\n\n{_write(document, health.page(found, dataset), out)}"
    output.show(document, text, as_json)
    if verdict == "fail":
        raise typer.Exit(output.FAILED_VERDICT)


class Asked(NamedTuple):
    """What the command line says of the training to come."""

    recipe: str
    net: str
    sides: tuple[int, ...] | None
    changes: list[str]
    device: str


def _preflight(dataset: Dataset, asked: Asked) -> tuple[tuple[Check, ...], str, str]:
    """Return the checks of network and data together, their verdict, and the text."""
    from striate import doctor, recipes
    from striate.train.prepare import prepare

    chosen = recipes.make(
        asked.recipe,
        dataset,
        network=asked.net,
        size=None if asked.sides is None else (asked.sides[0], asked.sides[-1]),
        device=asked.device,
        settings=asked.changes,
    )
    found = doctor.preflight(chosen, prepare(chosen, dataset))
    said = doctor.verdict(found)
    return found, said, f"with {chosen.network.name}: {said}\n\n{checks_text(found)}"


def _doubt_text(found: Doubt) -> str:
    """Say what a run doubts, and its accuracy without the images that leaked."""
    rows = [
        (
            each.part,
            each.n,
            output.percent(each.accuracy),
            each.leaked,
            None if each.accuracy_without is None else output.percent(each.accuracy_without),
        )
        for each in found.restated
    ]
    lines = [
        f"asked {found.run}",
        "",
        output.table(("part", "images", "accuracy", "leaked", "without them"), rows),
        "",
        f"{output.count(len(found.suspects), 'label')} in doubt, of "
        f"{output.count(found.images, 'image')} that it was not trained on",
    ]
    lines += [
        f"  {each.sample}  labelled {each.id} ({output.percent(each.probability_of_label, 0)}), "
        f"looks like {each.likelier} ({output.percent(each.probability, 0)})"
        for each in found.suspects[:_SUSPECTS]
    ]
    beyond = len(found.suspects) - _SUSPECTS
    return "\n".join([*lines, *([f"  and {beyond:,} more: --json has all"] if beyond > 0 else [])])


def _write(document: dict[str, Any], page: str, out: Path) -> Path:
    from striate.files import atomic_write
    from striate.records import to_json

    atomic_write(out / "check.json", to_json(document, indent=2))
    atomic_write(out / "index.html", page.encode())
    return out / "index.html"


def health_text(found: Health) -> str:
    """Set what was found in the data as a table, and say what to do."""
    rows = [
        (each.verdict, each.check.replace("_", " "), f"{each.count:,}" if each.count else "")
        for each in found.findings
    ]
    lines = [output.table(("", "looked for", "found"), rows)]
    for each in found.findings:
        if each.verdict == "pass":
            continue
        lines.append(f"\n{each.verdict}: {each.check.replace('_', ' ')}: {each.meaning}.")
        lines.append(f"To do: {each.fix}.")
        for number, group in enumerate(each.items[:_SHOWN]):
            note = f"  ({each.notes[number]})" if each.notes else ""
            lines.append(f"  {'  '.join(group[:4])}{note}")
        beyond = len(each.items) - _SHOWN
        lines += [f"  and {beyond:,} more: --out FOLDER shows all."] if beyond > 0 else []
    return "\n".join(lines)


def facts(dataset: Dataset, found: Health) -> dict[str, Any]:
    """Return what data is, and what was found in it, as plain values."""
    return {
        "name": dataset.name,
        "classes": len(dataset.classes),
        "images": {part: len(samples) for part, samples in dataset.parts.items()},
        "skipped": len(dataset.skipped),
        "notes": list(dataset.notes),
        "health": found,
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
