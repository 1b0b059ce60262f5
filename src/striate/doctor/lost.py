"""What a history has lost, and which of its lines count.

A file system that was full, a copy that broke off, two runs told to write into one folder: lines
are missing or there twice. Rules read what is left; this says what that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from striate import wording
from striate.runs import Run

_NAMED: Final = 3  # gaps
_TURNS, _OFTEN = 3, 0.1  # times that steps go back, and of all steps
_COURSE: Final = ("step", "probe", "validation")  # kinds whose steps only ever grow

Lines = Sequence[Mapping[str, Any]]


def counting(history: Lines) -> list[Mapping[str, Any]]:
    """Return the lines that count: where steps begin again at a lower number, those from there on.

    A resume says where it goes on, and readers obey. Where that line is lost, or another run was
    written into the folder, the steps themselves say it.
    """
    kept: list[Mapping[str, Any]] = []
    last = -1.0
    for line in history:
        if line.get("kind") in _COURSE:
            step = float(line.get("step", last))
            before = step - 1 if line["kind"] == "step" else step  # the last step that still counts
            if step < last or (line["kind"] == "step" and _holds(kept, step)):
                kept = [each for each in kept if each.get("step", 0) <= before]
            last = step
        kept.append(line)
    return kept


def mixed(history: Lines) -> bool:
    """Tell whether two runs wrote into one history at the same time, line by line.

    A resume turns back once, and a copy of another run too; these turn back all the time, and
    whose a line is cannot be told.
    """
    steps = [float(line.get("step", 0)) for line in history if line.get("kind") == "step"]
    back = sum(later <= before for before, later in pairwise(steps))
    return back > _TURNS and back > _OFTEN * len(steps)


def _holds(kept: Lines, step: float) -> bool:
    """Tell whether a step is there already."""
    newest = next((each for each in reversed(kept) if each.get("kind") == "step"), None)
    return newest is not None and newest["step"] >= step


def lost(run: Run) -> tuple[str, ...]:
    """Return in sentences what is missing from a run's history, or there twice; () where all is."""
    history = run.history()
    if mixed(history):
        return (
            "Two runs wrote into this history at the same time, and which lines are whose cannot "
            "be told: nothing can be said of either. Give each run a folder of its own.",
        )
    kept = counting(history)
    said = []
    if len(kept) < len(history):
        said.append(
            "The history holds some steps twice, as where two runs wrote into one folder: what is "
            "said rests on the later ones."
        )
    numbers = [int(line["step"]) for line in kept if line.get("kind") == "step"]
    total = max([_taken(run, kept), *numbers])
    gaps = [(a + 1, b - 1) for a, b in pairwise([0, *numbers, total + 1]) if b > a + 1]
    if gaps and numbers:
        spans = [f"{a} to {b}" if b > a else f"{a}" for a, b in gaps]
        more = f" and {len(gaps) - _NAMED} more stretches" if len(gaps) > _NAMED else ""
        checks = sum(line.get("kind") == "validation" for line in kept)
        probes = sum(line.get("probe") == "layers" for line in kept)
        said.append(
            f"The history has lost {wording.count(total - len(numbers), 'step')} of {total} "
            f"({', '.join(spans[:_NAMED])}{more}): what is said rests on the other {len(numbers)}, "
            f"{wording.count(checks, 'validation')} and {wording.count(probes, 'probe')} of layers"
            + (", and how the training ended is not known." if gaps[-1][1] == total else ".")
        )
    return tuple(said)


def _taken(run: Run, kept: Lines) -> int:
    """Return how many steps a run took, as far as its folder tells."""
    written = [int(line.get("step", 0)) for line in kept]
    saved = [step for step, _ in run.checkpoints()]
    return max([*written, *saved, _planned(run, kept)])


def _planned(run: Run, kept: Lines) -> int:
    """Return the steps that a finished run must have taken; 0 where that cannot be told."""
    recipe = run.recipe_document()
    ended = any(line.get("event") == "finished" for line in kept)
    epochs = [line for line in kept if line.get("kind") == "validation" and line["epoch"]]
    if run.info.state != "finished" or ended or recipe.get("early_stop") or not epochs:
        return 0
    pace = float(epochs[-1]["step"]) / float(epochs[-1]["epoch"])
    return round(pace) * int(recipe["epochs"])
