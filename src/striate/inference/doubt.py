"""Labels that a trained network doubts, and its accuracy without the images that leaked.

Confident learning: a class's threshold is the mean probability that the network gives it on images
labelled so. An image that reaches the threshold of another class, likelier than its own, is a
suspect, if the network is the surer the more often it is wrong: the lead has to exceed its error.
Only images that the network was not trained on are asked about: others it answers as it was told.

Source: Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate import data as sources
from striate import runs
from striate.contract import Class
from striate.data import Dataset
from striate.data.health import Finding
from striate.errors import UsageError
from striate.inference import metrics
from striate.inference.evaluate import _loader
from striate.inference.evaluation import Ends
from striate.inference.model import open_model
from striate.inference.outcome import Outcome, measure
from striate.inference.redrawn import redrawn
from striate.inference.weights import load
from striate.ops import choose_device
from striate.records import Record

_FIRST = 20  # suspects that tell wrong labels from a weak network
_LEAST = 1e-12  # of a probability, for its logarithm
_WEAK = 0.8  # accuracy below which more suspects are a network's mistakes than wrong labels


class Suspect(Record, frozen=True, kw_only=True):
    """An image whose label the network doubts.

    Args:
        sample: `part/id`.
        id: the class it is labelled with.
        likelier: the class the network takes it for.
        probability: of that.
        probability_of_label: of the label.
    """

    sample: str
    id: str
    likelier: str
    probability: float
    probability_of_label: float


class Restated(Record, frozen=True, kw_only=True):
    """A part's accuracy with and without the images that are (nearly) trained on as well.

    Args:
        part: which.
        n: its images.
        accuracy, interval: of all.
        leaked: how many are in an earlier part too.
        accuracy_without, interval_without: of the others; None where there is none.
    """

    part: str
    n: int
    accuracy: float
    interval: Ends
    leaked: int
    accuracy_without: float | None
    interval_without: Ends | None


class Doubt(Record, frozen=True, kw_only=True):
    """What a run says of its data.

    Args:
        run: its folder.
        images: held-out ones that were asked about.
        accuracy: on them, by their labels: how far the suspicion is to be trusted.
        labels_wrong: share of all labels that may be wrong, where the run is as unsure of every
            image as whoever has learnt from labels that were drawn anew; else None.
        suspects: the most doubtful first.
        restated: for each part held out.
    """

    run: str
    images: int
    accuracy: float
    labels_wrong: float | None
    suspects: tuple[Suspect, ...]
    restated: tuple[Restated, ...]


def split_as_trained(
    run: Path | str, data: str | Dataset | None, *, strict: bool = False
) -> Dataset:
    """Return a run's own data in the parts that it was trained, chosen and tested with.

    Raises:
        UsageError: weights are no run, or the data is not the run's.
    """
    opened = open_model(run)
    if not isinstance(opened, runs.Run):
        raise UsageError(f"Expected a run folder, whose split is known, received {run}.")
    choice = opened.recipe_document()["data"]
    own = data is None or data == choice["path"]
    spec = choice["path"] if own or data is None else data
    dataset = spec if isinstance(spec, Dataset) else sources.open(spec, strict=strict)
    if dataset.spec != choice["path"] and not own:
        raise UsageError(
            f"Expected the data that {run} was trained on, {choice['path']}, received "
            f"{dataset.spec}: leave DATA out."
        )
    keys = ("validation", "validation_most", "test")
    split = sources.split(dataset, seed=choice["split_seed"], **{key: choice[key] for key in keys})
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    there = {name: samples for name, samples in parts.items() if len(samples)}
    return Dataset(
        dataset.name, dataset.spec, dataset.classes, there, dataset.skipped, dataset.notes
    )


def doubt(
    run: Path | str, dataset: Dataset, leaked: Collection[str] = (), *, device: str = "auto"
) -> Doubt:
    """Ask a run about the images it was not trained on.

    Args:
        run: the run folder.
        dataset: its data, as `split_as_trained` returns it.
        leaked: images, as `part/id`, that are in an earlier part too (`Health.leaked`).
        device: auto, cpu, cuda or cuda:N.

    Raises:
        RunError, WeightsError: the run has no weights, or damaged ones.
    """
    opened, chosen = open_model(run), choose_device(device)
    contract, net = opened.contract(), load(opened, chosen)
    outcomes, names, restated = [], [], []
    for part in ("validation", "test"):
        if part not in dataset.parts:
            continue
        samples = dataset.parts[part]
        outcome = measure(
            net,
            _loader(samples, contract).epoch(0),
            device=chosen,
            meaning=contract.output,
            what=f"doubting {part}",
        ).relabelled(contract.match(dataset.classes))
        own = [f"{part}/{id.removeprefix(f'{part}/')}" for id in samples.ids]
        restated.append(_restated(part, outcome, np.array([name in leaked for name in own])))
        outcomes.append(outcome)
        names += own
    likely = np.concatenate([each.probabilities for each in outcomes])
    labels = np.concatenate([each.labels for each in outcomes])
    return Doubt(
        run=str(opened.path),
        images=len(labels),
        accuracy=float((likely.argmax(axis=1) == labels).mean()),
        labels_wrong=wrong_labels(likely, labels),
        suspects=suspects(likely, labels, names, contract.classes),
        restated=tuple(restated),
    )


def suspects(
    likely: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
    classes: Sequence[Class],
) -> tuple[Suspect, ...]:
    """Return the images whose labels are in doubt, the most doubtful first.

    Args:
        likely: probabilities by a network that has not seen the images: (n, classes).
        labels: (n,).
        names: what the images are called.
        classes: what each column stands for.

    Example:
        >>> likely = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]])
        >>> classes = (Class(id="cat", label="cat"), Class(id="dog", label="dog"))
        >>> found = suspects(likely, np.array([0, 0, 1, 1]), "abcd", classes)
        >>> [(each.sample, each.id, each.likelier) for each in found]
        [('d', 'dog', 'cat')]
    """
    counts = np.bincount(labels, minlength=len(classes))
    own = np.bincount(labels, likely[np.arange(len(labels)), labels], len(classes))
    thresholds = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)
    confident = np.where(likely >= thresholds, likely, -1.0)
    other = confident.argmax(axis=1)
    rows = np.arange(len(labels))
    lead = likely[rows, other] - likely[rows, labels]
    error = float((likely.argmax(axis=1) != labels).mean()) if len(labels) else 0.0
    found = np.flatnonzero((confident[rows, other] >= 0) & (other != labels) & (lead > error))
    return tuple(
        Suspect(
            sample=names[row],
            id=classes[labels[row]].id,
            likelier=classes[other[row]].id,
            probability=float(likely[row, other[row]]),
            probability_of_label=float(likely[row, labels[row]]),
        )
        for row in found[np.argsort(-lead[found], kind="stable")].tolist()
    )


def wrong_labels(likely: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float | None:
    """Return the share of all labels that may be wrong, where answers say so of them as a whole.

    Args:
        likely: probabilities by a network that has not seen the images: (n, classes).
        labels: (n,).

    Returns:
        0 to 1; None where the network is surer of some images than of others, or no better than a
        guess (`inference.redrawn`).
    """
    table = np.zeros((likely.shape[1], likely.shape[1]))
    np.add.at(table, (labels, likely.argmax(axis=1)), 1)
    own = likely[np.arange(len(labels)), labels]
    found = redrawn(table, float(-np.log(np.maximum(own, _LEAST)).mean()))
    return None if found is None else 1 - found.accuracy


def as_finding(
    found: Sequence[Suspect], accuracy: float, labels_wrong: float | None = None
) -> Finding:
    """Return labels in doubt as the data doctor tells them, with their pictures on its page.

    Args:
        found: the most doubtful first.
        accuracy: of the networks, on all images asked about.
        labels_wrong: share of all labels that may be wrong, as `wrong_labels` says.
    """
    meaning = "networks that have not seen these images take them for another class"
    if labels_wrong is not None:
        meaning += (
            f"; either they are weak, or about {100 * labels_wrong:.0f}% of all labels are wrong "
            "(their certainty is the same everywhere and their mistakes fall on all classes alike, "
            f"as with labels drawn anew): look at the first {min(_FIRST, len(found))}, they tell"
        )
    elif accuracy < _WEAK:
        meaning += (
            f"; being right on {100 * accuracy:.0f}% only of what they have not seen, they err in "
            "most of these themselves, so trust the first few at most"
        )
    return Finding(
        check="labels_in_doubt",
        verdict="warn" if found else "pass",
        count=len(found),
        meaning=meaning,
        fix="look at them, and correct or leave out those that are wrong",
        items=tuple((each.sample,) for each in found),
        notes=tuple(
            f"labelled {each.id} ({100 * each.probability_of_label:.0f}%), "
            f"looks like {each.likelier} ({100 * each.probability:.0f}%)"
            for each in found
        ),
    )


def _restated(part: str, outcome: Outcome, leaked: npt.NDArray[np.bool_]) -> Restated:
    right = outcome.ranks == 0
    kept = right[~leaked[outcome.indices]]
    n, rights = len(right), int(right.sum())
    return Restated(
        part=part,
        n=n,
        accuracy=rights / n,
        interval=metrics.wilson(rights, n),
        leaked=n - len(kept),
        accuracy_without=float(kept.mean()) if len(kept) else None,
        interval_without=metrics.wilson(int(kept.sum()), len(kept)) if len(kept) else None,
    )
