"""Labels in doubt among all images, the training part's too, by networks that never saw them.

The training images are cut into folds, classes evenly. For each fold a network is trained, by the
recipe, on the other folds and asked about this one; images of the other parts are asked of all of
them. Images that are nearly the same stay together, or a network would repeat a wrong label that it
has learned from the twin. What is made of the answers is confident learning
(`inference.doubt.suspects`).

Source: Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from striate import inference, progress
from striate.data import Dataset, Loader, Samples
from striate.errors import UsageError
from striate.inference.doubt import Suspect, suspects, wrong_labels
from striate.inference.evaluation import Ends
from striate.inference.metrics import wilson
from striate.randomness import stream
from striate.records import Record
from striate.train import Recipe
from striate.train.plan import make_plan, obeying
from striate.train.prepare import Prepared, lit, prepare
from striate.train.processes import Processes, processes
from striate.train.training import Training

Floats = npt.NDArray[np.float64]


class CrossDoubt(Record, frozen=True, kw_only=True):
    """What networks say of images that they were not trained on.

    Args:
        network: which.
        folds: how many of it were trained.
        images: asked about: all of them.
        accuracy, interval: on the training images, each by the network that had not seen it.
        labels_wrong: share of all labels that may be wrong, as in `inference.Doubt`.
        suspects: labels in doubt, the most doubtful first.
    """

    network: str
    folds: int
    images: int
    accuracy: float
    interval: Ends
    labels_wrong: float | None
    suspects: tuple[Suspect, ...]


def cross_doubt(
    recipe: Recipe, dataset: Dataset, *, folds: int = 4, alike: Sequence[Sequence[str]] = ()
) -> CrossDoubt:
    """Train a network for each fold, and name the labels that they doubt.

    Args:
        recipe: how each is trained.
        dataset: all its images are asked about.
        folds: at least 2; each image of the training part is left out by one network.
        alike: groups of images, as `part/id`, that have to stay together.

    Raises:
        UsageError: fewer than 2 folds, or more than images of the rarest class.
        DataError, ContractError: data and network cannot be trained together.
        NotFiniteError: a training failed.
    """
    part = "train" if "train" in dataset.parts else "all"
    training = dataset.parts[part]
    others = {name: each for name, each in dataset.parts.items() if name != part and len(each)}
    fold_of = assign(training, folds, recipe.seed, _together(part, training, alike))
    likely = np.zeros((len(training), len(dataset.classes)))
    beside = {name: np.zeros((len(each), len(dataset.classes))) for name, each in others.items()}
    with processes(recipe.device) as together:
        for fold in range(folds):
            out = np.flatnonzero(fold_of == fold)
            rest, held = (training.subset(np.flatnonzero(fold_of != fold)), training.subset(out))
            cut = Dataset(
                dataset.name, dataset.spec, dataset.classes, {"train": rest, "test": held}
            )
            progress.say(f"fold {fold + 1} of {folds}: training on {len(rest):,} images")
            answer = _trained(recipe, prepare(recipe, cut), together)
            likely[out] = answer(held)
            right = float((likely[out].argmax(1) == held.labels).mean())
            progress.say(f"fold {fold + 1} of {folds}: {100 * right:.1f}% of {len(held):,} right")
            for name, samples in others.items():
                beside[name] += answer(samples) / folds
    right = int((likely.argmax(1) == training.labels).sum())
    parts = {part: training, **others}
    return CrossDoubt(
        network=recipe.network.name,
        folds=folds,
        images=sum(map(len, parts.values())),
        accuracy=right / len(training),
        interval=wilson(right, len(training)),
        labels_wrong=wrong_labels(likely, training.labels),
        suspects=suspects(
            np.concatenate([likely, *beside.values()]),
            np.concatenate([each.labels for each in parts.values()]),
            [name for own, samples in parts.items() for name in _names(own, samples)],
            dataset.classes,
        ),
    )


def assign(
    samples: Samples, folds: int, seed: int, alike: Sequence[Sequence[int]] = ()
) -> npt.NDArray[np.int64]:
    """Return each image's fold: classes as even as can be, and images that are alike in one.

    Raises:
        UsageError: fewer than 2 folds, or more than images of the rarest class.
    """
    counts = np.bincount(samples.labels)
    least = int(counts[counts > 0].min())
    if not 2 <= folds <= least:
        raise UsageError(
            f"Expected 2 folds or more, and no more than images of the rarest class, {least}; "
            f"received --folds {folds}."
        )
    order = stream(seed, "folds").permutation("images", len(samples))
    by_class = order[np.argsort(samples.labels[order], kind="stable")]
    fold_of = np.empty(len(samples), np.int64)
    fold_of[by_class] = np.arange(len(samples)) % folds
    for group in alike:
        fold_of[list(group)] = fold_of[group[0]]
    return fold_of


def _trained(
    recipe: Recipe, prepared: Prepared, together: Processes
) -> Callable[[Samples], Floats]:
    """Train, without a run folder; return what answers with probabilities of some samples."""
    with progress.unsaid(), obeying(make_plan(recipe, together)):
        training = Training(lit(recipe, prepared), prepared, together)
        while training.epoch < recipe.epochs and not training.stops_early():
            for parts in training.batches():
                training.take_step(parts)
            training.validate()

    def answer(samples: Samples) -> Floats:
        loader = Loader(samples, prepared.contract, batch=recipe.batch, seed=0, shuffle=False)
        return inference.measure(
            training.net_to_keep,
            loader.epoch(0),
            device=together.device,
            meaning=prepared.contract.output,
            what="asking",
            total=len(samples),
        ).probabilities

    return answer


def _names(part: str, samples: Samples) -> list[str]:
    return [f"{part}/{id.removeprefix(f'{part}/')}" for id in samples.ids]


def _together(part: str, samples: Samples, alike: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the groups as places in the samples, those that share an image joined."""
    places = {name: place for place, name in enumerate(_names(part, samples))}
    joined: list[set[int]] = []
    for names in alike:
        group = {places[name] for name in names if name in places}
        for other in [each for each in joined if each & group]:
            joined.remove(other)
            group |= other
        if len(group) > 1:
            joined.append(group)
    return [sorted(group) for group in joined]
