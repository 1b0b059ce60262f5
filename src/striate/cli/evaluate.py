"""`striate evaluate RUN [DATA]`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json, Strict
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.inference import ClassFigures, Ensemble, Evaluation
    from striate.inference.evaluation import Figures

_CLASSES_SHOWN = 40
_CONFUSIONS_SHOWN = 5


class Crops(enum.StrEnum):
    """What of an image is looked at."""

    centre = "centre"
    ten = "ten"


class Part(enum.StrEnum):
    """The parts of a data set."""

    test = "test"
    validation = "validation"
    train = "train"


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...] [DATA]",
            help="More runs, to answer together; a named set or a path, else the run's own.",
        ),
    ] = None,
    part: Annotated[Part, typer.Option("--part", help="Which part of the data.")] = Part.test,
    crops: Annotated[
        Crops, typer.Option("--crops", help="Test on ten crops of each image as well.")
    ] = Crops.centre,
    scales: Annotated[
        str | None,
        typer.Option(
            "--scales", metavar="N,N...", help="Test on whole images of these short sides as well."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write evaluation.json and pictures there."),
    ] = None,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Accuracy with its interval, per class, calibration, confusion.

    The run's own data is evaluated on the images that were held out from training. Several runs, or
    checkpoints of one (RUN RUN/checkpoints/*), answer together, by the mean of their probabilities,
    beside each alone.

    --crops ten and --scales 224,256,384 test as the papers do, beside the single centre crop: on
    corners, centre and their mirror images; on whole images and their mirror images, the network
    sliding over them.
    """
    from striate import inference

    sides = _read_scales(scales)
    others = [each for each in more or () if _is_member(Path(each))]
    sets = [each for each in more or () if each not in others]
    if len(sets) > 1:
        raise UsageError(
            f"Expected run folders and one DATA, received {' and '.join(sets)}: say the command "
            "once for each set."
        )
    data = sets[0] if sets else None
    if others:
        if out is not None:
            raise UsageError("--out belongs to one run; leave it out for an ensemble.")
        if sides or crops is Crops.ten:
            raise UsageError("--crops and --scales belong to one run; an ensemble takes neither.")
        together = inference.evaluate_ensemble(
            [run, *others], data, part=part.value, device=device, strict=strict
        )
        output.show(together, _ensemble(together), as_json)
        return
    opened = inference.open_model(run)
    images = inference.find_images(opened, data, part.value, strict)
    found = inference.evaluate(opened, images, device=device, crops=crops.value, scales=sides)
    text = _text(found)
    if out is not None and output.first_process():
        written = inference.write_evaluation(found, opened, images, out)
        text += "\n\n" + "\n".join(f"{name.ljust(10)} {path}" for name, path in written.items())
    output.show(found, text, as_json)


def _is_member(path: Path) -> bool:
    """Tell a run, or a checkpoint of one, from data."""
    return (path / "run.json").is_file() or (path / "tensors.safetensors").is_file()


def _read_scales(text: str | None) -> tuple[int, ...]:
    """Read --scales."""
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(f"Expected --scales as whole numbers, 224,256,384, received {text!r}.")
    return tuple(dict.fromkeys(map(int, words)))


def _tested_table(found: Evaluation) -> str:
    """Set the ways of testing under each other, the single crop first."""
    test = found.test
    rows = [
        ("single centre crop", 1, *_figures(test.accuracy, test.interval, test.top5, test.loss))
    ]
    rows += [
        (each.way, each.views, *_figures(each.accuracy, each.interval, each.top5, each.loss))
        for each in found.tested
    ]
    return output.table(("tested on", "views", "accuracy", "95% interval", "top-5", "loss"), rows)


def _figures(
    accuracy: float, interval: tuple[float, float], top5: float | None, loss: float
) -> tuple[str, str, str | None, str]:
    low, high = (output.percent(end, 1) for end in interval)
    near = None if top5 is None else output.percent(top5)
    return output.percent(accuracy), f"{low} to {high}", near, f"{loss:.4f}"


def _ensemble(found: Ensemble) -> str:
    rows = [(each.run, output.percent(each.accuracy), f"{each.loss:.4f}") for each in found.members]
    low, high = found.test.interval
    rows.append(("together", output.percent(found.test.accuracy), f"{found.test.loss:.4f}"))
    notes = "".join(f"\nNote: {note}" for note in found.notes)
    return (
        f"{found.data}, {found.part}: {output.count(found.test.n, 'image')}\n\n"
        + output.table(("run", "accuracy", "loss"), rows)
        + f"\n\n95% interval together: {output.percent(low)} to {output.percent(high)}{notes}"
    )


def _text(found: Evaluation) -> str:
    test = found.test
    low, high = test.interval
    left_out = output.count(found.skipped, "file")
    skipped = f" ({left_out} of the whole data left out)" if found.skipped else ""
    lines = [
        f"{found.network} ({found.run}) on {found.data}, {found.part}: "
        f"{output.count(test.n, 'image')}{skipped}",
        "",
        f"accuracy     {output.percent(test.accuracy)}  "
        f"(95% interval {output.percent(low)} to {output.percent(high)})",
    ]
    if test.top5 is not None:
        lines.append(f"top-5        {output.percent(test.top5)}")
    if found.tested:
        lines += ["", _tested_table(found), ""]
    lines += [
        f"loss         {test.loss:.4f}",
        f"calibration  {_calibration(test)}",
        "",
        _class_table(test.classes),
    ]
    confused = _most_confused(found)
    if confused:
        lines += ["", "taken for each other most often", confused]
    return "\n".join(lines)


def _calibration(test: Figures) -> str:
    """Say how far certainty and accuracy lie apart, and which way."""
    error, oversure = test.calibration_error, test.oversure
    way = "too sure" if oversure > 0 else "too unsure"
    if abs(oversure) < error / 2:
        way = "too sure of some answers, too unsure of others"
    return (
        f"certainty and accuracy differ by {100 * error:.2f} points in the mean: {way} "
        f"(expected calibration error, {len(test.reliability)} bins)"
    )


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
