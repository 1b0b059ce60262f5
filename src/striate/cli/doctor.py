"""`striate doctor RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json
from striate.wording import quoted

if TYPE_CHECKING:
    from striate.doctor import Finding
    from striate.runs import Run


def doctor(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, also a running one.")],
    experiment: Annotated[
        bool,
        typer.Option("--experiment", help="Try each remedy against the run as it is, on 3 seeds."),
    ] = False,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=1, help="Steps of each branch.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """What seems wrong with a run, with evidence and a remedy. Exit code 1 where something does.

    Works on finished, running, interrupted and failed runs; nothing is changed but for a picture in
    the run's figures; --experiment too only reads the run.
    """
    from striate import doctor as room
    from striate import runs

    opened = runs.open(run)
    found = room.diagnose(opened)
    if experiment and not opened.watched:
        found = tuple(
            room.with_experiment(each, room.experiment(opened, each, steps=steps))
            if each.settings
            else each
            for each in found
        )
    picture = room.plot(opened, found) if found else None
    notes = room.lost(opened)
    figure = None if picture is None else str(picture)
    said = [*room.passed(opened, found), *room.healings(opened)]
    document = {"findings": found, "figure": figure, "notes": [*notes, *said]}
    text = "\n\n".join([*notes, *said, _text(found, opened, picture, bool(notes))])
    if experiment:
        text += _untried(found, opened)
    if not found and not opened.history("step"):
        yet = "" if opened.info.state == "finished" else " yet"
        text = f"Nothing can be said ({opened.state}): the history holds no step{yet}."
    output.show(document, text, as_json)
    if any(each.confidence >= room.SURE for each in found):
        raise typer.Exit(output.FAILED_VERDICT)


def _untried(found: Sequence[Finding], run: Run) -> str:
    """Say why no remedy was tried, where none was."""
    if not found or any(each.experiment for each in found):
        return ""
    if run.watched:
        return "\nNo experiment: the loop is your own, and has to try a remedy itself."
    return "\nNo experiment: no remedy here is a setting that could be tried as things stand."


def _beyond(run: Run) -> str:
    """Say where to look for what curves cannot show: at pictures that are there, and maps."""
    mistakes = run.figures / "mistakes.png"
    looks = [f"the mistakes in {mistakes}"] if mistakes.is_file() else []
    if run.weights.is_file():
        looks.append(f"striate explain {quoted(run.path)} --part maps")
    if not run.watched:
        looks.append(f"striate check --run {quoted(run.path)}")
    return f" What curves cannot show may be seen in {' or by '.join(looks)}." if looks else ""


def _text(found: Sequence[Finding], run: Run, picture: Path | None, cut: bool) -> str:
    if not found:
        where = " in what is left of it" * cut
        return f"Nothing found{where} ({run.state}).{_beyond(run)}"
    blocks = []
    for each in found:
        numbers = ", ".join(
            f"{name.replace('_', ' ')} {value if isinstance(value, str) else f'{value:.4g}'}"
            for name, value in each.evidence.items()
        )
        tries = () if run.watched else each.settings  # a loop of your own takes none
        settings = "".join(f"\n  try       --set {setting}" for setting in tries)
        tried = f"\n  tried     {each.experiment['text']}" if each.experiment else ""
        blocks.append(
            f"{each.finding.replace('_', ' ')} (confidence {each.confidence:.0%})\n"
            f"  meaning   {each.meaning}\n  evidence  {numbers}\n"
            f"  remedy    {each.remedy}{settings}{tried}"
        )
    return "\n\n".join([*blocks, f"Curves: {picture}"])
