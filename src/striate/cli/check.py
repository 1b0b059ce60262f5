"""`striate check [DATA] [--net NET]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from striate.cli import output
from striate.cli.options import (
    Device,
    Json,
    Net,
    RecipeName,
    Settings,
    Size,
    Strict,
    changed,
    sides,
)
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.data import Dataset
    from striate.data.health import Health
    from striate.doctor import Check, RateRange
    from striate.doctor.folds import CrossDoubt
    from striate.inference import Doubt
    from striate.train import Recipe
    from striate.train.prepare import Prepared

_SHOWN = 5


def check(  # long by its options
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="A named set or a path; digits, or --run's own, unless given."
        ),
    ] = None,
    net: Net = "auto",
    recipe: RecipeName = "auto",
    size: Size = None,
    settings: Settings = None,
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
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            metavar="K",
            min=2,
            help="Train K networks, each without a K-th of the images; name labels they doubt.",
        ),
    ] = None,
    only_data: Annotated[
        bool,
        typer.Option(
            "--only-data", help="Leave the network out, whose checks take up to a minute more."
        ),
    ] = False,
    rate_range: Annotated[
        bool,
        typer.Option(
            "--rate-range", help="Climb through learning rates; suggest one to start from."
        ),
    ] = False,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """What is wrong with data, and with a network on it.

    Bad files, duplicates, leaks between the parts, wrong labels; then each check of the network
    says what it measured, what it expected, what that means and what to do. Exit code 1 where one
    fails. With --run the data is looked at in the parts that the run was trained with, the run is
    asked about those it has not seen, and its own recipe is checked.
    """
    from striate import data as sources
    from striate.data import health
    from striate.train.prepare import prepare

    asked = Asked(recipe, net, sides(size), changed(settings, seed=seed), device, run)
    asked.refuse()
    if rate_range and only_data:
        raise UsageError("--rate-range trains the network: leave out --only-data.")
    if run is None:
        dataset = sources.open("digits" if data is None else data, strict=strict, named=True)
    else:
        from striate import inference

        dataset = inference.split_as_trained(run, data, strict=strict)
    found = health.examine(dataset)
    document: dict[str, Any] = {}
    texts, sections = [], []
    if run is not None:
        doubted = inference.doubt(run, dataset, found.leaked, device=device)
        document["run"] = doubted
        found = _with_suspects(found, doubted)
        texts.append(_doubt_text(doubted))
    if folds is not None:
        crossed = _crossed(dataset, found, asked, folds)
        document["folds"] = crossed
        found = _with_suspects(found, crossed)
        texts.append(_crossed_text(crossed))
    verdict: str = found.verdict
    refused = any(each.check == "training_refused" and each.count for each in found.findings)
    if refused and not only_data:
        document["preflight"] = []
        texts.append("The network was not looked at, as nothing can be trained on this data.")
    elif not only_data:
        chosen = asked.made(dataset)
        prepared = prepare(chosen, dataset)
        document["preflight"], said, about, section = _preflight(chosen, prepared)
        sections.append(section)
        verdict = max(verdict, said, key=("pass", "warn", "fail").index)
        texts.append(about)
        if rate_range:
            document["rate_range"], about = _ranged(chosen, prepared, out)
            texts.append(about)
    text = "\n\n".join([f"{dataset.name}: {found.verdict}", health_text(found), *texts])
    document = {"verdict": verdict, "data": facts(dataset, found), **document}
    if out is not None and output.first_process():
        text += f"\n\n{_write(document, health.page(found, dataset, sections), out)}"
    output.show(document, text, as_json)
    if verdict == "fail":
        raise typer.Exit(output.FAILED_VERDICT)


class Asked(NamedTuple):
    """What the command line says of the training that is to come, or of the one that was."""

    recipe: str
    net: str
    size: tuple[int, int] | None
    changes: list[str]
    device: str
    run: Path | None

    def refuse(self) -> None:
        """Refuse what cannot be, before anybody waits for the data."""
        if self.run is None:
            from striate import recipes

            recipes.check(self.recipe, network=self.net, device=self.device, settings=self.changes)
        elif self.recipe != "auto" or self.net != "auto" or self.size:
            raise UsageError(
                f"{self.run} fixes the recipe, the network and its size: leave out --recipe, --net "
                "and --size."
            )

    def made(self, dataset: Dataset) -> Recipe:
        """Return the recipe: the run's own, or the one that suits the data."""
        from striate import recipes

        if self.run is None:
            return recipes.make(
                self.recipe,
                dataset,
                network=self.net,
                size=self.size,
                device=self.device,
                settings=self.changes,
            )
        return recipes.make(str(self.run), dataset, device=self.device, settings=self.changes)


def _preflight(chosen: Recipe, prepared: Prepared) -> tuple[tuple[Check, ...], str, str, str]:
    """Return the checks of network and data together, their verdict, the text, and HTML."""
    from striate import doctor

    found = doctor.preflight(chosen, prepared)
    said = doctor.verdict(found)
    title = f"with {chosen.network.name}"
    text = f"{title}: {said}\n\n{checks_text(found)}"
    return found, said, text, doctor.section(title, said, found)


def _ranged(chosen: Recipe, prepared: Prepared, out: Path | None) -> tuple[RateRange | None, str]:
    """Return what a climb through learning rates showed, and the text; its picture is in `out`."""
    from striate import doctor

    try:
        found = doctor.rate_range(chosen, prepared)
    except UsageError as error:  # the checks above say why
        return None, f"No learning rate to suggest. {error}"
    learns, blows = (
        "at none" if rate is None else f"{rate:.2g}" for rate in (found.learns_from, found.blows_up)
    )
    text = (
        f"learning rate: start from {found.suggested:.2g}; the loss falls from {learns} on and "
        f"blows up at {blows} ({len(found.rates)} steps)"
    )
    if out is not None and output.first_process():
        doctor.rate_picture(found, chosen.network.name).save(out / "rate_range.svg")
        text += f"\n{out / 'rate_range.svg'}"
    return found, text


def _crossed(dataset: Dataset, found: Health, asked: Asked, folds: int) -> CrossDoubt:
    """Ask networks about the images that each has not seen; twins are in one fold."""
    from striate.doctor.folds import cross_doubt

    alike = [
        group
        for each in found.findings
        if each.check in ("exact_duplicates", "near_duplicates", "series_across_parts")
        for group in each.items
    ]
    return cross_doubt(asked.made(dataset), dataset, folds=folds, alike=alike)


def _with_suspects(found: Health, by: Doubt | CrossDoubt) -> Health:
    """Add labels in doubt to what was found, so that the page shows them."""
    from striate.inference.doubt import as_finding

    doubts = as_finding(by.suspects, by.accuracy, by.labels_wrong)
    verdict = "warn" if found.verdict == "pass" and by.suspects else found.verdict
    return found.replace(findings=(*found.findings, doubts), verdict=verdict)


def _crossed_text(found: CrossDoubt) -> str:
    low, high = (output.percent(each) for each in found.interval)
    return (
        f"{found.folds} times {found.network}, each on the other folds: "
        f"{output.percent(found.accuracy)} right on images it has not seen ({low} to {high}), "
        f"{output.count(len(found.suspects), 'label')} in doubt"
    )


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
    table = output.table(("part", "images", "accuracy", "leaked", "without them"), rows)
    doubts = (
        f"{output.count(len(found.suspects), 'label')} in doubt, of "
        f"{output.count(found.images, 'image')} that it was not trained on"
    )
    return f"asked {found.run}\n\n{table}\n\n{doubts}"


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
    from striate.doctor import reading

    rows = [
        (each.verdict, each.check.replace("_", " "), *reading(each), each.meaning)
        for each in checks
    ]
    text = output.table(("", "check", "measured", "expected", "meaning"), rows)
    for each in checks:
        if each.verdict in ("warn", "fail"):
            text += (
                f"\n\n{each.verdict}: {each.check.replace('_', ' ')}: expected {each.expected}; "
                f"{each.meaning}. To do: {each.fix}."
            )
    return text
