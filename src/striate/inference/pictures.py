"""What an evaluation looks like: how a run learnt, what it confuses, where it errs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate import draw, runs
from striate.contract import Contract
from striate.data import Dataset
from striate.files import atomic_write
from striate.inference.evaluate import Images, find_images
from striate.inference.evaluation import Evaluation, Mistake
from striate.inference.model import Model
from striate.records import to_json

MISTAKES_SHOWN = 24


def draw_run(
    run: runs.Run, evaluation: Evaluation, dataset: Dataset | None = None
) -> dict[str, Path]:
    """Draw a run's learning curve, and what its evaluation found, into its `figures/`.

    Args:
        run: a run that has been trained.
        evaluation: of its own data.
        dataset: that data, where it is open already.

    Returns:
        The pictures by name: `curve`, `confusion`, and `mistakes` where there are any.
    """
    curve = run.figures / "learning_curve.png"
    by = run.recipe_document().get("choose_by", "accuracy")
    draw.learning_curve(run.history(), _title(evaluation), by).save(curve)
    images = find_images(run, dataset)
    return {"curve": curve, **_draw(run.figures, evaluation, run.contract(), images)}


def write_evaluation(
    evaluation: Evaluation, run: Model, images: Images, folder: Path
) -> dict[str, Path]:
    """Write an evaluation's document and pictures into a folder, which is made.

    Args:
        evaluation: what was found.
        run: what was evaluated.
        images: what it was evaluated on, from `find_images`.
        folder: where to.

    Returns:
        The files by name: `document`, `confusion`, and `mistakes` where there are any.
    """
    document = folder / "evaluation.json"
    atomic_write(document, to_json(evaluation, indent=2) + b"\n")
    return {"document": document, **_draw(folder, evaluation, run.contract(), images)}


def _draw(
    folder: Path, evaluation: Evaluation, contract: Contract, images: Images
) -> dict[str, Path]:
    test, label_of = evaluation.test, {each.id: each.label for each in contract.classes}
    confusion = folder / "confusion.png"
    title = f"{_title(evaluation)}: {test.n:,} images"
    draw.confusion(test.confusion, list(label_of.values()), title).save(confusion)
    worst = test.mistakes[:MISTAKES_SHOWN]
    if not worst:
        return {"confusion": confusion}
    mistakes = folder / "mistakes.png"
    place = {id: index for index, id in enumerate(images.samples.ids)}
    draw.grid(
        [_visible(images, place[each.sample], contract) for each in worst],
        [_caption(each, label_of) for each in worst],
        title=f"{_title(evaluation)}: {_how_many(len(worst), _wrong(evaluation))}",
    ).save(mistakes)
    return {"confusion": confusion, "mistakes": mistakes}


def _visible(images: Images, index: int, contract: Contract) -> npt.NDArray[np.uint8]:
    pixels = images.samples.pixels(index, contract)
    return pixels[..., ::-1] if contract.channels == "bgr" else pixels


def _title(evaluation: Evaluation) -> str:
    return f"{evaluation.network} on {Path(evaluation.data).name}"


def _wrong(evaluation: Evaluation) -> int:
    return sum(each.n - each.right for each in evaluation.test.classes)


def _how_many(shown: int, wrong: int) -> str:
    if wrong == 1:
        return "the only mistake"
    return f"all {wrong} mistakes" if shown == wrong else f"the worst {shown} of {wrong:,} mistakes"


def _caption(mistake: Mistake, label_of: dict[str, str]) -> str:
    said = f"{label_of[mistake.answer]} ({100 * mistake.probability:.0f}%)"
    return f"{said}\nis {label_of[mistake.id]}"
