"""`striate search DATA`."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Data, Device, Json, RecipeName, Settings, changed, only_with_resume
from striate.wording import quoted

if TYPE_CHECKING:
    from striate.search import Best, Budget, Problem, SearchResult


class How(enum.StrEnum):
    """The samplers."""

    random = "random"
    tpe = "tpe"


def search(  # long by its options
    context: typer.Context,
    data: Data = None,
    net: Annotated[
        str,
        typer.Option("--net", metavar="NET", help="A network; {name} in it is a hole to search."),
    ] = "auto",
    recipe: RecipeName = "auto",
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="KEY=LOW..HIGH",
            help="What to search: rate=1e-4..1, or optimiser=sgd,adamw. Can be repeated.",
        ),
    ] = None,
    settings: Settings = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", metavar="N", min=1, help="Settings to try; 24."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="S", min=1.0, help="Of all runs, over all processes."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", min=1, help="Of a full run; the recipe's."),
    ] = None,
    sampler: Annotated[
        How, typer.Option("--sampler", help="random, or tpe: Bayesian, by Parzen estimators.")
    ] = How.random,
    grid: Annotated[
        int | None,
        typer.Option("--grid", metavar="K", min=1, help="A grid of K values a range instead."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option("--seeds", metavar="N", min=0, help="More seeds for each leader."),
    ] = 3,
    leaders: Annotated[
        int | None,
        typer.Option("--leaders", metavar="N", min=1, help="How many of the best get them."),
    ] = None,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="Flag a best at an edge, but extend no range.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all chance.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="The search; searches/DATA-NET-001 else."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="FOLDER", help="Go on with a search, or take part."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            help="postgresql://..., FILE.db or FILE.journal; study.db in the folder else.",
        ),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Better settings, searched from coarse to fine; leaves a recipe.

    Short runs of settings drawn at random in log space, longer ones of the best and about the best.
    A best at the edge of a range is flagged and the range extended; leaders are run again with
    other seeds, so that "no significant difference" is an answer. The test part is not touched.

    KEY is any setting of `train --set` (rate and decay for short), width (a factor on all layers),
    depth (blocks more or fewer a stage), augment (a factor on the augmentation), net, or a hole in
    --net; without --space rate, decay, optimiser, augment and, where NET has them, width and depth:
    --net "convnet(widths=({w},64),depths=(1,{d}))" --space w=8..64 --space d=0..3

    The same command with the same --out, or --resume FOLDER, goes on after a kill, and takes part
    while others search. Needs Optuna: pip install "striate[search]".
    """
    from striate import search as room

    if resume is not None:
        only_with_resume(context, {"resume", "storage", "as_json"}, "the search as it was asked")
        _end(room.resume(resume, storage=storage), as_json)
        return
    from striate import data as sources
    from striate import progress, recipes, runs
    from striate.search.ledger import engine
    from striate.search.trainer import holes, middle

    engine()
    changes = changed(settings, epochs=epochs)
    plain = middle(net, space or ()) if holes(net) else net
    recipes.check(recipe, network=plain, device=device, settings=changes)
    dataset = sources.open("digits" if data is None else data)
    base = recipes.make(recipe, dataset, network=plain, device=device, settings=changes)
    budget = room.Budget(
        trials=24 if trials is None and seconds is None else trials,
        seconds=seconds,
        epochs=base.epochs,
        sampler=sampler.value,
        grid=grid,
        seeds=seeds,
        leaders=leaders,
        extend=not fixed,
        seed=seed,
    )
    folder = out or runs.new_path("searches", f"{dataset.name}-{base.network.name}")
    problem = room.Problem(base, net if holes(net) else None)
    progress.say(_opening(dataset.name, folder, budget, problem, space or ()))
    result = room.search(
        base.replace(seed=seed),
        space or (),
        out=folder,
        budget=budget,
        network=net if holes(net) else None,
        storage=storage,
        dataset=dataset,
    )
    _end(result, as_json)


def _opening(
    data: str, folder: Path, budget: Budget, problem: Problem, asked: Sequence[str]
) -> str:
    space = problem.space(asked)
    said = ", ".join(f"{each.key} {each.spelled()}" for each in space.parameters)
    parts = [f"{data}, {problem.base.network.name}: into {folder}"]
    if not (folder / "study.json").is_file():  # else its ranges may have been extended: at the end
        parts.append(f"Searched: {said}.")
    parts += [] if asked else [f"Not searched: {each}" for each in problem.without()]
    parts += [f"Note: {each}" for each in problem.refitted(space)]
    if budget.grid is not None:
        parts.append(
            f"A grid of {budget.grid} values a range tries {budget.grid} of the one that matters; "
            "at random, each trial tries another (Bergstra and Bengio 2012)."
        )
    return "\n".join(parts)


def _end(result: SearchResult, as_json: bool) -> None:
    output.show(result, _text(result), as_json)
    if result.state == "interrupted":
        sys.exit(output.INTERRUPTED)


def _text(result: SearchResult) -> str:
    from striate.search.report import counted

    again = f"striate search --resume {quoted(result.study)}"
    head = f"{counted(result.runs)} in {output.duration(result.seconds)}"
    if result.state == "interrupted":
        return f"\nInterrupted after {head}. Go on with: {again}"
    blocks = [f"\n{head}"]
    if result.leaders:
        blocks.append(_leaders(result))
    if result.best is not None:
        blocks.append(_best(result, result.best))
    if result.extensions:
        blocks.append(_extended(result))
    warnings = [f"Distrust it: {each.text}." for each in result.edges]
    if warnings:
        blocks.append("\n".join(warnings))
    blocks.append(_importance(result))
    places = {"study": result.study, "recipe": result.recipe, **result.figures}
    blocks.append("\n".join(f"{name.ljust(10)} {place}" for name, place in places.items() if place))
    if result.recipe is not None:
        data, recipe = quoted(result.data), quoted(result.recipe)
        blocks.append(f"next\n  striate train {data} --recipe {recipe}")
    return "\n\n".join(blocks)


def _extended(result: SearchResult) -> str:
    """Say which ranges were searched in the end, where the best lay at an edge of those asked."""
    asked = {each.key: each.spelled() for each in result.space}
    keys = {each.key for each in result.extensions}
    said = (
        f"{each.key} {each.spelled()} (asked: {asked[each.key]})" if each.key in keys
        else f"{each.key} {each.spelled()}"
        for each in result.searched
    )  # fmt: skip
    return f"Searched, with what was extended: {', '.join(said)}."


def _leaders(result: SearchResult) -> str:
    keys = list(result.leaders[0].settings)
    rows = [
        (
            f"{each.mean:.4f}",
            "" if each.interval is None else f"{each.interval[0]:.4f} to {each.interval[1]:.4f}",
            len(each.scores),
            "yes" if each.tied else "no",
            *(_value(each.settings[key]) for key in keys),
        )
        for each in result.leaders
    ]
    titles = ("mean", "95% interval", "seeds", "may be best", *(k.rpartition(".")[2] for k in keys))
    return output.table((result.figure, *titles[1:]), rows)


def _best(result: SearchResult, best: Best) -> str:
    said = ", ".join(f"{key} {_value(value)}" for key, value in best.settings.items())
    between = (
        ""
        if best.interval is None
        else f" (95% interval {best.interval[0]:.4f} to {best.interval[1]:.4f})"
    )
    noise = "" if result.noise is None else f" Noise of a seed: {result.noise:.4f}."
    tested = f" ({result.test}.{noise})" if result.noise is not None else ""
    return (
        f"best  {said}: {result.figure} {best.mean:.4f}{between}\n"
        f"{result.verdict[:1].upper()}{result.verdict[1:]}.{tested}"
    )


def _importance(result: SearchResult) -> str:
    if not result.importance:
        short = sum(each["stage"] in ("coarse", "grid") for each in result.trials)
        return (
            f"To say which setting mattered takes 8 runs drawn from the whole space, here {short}: "
            "half of --trials are, so 16 would do."
        )
    rows = [
        (
            each.key,
            output.percent(each.share, 0),
            f"{each.p:.3f}",
            "" if each.clear else "not beyond chance",
        )
        for each in result.importance
    ]
    return output.table(("setting", "explains alone", "p", ""), rows)


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
