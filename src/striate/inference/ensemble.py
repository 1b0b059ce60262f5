"""Several runs, or several published weights, asked together: the mean of their probabilities.

The lectures' cheapest points ("7 CNN ensemble: 18.2% -> 15.4%"). Each member sees images through
its own contract; classes are matched by id, so members may have them in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striate import runs
from striate.data import Dataset
from striate.errors import ContractError, UsageError
from striate.inference.evaluate import Images, Part, _loader, _trained_on, find_images
from striate.inference.evaluation import Figures, figures
from striate.inference.model import Model, open_model
from striate.inference.outcome import Outcome, measure
from striate.inference.weights import load
from striate.ops import choose_device
from striate.records import Record


class Member(Record, frozen=True, kw_only=True):
    """One member's own figures, and how many of the images it has been trained on."""

    run: str
    accuracy: float
    loss: float
    trained_on: int


class Ensemble(Record, frozen=True, kw_only=True):
    """The document of `evaluate RUN RUN ...`.

    Args:
        members: each on its own.
        data: what was evaluated on.
        part: which part of it.
        test: figures of the mean of their probabilities.
        gain: its accuracy less that of the best member.
        notes: what a reader should know.
    """

    members: tuple[Member, ...]
    data: str
    part: str
    test: Figures
    gain: float
    notes: tuple[str, ...] = ()


def evaluate_ensemble(
    members: Sequence[Model | Path | str],
    data: str | Dataset | Images | None = None,
    *,
    part: Part = "test",
    device: str = "auto",
    strict: bool = False,
) -> Ensemble:
    """Measure several networks together on the same images.

    Args:
        members: run folders or weights, two or more.
        data: as for `evaluate`; the first member's own, in its split, unless given.
        part: which part of it.
        device: auto, cpu, cuda or cuda:N.
        strict: a file that cannot be read is an error.

    Raises:
        UsageError: fewer than two members, or one of them twice.
        ContractError: members know different classes.
        RunError, WeightsError, DataError: as for `evaluate`.
    """
    if len(members) < 2:
        raise UsageError(f"Expected two or more members, received {len(members)}.")
    opened = [open_model(each) for each in members]
    places = [str(Path(each.path).resolve()) for each in opened]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise UsageError(f"Expected members that differ, received {twice} more than once.")
    images = data if isinstance(data, Images) else find_images(opened[0], data, part, strict)
    first, chosen = opened[0].contract(), choose_device(device)
    ids = [each.id for each in first.classes]
    likely, rows, labels, indices = [], [], None, None
    for model in opened:
        contract = model.contract()
        names = [each.id for each in contract.classes]
        if set(names) != set(ids):
            missing = sorted(set(ids) ^ set(names))[0]
            raise ContractError(
                f"The members know different classes: {missing} is not known to all of them. "
                "Take runs that were trained on the same classes."
            )
        loader = _loader(images.samples, contract)
        outcome = measure(
            load(model, chosen), loader.epoch(0), device=chosen, meaning=contract.output
        ).relabelled(contract.match(images.classes))
        order = [names.index(name) for name in ids]
        likely.append(outcome.probabilities[:, order])
        indices, labels = outcome.indices, np.argsort(order)[outcome.labels]
        seen = _trained_on(images.samples, model) if isinstance(model, runs.Run) else 0
        rows.append(
            Member(
                run=str(model.path), accuracy=outcome.accuracy, loss=outcome.loss, trained_on=seen
            )
        )
    if indices is None or labels is None:
        raise UsageError("Expected two or more members, received none.")
    mean = np.mean(likely, axis=0).astype(np.float32)
    together = Outcome(indices, mean, labels, "probabilities")
    leaks = [each for each in rows if each.trained_on]
    notes = tuple(
        f"{each.trained_on} of these images are, by content, among those that {each.run} was "
        "trained on."
        for each in leaks
    )
    test = figures(together, first.classes, images.samples.ids)
    return Ensemble(
        members=tuple(rows),
        data=images.data,
        part=images.part,
        test=test,
        gain=test.accuracy - max(each.accuracy for each in rows),
        notes=(*images.notes, *notes),
    )
