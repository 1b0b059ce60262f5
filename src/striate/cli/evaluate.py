"""`striate evaluate RUN [DATA]`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json, Strict

if TYPE_CHECKING:
    from striate.inference import ClassFigures, Evaluation

_CLASSES_SHOWN = 40
_CONFUSIONS_SHOWN = 5


class Part(enum.StrEnum):
    """The parts of a data set."""

    test = "test"
    validation = "validation"
    train = "train"


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")
    ],
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A named set or a path; the run's own unless given."),
    ] = None,
    part: Annotated[Part, typer.Option("--part", help="Which part of the data.")] = Part.test,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write evaluation.json and pictures there."),
    ] = None,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Accuracy with its interval, per class, calibration, confusion.

    The run's own data is evaluated on the images that were held out from training.
    """
    from striate import inference

    opened = inference.open_model(run)
    images = inference.find_images(opened, data, part.value, strict)
    found = inference.evaluate(opened, images, device=device)
    text = _text(found)
    if out is not None and output.first_process():
        written = inference.write_evaluation(found, opened, images, out)
        text += "\n\n" + "\n".join(f"{name.ljust(10)} {path}" for name, path in written.items())
    output.show(found, text, as_json)


def _text(found: Evaluation) -> str:
    test = found.test
    low, high = test.interval
    skipped = f", {found.skipped} skipped" if found.skipped else ""
    lines = [
        f"{found.network} ({found.run}) on {found.data}, {found.part}: "
        f"{output.count(test.n, 'image')}{skipped}",
        "",
        f"accuracy     {output.percent(test.accuracy)}  "
        f"(95% interval {output.percent(low)} to {output.percent(high)})",
    ]
    if test.top5 is not None:
        lines.append(f"top-5        {output.percent(test.top5)}")
    lines += [
        f"loss         {test.loss:.4f}",
        f"calibration  {output.percent(test.calibration_error)} expected error (15 bins)",
        "",
        _class_table(test.classes),
    ]
    confused = _most_confused(found)
    if confused:
        lines += ["", "taken for each other most often", confused]
    return "\n".join(lines)


def _class_table(classes: Sequence[ClassFigures]) -> str:
    """Set the classes' figures, the worst ones only where there are very many."""
    shown = [each for each in classes if each.n]
    if len(shown) > _CLASSES_SHOWN:
        shown = sorted(shown, key=lambda each: each.accuracy or 0.0)[:_CLASSES_SHOWN]
    rows = [
        (
            each.label,
            each.n,
            output.percent(each.right / each.n, 1),
            f"{output.percent(each.interval[0], 1)} to {output.percent(each.interval[1], 1)}"
            if each.interval
            else None,
            None if each.precision is None else output.percent(each.precision, 1),
        )
        for each in shown
    ]
    text = output.table(("class", "images", "accuracy", "95% interval", "precision"), rows)
    absent = sum(not each.n for each in classes)
    if absent:
        text += f"\n({output.count(absent, 'class')} without images here)"
    if len(classes) - absent > len(shown):
        text += f"\n(the {len(shown)} worst of {len(classes) - absent})"
    return text


def _most_confused(found: Evaluation) -> str:
    labels = [each.label for each in found.test.classes]
    cells = sorted(
        (
            (-count, right, answer)
            for right, row in enumerate(found.test.confusion)
            for answer, count in enumerate(row)
            if count and right != answer
        )
    )[:_CONFUSIONS_SHOWN]
    return "\n".join(
        f"  {-count:>4}  {labels[right]} taken for {labels[answer]}"
        for count, right, answer in cells
    )
