"""A run's figures on images it was not trained on.

The seams where other tools report a wrong number without a word are closed here: classes are
matched by id through the contract, never by order; the images of the run's own data are those of
the split it was trained with; images of other data that it has been trained on are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from striate import data as sources
from striate import progress, runs
from striate.contract import Class, Contract
from striate.data import Dataset, Loader, Samples
from striate.errors import DataError, WeightsError
from striate.inference.answering import answering
from striate.inference.evaluation import Evaluation, figures, tested
from striate.inference.model import Model, open_model
from striate.inference.outcome import Outcome, measure
from striate.inference.views import (
    Averaged,
    Crops,
    Views,
    check_scales,
    crop_views,
    sliding,
    whole_views,
)
from striate.inference.weights import load
from striate.ops import choose_device
from striate.wording import quoted

Part = Literal["test", "validation", "train"]

_PIXELS_A_BATCH = 1 << 18  # 256 images of 32 x 32, 28 of 96 x 96


class Images(NamedTuple):
    """The images to evaluate on.

    Args:
        samples: the images.
        classes: what their labels stand for.
        data: what the data is called.
        part: which part of it they are.
        skipped: files of the data, in whatever part, that could not be read.
        notes: what a reader of the figures should know.
    """

    samples: Samples
    classes: tuple[Class, ...]
    data: str
    part: str
    skipped: int = 0
    notes: tuple[str, ...] = ()


def evaluate(
    run: Model | Path | str,
    data: str | Dataset | Images | None = None,
    *,
    part: Part = "test",
    device: str = "auto",
    strict: bool = False,
    crops: Crops = "centre",
    scales: Sequence[int] = (),
) -> Evaluation:
    """Measure a run's network on held-out images.

    Args:
        run: a run folder, or weights (as `weights.open` takes them).
        data: other data than the run's own (as `data.open` takes it), data that is open already,
            or what `find_images` found.
        part: which part of it; data without parts is taken whole.
        device: auto, cpu, cuda or cuda:N.
        strict: a file that cannot be read is an error; otherwise it is left out, and counted.
        crops: `ten` tests on ten crops as well, see `views`.
        scales: short sides of whole images to test on as well, each alone and all together.

    Raises:
        DataError: the data cannot be used, or has no such part.
        DesignError: the network takes images of one size only, and there are scales.
        UsageError: a scale is too small for it.
        ContractError: it has a class that the network does not know; names it.
        RunError: the run has no weights yet.
        WeightsError: its weights are damaged, or of another network or run.
    """
    opened = open_model(run)
    contract, chosen = opened.contract(), choose_device(device)
    images = data if isinstance(data, Images) else find_images(opened, data, part, strict)
    outputs = contract.match(images.classes)
    loader = _loader(images.samples, contract)
    batch = min(evaluation_batch(*contract.size), len(images.samples))
    net = answering(opened, chosen, batch)
    share = -(-len(images.samples) // _processes()[1])
    test = _Test(opened, contract, images.samples, chosen, share)
    slides = test.sliding(scales) if scales else None
    outcome = measure(
        net, loader.epoch(0), device=chosen, meaning=contract.output, total=share
    ).relabelled(outputs)
    _check_finite(outcome, images.samples.ids, opened)
    others = test.crops(net) if crops == "ten" else []
    others += test.scales(slides, scales) if slides is not None else []
    trained_on = _trained_on(images.samples, opened)
    notes = images.notes  # said where they were found
    if trained_on:
        notes += (f"{trained_on} of these images are, by content, among those trained on.",)
        progress.say(f"Note: {notes[-1]}")
    return Evaluation(
        run=str(opened.path),
        network=net.network.name,
        contract=contract.digest,
        data=images.data,
        part=images.part,
        test=figures(outcome, contract.classes, images.samples.ids),
        skipped=images.skipped,
        trained_on=trained_on,
        tested=tuple(
            tested(way, count, each.relabelled(outputs), outcome) for way, count, each in others
        ),
        notes=notes,
    )


class _Test(NamedTuple):
    """Other ways of testing a network than by a single crop; each gives its name and views."""

    run: Model
    contract: Contract
    samples: Samples
    device: torch.device
    share: int

    def crops(self, net: nn.Module) -> list[tuple[str, int, Outcome]]:
        """Test on ten crops."""
        batches = crop_views(self.samples, self.contract, self._places())
        return [("10 crops", 10, self._measure(net, batches, "10 crops"))]

    def sliding(self, scales: Sequence[int]) -> nn.Module:
        """Return the network as it slides over images of these scales."""
        net = load(self.run, self.device)
        slides = sliding(net)
        check_scales(slides.network, scales)
        return slides

    def scales(self, net: nn.Module, scales: Sequence[int]) -> list[tuple[str, int, Outcome]]:
        """Test on whole images of several scales, each alone and all together."""
        found = []
        for scale in scales:
            batches = whole_views(self.samples, self.contract, self._places(), scale)
            way = f"scale {scale}, whole images"
            found.append((way, 2, self._measure(net, batches, f"scale {scale}")))
        if len(found) > 1:
            mean = np.mean([outcome.outputs for _, _, outcome in found], axis=0)
            together = replace(found[0][2], outputs=np.asarray(mean, np.float32))
            way = f"scales {', '.join(map(str, scales))} together"
            found.append((way, 2 * len(scales), together))
        return found

    def _measure(self, net: nn.Module, batches: Iterable[Views], what: str) -> Outcome:
        return measure(
            Averaged(net, self.contract.output),
            batches,
            device=self.device,
            meaning="probabilities",
            what=what,
            total=self.share,
        )

    def _places(self) -> range:
        """Return this process's places in the samples."""
        rank, world = _processes()
        return range(rank, len(self.samples), world)


def find_images(
    run: Model, data: str | Dataset | None = None, part: Part = "test", strict: bool = False
) -> Images:
    """Return the images that `evaluate` measures on.

    The run's own data comes in the split it was trained with, also when it is given by name again.
    """
    choice = _choice(run, data)
    own = data is None or data == choice["path"]
    dataset = (
        data
        if isinstance(data, Dataset)
        else sources.open(choice["path"] if data is None else data, strict=strict)
    )
    if isinstance(run, runs.Run) and (own or dataset.spec == choice["path"]):
        return _own_part(run, dataset, part, choice)
    chosen = part if part in dataset.parts else "all"
    if chosen not in dataset.parts:
        raise DataError(
            f"{dataset.spec} has no {part} part; it has {', '.join(dataset.parts)}: say which, "
            f"--part {next(iter(dataset.parts))}."
        )
    return Images(
        dataset.parts[chosen],
        dataset.classes,
        dataset.spec,
        chosen,
        len(dataset.skipped),
        tuple(dataset.notes),
    )


def _choice(run: Model, data: str | Dataset | None) -> dict[str, Any]:
    """Return what a run's recipe says of its data; of weights, nothing is known."""
    if isinstance(run, runs.Run):
        choice: dict[str, Any] = run.recipe_document()["data"]
        return choice
    if data is None:
        raise DataError(
            f"{run.path} is no run and has no data of its own: name some, striate evaluate "
            f"{quoted(run.path)} DATA."
        )
    return {"path": None}


def _own_part(run: runs.Run, dataset: Dataset, part: Part, choice: dict[str, Any]) -> Images:
    split = sources.split(
        dataset,
        seed=choice["split_seed"],
        validation=choice["validation"],
        validation_most=choice["validation_most"],
        test=choice["test"],
    )
    samples: Samples = getattr(split, part)
    if not len(samples):
        raise DataError(
            f"The split of {dataset.spec} has no image in its {part} part: choose another --part."
        )
    changed = _changed(samples, run.data_document()[part])
    notes = (
        (f"{changed} images of the {part} part are not those of the run's data.json.",)
        if changed
        else ()
    )
    for note in notes:
        progress.say(f"Note: {note}")
    return Images(samples, dataset.classes, dataset.spec, part, len(dataset.skipped), notes)


def _changed(samples: Samples, recorded: dict[str, Any]) -> int:
    """Return how many images are new, gone or altered since the run was made."""
    now = {(id, samples.content_hash(index)) for index, id in enumerate(samples.ids)}
    then = set(zip(recorded["ids"], recorded["hashes"], strict=True))
    return max(len(now - then), len(then - now))


def _trained_on(samples: Samples, run: Model) -> int:
    if not isinstance(run, runs.Run):
        return 0
    seen = set(run.data_document()["train"]["hashes"])
    return sum(samples.content_hash(index) in seen for index in range(len(samples)))


def _loader(samples: Samples, contract: Contract) -> Loader:
    """Return a loader of this process's share; images in order, as they are."""
    rank, world = _processes()
    return Loader(
        samples,
        contract,
        batch=world * evaluation_batch(*contract.size),
        seed=0,
        shuffle=False,
        rank=rank,
        world=world,
        workers=2,
    )


def evaluation_batch(height: int, width: int) -> int:
    """Return how many images of a size a process computes at a time."""
    return max(1, min(256, _PIXELS_A_BATCH // (height * width)))


def _processes() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _check_finite(outcome: Outcome, ids: Sequence[str], run: Model) -> None:
    bad = np.flatnonzero(~np.isfinite(outcome.outputs).all(axis=1))
    if len(bad):
        first = ids[int(outcome.indices[bad[0]])]
        raise WeightsError(
            f"The network of {run.path} gives outputs that are not finite for {len(bad)} of "
            f"{len(outcome)} images, {first} first: its weights are damaged. "
            "Train it again, or take an earlier checkpoint, RUN/checkpoints/STEP."
        )
