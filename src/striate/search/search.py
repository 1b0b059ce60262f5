"""The public verb: a search over recipes, and the folder it leaves.

The folder holds `study.json` (the question), `study.db` (every run, as Optuna's study), and, as
soon as there is something to say, `results.json`, `best.json` (the winner's recipe) and `figures/`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from striate import data as sources
from striate.data import Dataset
from striate.errors import RunError, UsageError
from striate.files import atomic_write
from striate.records import Record, from_json, to_json
from striate.search.course import Budget
from striate.search.explore import Explored, explore
from striate.search.ledger import Ledger, engine, without_password
from striate.search.pictures import paint
from striate.search.report import SearchResult, summed_up
from striate.search.space import Space
from striate.search.trainer import Problem, Trainer
from striate.train import Recipe
from striate.train.interrupt import interruptible
from striate.train.optimiser import check_trainable
from striate.train.processes import processes


class Question(Record, frozen=True, kw_only=True):
    """What is searched: study.json.

    Args:
        version: of the format.
        recipe: that settings change.
        network: text with holes, if it has any.
        space: as asked.
        budget: how much.
        storage: where the runs are written, without a password; None for study.db in the folder.
        name: of the study in the storage.
    """

    version: int = 1
    recipe: Recipe
    network: str | None = None
    space: Space
    budget: Budget
    storage: str | None = None
    name: str

    def shared(self) -> dict[str, Any]:
        """Return what processes on other machines must have the same, too."""
        written: dict[str, Any] = msgspec.json.decode(to_json(self))
        for key in ("storage", "name", "version"):
            del written[key]
        written["recipe"]["data"]["path"] = ""  # which differs from machine to machine
        written["recipe"]["workers"], written["recipe"]["device"] = 0, ""
        return written


def search(
    recipe: Recipe,
    space: Sequence[str] = (),
    *,
    out: Path | str,
    budget: Budget | None = None,
    network: str | None = None,
    storage: str | None = None,
    dataset: Dataset | None = None,
) -> SearchResult:
    """Search for better settings of a recipe, from coarse to fine; leaves a folder.

    The same call again, in the same folder or with the same storage, goes on, or takes part while
    others search. The test part is not looked at.

    Args:
        recipe: to begin with; `recipe.epochs` is the length of a full run.
        space: `KEY=LOW..HIGH` or `KEY=ONE,OTHER` each; see `space` and `Problem`.
        out: the folder.
        budget: how much, and how.
        network: text with holes that settings fill, as in `convnet(widths=({w}, 64))`.
        storage: a database's URL or a file, where processes elsewhere see it.
        dataset: the recipe's data, where it is open already.

    Raises:
        UsageError, UnknownName: no such range, key or storage.
        DataError, ContractError, DesignError: data and network cannot be trained together.
        RunError: the folder is something else, or asks something else.
        TrainingError: no run gave a score.
    """
    engine()
    check_trainable(recipe.network)
    problem = Problem(recipe, network)
    question = Question(
        recipe=recipe,
        network=problem.network,
        space=problem.space(space),
        budget=budget or Budget(epochs=recipe.epochs),
        storage=None if storage is None else without_password(storage),
        name=Path(out).resolve().name,
    )
    return _carry_out(question, Path(out), storage, dataset)


def resume(
    out: Path | str, *, storage: str | None = None, dataset: Dataset | None = None
) -> SearchResult:
    """Go on with a search, or take part in one, by its folder.

    Args:
        out: the folder.
        storage: where the runs are, if that is no longer what the folder says; or with a password.
        dataset: the recipe's data, where it is open already.

    Raises:
        RunError: it is no search's folder.
    """
    engine()
    folder = Path(out)
    if not (folder / "study.json").is_file():
        raise RunError(
            f"{folder} is no search: it has no study.json; striate search DATA --out {folder} "
            "begins one."
        )
    text = (folder / "study.json").read_bytes()
    question = from_json(Question, text, str(folder / "study.json"))
    return _carry_out(question, folder, storage, dataset)


def _found(folder: Path, question: Question) -> None:
    """Write the question down, or find the same one there."""
    place = folder / "study.json"
    if not folder.exists() or not any(folder.iterdir()):
        atomic_write(place, to_json(question, indent=2) + b"\n")
        return
    if not place.is_file():
        raise RunError(f"{folder} is already there and is no search; choose another --out.")
    known = from_json(Question, place.read_bytes(), str(place)).shared()
    other = [key for key, value in question.shared().items() if known[key] != value]
    if other:
        raise RunError(
            f"{folder} is a search with another {' and '.join(other)}; go on with it by "
            f"--resume {folder}, or choose another --out."
        )


def _carry_out(
    question: Question, folder: Path, storage: str | None, dataset: Dataset | None
) -> SearchResult:
    recipe = question.recipe
    storage = storage or question.storage or str(folder / "study.db")
    problem = Problem(recipe, question.network)
    with processes(recipe.device) as together, interruptible() as interrupt:
        if together.world > 1:
            raise UsageError(
                "A search is shared by starting the same command again, not by torchrun."
            )
        opened = dataset or sources.open(recipe.data.path, strict=recipe.data.strict)
        trainer = Trainer(problem, together, opened)  # refuses what is unusable
        _found(folder, question)
        ledger = Ledger(storage, question.name, question.shared())
        found = explore(
            trainer,
            question.space,
            question.budget,
            ledger,
            allowed=problem.allowed,
            asked=lambda: interrupt.asked,
            what="val acc" if recipe.choose_by == "accuracy" else "-val loss",
        )
    return _left(question, folder, problem, found)


def _left(question: Question, folder: Path, problem: Problem, found: Explored) -> SearchResult:
    """Write results, pictures and the winner's recipe."""
    recipe = question.recipe
    by_accuracy = recipe.choose_by == "accuracy"
    bounds = (0.0, 1.0) if by_accuracy else (-math.inf, 0.0)
    space, ended = question.space, found.ended
    result = summed_up(
        str(folder), space, found.space, found.entries, ended, bounds, problem.allowed
    ).replace(
        data=recipe.data.path,
        network=question.network or recipe.network.name,
        figure="validation accuracy" if by_accuracy else "minus validation loss",
    )
    if result.best is not None:
        winner = problem.recipe(result.best.settings)
        said = ", ".join(f"{key}={value}" for key, value in result.best.settings.items())
        winner = winner.replace(reason=f"{recipe.reason}; found by striate search: {said}")
        atomic_write(folder / "best.json", to_json(winner, indent=2) + b"\n")
        result = result.replace(recipe=str(folder / "best.json"))
    won = None if result.best is None else result.best.settings
    pictures = paint(folder / "figures", folder.name, space, found.space, found.entries, won)
    result = result.replace(figures=pictures)
    atomic_write(folder / "results.json", to_json(result, indent=2) + b"\n")
    return result
