"""`striate train [DATA]`, `striate train --resume RUN`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import (
    Data,
    Device,
    Json,
    Net,
    RecipeName,
    Settings,
    Size,
    Strict,
    changed,
    only_with_resume,
    sides,
)
from striate.errors import UsageError
from striate.wording import quoted

_LONG = 100_000_000  # multiply-adds of an image, from which on checks are waited for

if TYPE_CHECKING:
    from striate.data import Dataset
    from striate.doctor import Check
    from striate.inference import Evaluation
    from striate.runs import Run
    from striate.train import Recipe, TrainResult
    from striate.train.plan import Choice
    from striate.train.prepare import Prepared
    from striate.train.result import Figures


def train(  # long by its options
    context: typer.Context,
    data: Data = None,
    net: Net = "auto",
    recipe: RecipeName = "auto",
    size: Size = None,
    settings: Settings = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", min=1, help="How often each image is seen."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="Of all chance but that of the split."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="The run folder; runs/DATA-NET-001 unless given."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is at --out.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN", help="Go on with a run from its newest checkpoint."
        ),
    ] = None,
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="PLAN",
            help="How convolutions are computed: measure, default (torch's own), or a plan's file.",
        ),
    ] = "measure",
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=0, help="Threads that prepare batches."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Check data and network first, briefly."),
    ] = True,
    heal: Annotated[
        bool,
        typer.Option("--heal", help="Try the doctor's remedies, and go on with what is better."),
    ] = False,
    strict: Strict = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train on images, evaluate on held-out ones, leave a run folder.

    DATA is a named set such as digits, mnist or cifar10, or a path: a folder of class folders (with
    or without train, val and test above them), IDX, CIFAR or npz files, a CSV of paths and labels.

    A recipe fixes everything about a run: --set changes what no option does, such as batch=64,
    optimiser.rate=0.01 or schedule=cosine. The run's recipe.json has all of it.
    """
    if resume is not None:
        only_with_resume(context, {"resume", "workers", "check", "as_json"}, "the run's own recipe")
        from striate import train as training

        _end(training.resume(resume, workers=workers), None, as_json)
        return
    from striate import data as sources
    from striate import progress, recipes, runs
    from striate import train as training

    changes = changed(settings, epochs=epochs, seed=seed, workers=workers)
    changes.append(f"data.strict={str(strict).lower()}")
    pixels, convolutions = sides(size), _plan(plan)
    if out is not None and output.first_process():
        runs.check_free(out, overwrite)
    recipes.check(recipe, network=net, device=device, settings=changes)
    dataset = sources.open("digits" if data is None else data, strict=strict)
    chosen = recipes.make(
        recipe, dataset, network=net, size=pixels, device=device, settings=changes
    )
    if output.first_process():
        progress.say(_opening(chosen, dataset, settings or (), net))
    path = out or runs.new_path("runs", f"{dataset.name}-{chosen.network.name}")
    from striate import doctor
    from striate.train.optimiser import check_trainable
    from striate.train.prepare import prepare

    prepared = prepare(chosen, dataset)
    check_trainable(chosen.network)  # before checks say so at length
    failed = _checked(chosen, prepared) if check and output.first_process() else ()
    if heal:
        result = doctor.heal(
            chosen,
            path,
            dataset=dataset,
            overwrite=overwrite,
            plan=convolutions,
            failed=failed,
        )
    else:
        watch = [doctor.Live(path, failed=failed)] if output.first_process() else []
        result = training.train(
            chosen,
            out=path,
            overwrite=overwrite,
            plan=convolutions,
            observers=watch,
            prepared=prepared,
        )
    _end(result, dataset, as_json, failed)


def _checked(recipe: Recipe, prepared: Prepared) -> tuple[Check, ...]:
    """Say which checks before training fail, and return them; training goes on all the same."""
    from striate import doctor, progress

    paying = doctor.trainings_pay(recipe, len(prepared.split.train))
    if recipe.network.macs() > _LONG:
        progress.say("Checking data and network, up to a minute (--no-check leaves it out).")
    found = doctor.preflight(recipe, prepared, trainings=paying)
    failed = tuple(each for each in found if each.verdict == "fail")
    for each in failed:
        name = each.check.replace("_", " ")
        progress.say(f"Check failed: {name}: {each.meaning}. To do: {each.fix}.")
    if failed:
        progress.say("Training goes on; `striate check` shows all, --no-check leaves it out.")
    return failed


def _plan(text: str) -> Choice:
    """Read --plan."""
    if text == "measure":
        return "measure"
    if text == "default":
        return "default"
    path = Path(text)
    if not path.exists():
        raise UsageError(
            f"Expected --plan measure, default, or a file that is there, received {text!r}."
        )
    return path


def _opening(recipe: Recipe, dataset: Dataset, settings: Sequence[str], net: str | None) -> str:
    """Say what is trained: the network with its knobs, which its name alone does not tell."""
    name, bracket, _ = (net or "").partition("(")
    called = net if bracket and name.strip() == recipe.network.name else recipe.network.name
    parameters = recipe.network.parameter_count()
    others = ", ".join(dict.fromkeys(each.partition("=")[0] for each in settings))
    changed = f"; but for {others}, which --set changes" if others else ""
    return (
        f"{dataset.name}: {output.count(len(dataset.classes), 'class')}; "
        f"{called}, {parameters:,} parameters; {output.count(recipe.epochs, 'epoch')} "
        f"({recipe.name}: {recipe.reason}{changed})"
    )


def _end(
    result: TrainResult, dataset: Dataset | None, as_json: bool, failed: Sequence[Check] = ()
) -> None:
    """Draw the pictures and print the result, in the one process that speaks."""
    if not output.first_process():
        return
    from striate.records import to_builtins

    if result.state == "interrupted":
        again = f"Interrupted. Go on with: striate train --resume {quoted(result.run)}"
        output.show(result, again, as_json)
        sys.exit(output.INTERRUPTED)  # not typer.Exit: all is said already
    from striate import inference, runs
    from striate.records import decode

    run = runs.open(result.run)
    if run.results() is None:
        output.show(result, f"No image was held out for a test. The run: {result.run}", as_json)
        return
    evaluation = decode(inference.Evaluation, run.results())
    pictures = inference.draw_run(run, evaluation, dataset)
    document = {
        **to_builtins(result),
        "failed_checks": [each.check for each in failed],
        "figures": {name: str(path) for name, path in pictures.items()},
    }
    document["findings"], said = _findings(run)
    output.show(document, _text(result, evaluation, pictures, run) + said, as_json)


def _chosen(validation: Figures) -> str:
    """Say which weights were kept, and by what."""
    accuracy, loss = output.percent(validation.accuracy), f"{validation.loss:.4f}"
    said = {
        "accuracy": f"validation accuracy {accuracy} (loss {loss})",
        "loss": f"validation loss {loss} (accuracy {accuracy})",
        "robust": f"validation accuracy under attack {output.percent(validation.robust or 0.0)} "
        f"(accuracy {accuracy})",
    }[validation.chosen_by]
    return f"weights of epoch {validation.epoch}, chosen by {said}"


def _took(result: TrainResult) -> str:
    """Say how long the training took; of one gone on with, all of it."""
    said = f"{output.count(result.epochs, 'epoch')} in {output.duration(result.seconds)}"
    return f"{said}, what came before the resume included" if result.resumes else said


def _findings(run: Run) -> tuple[list[str], str]:
    """Return the names of what the doctor finds in a run at its end, and a line that says so."""
    from striate import doctor

    found = [each.finding for each in doctor.diagnose(run) if each.confidence >= doctor.SURE]
    names = ", ".join(each.replace("_", " ") for each in found)
    return found, f"\n  striate doctor {quoted(run.path)}    ({names})" if found else ""


def _text(
    result: TrainResult, evaluation: Evaluation, pictures: Mapping[str, Path], run: Run
) -> str:
    test = evaluation.test
    low, high = test.interval
    lines = [
        "",
        f"test accuracy {output.percent(test.accuracy)} on "
        f"{output.count(test.n, 'image')} held out "
        f"(95% interval {output.percent(low, 1)} to {output.percent(high, 1)}), "
        f"loss {test.loss:.4f}",
    ]
    if result.validation is not None:
        lines.append(f"{_chosen(result.validation)}; {_took(result)}")
    places = {"run": result.run, "model": str(run.weights)}
    places |= {name: str(path) for name, path in pictures.items()}
    places.setdefault("mistakes", "none")
    lines += ["", *(f"{name.ljust(10)} {place}" for name, place in places.items())]
    again = quoted(result.run)
    steps = run.history("step")
    lines += ["", "next", f"  striate evaluate {again}", f"  striate predict {again} IMAGES"]
    lines.append(f"  striate explain {again}")
    if steps:
        lines.append(f"  striate replay {again} 1..{min(steps[-1]['step'], 10)}")
    return "\n".join(lines)
