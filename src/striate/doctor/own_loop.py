"""A loop of somebody's own as a recipe has one, and what can be made nothing of."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from striate import runs
from striate.doctor.around import leading
from striate.errors import UsageError
from striate.layers.describe import describe
from striate.records import kinds
from striate.train import SGD, CrossEntropy, DataChoice, Objective, Optimiser, Recipe, Start
from striate.train.recipe import Preprocessing


def on_paper(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    folder: Path | str,
    images: Tensor,
    epochs: int,
    objective: Objective | None,
    begun: bool,
) -> Recipe:
    """Return what a watched loop does as a recipe, as far as the doctor reads it.

    Raises:
        UsageError: images that are no tensor of a batch.
        DesignError: the module does not take them.
    """
    if not isinstance(images, Tensor) or images.dim() < 2:
        shape = f" of shape {tuple(images.shape)}" if hasattr(images, "shape") else ""
        raise UsageError(
            "Expected images as a tensor, a batch as the module takes it (batch, channels, height, "
            f"width), received {type(images).__module__}.{type(images).__name__}{shape}. Give one "
            "tensor: torch.from_numpy(images) of an array; of a module that takes several inputs, "
            "watch the part that takes the images."
        )
    return Recipe(
        name=Path(folder).name,
        reason="a loop of its own, watched",
        network=describe(module, images),
        start=Start(path=runs.OWN_LOOP, identity="") if begun else None,
        data=DataChoice(path=runs.OWN_LOOP),
        preprocessing=_as_they_come(images),
        objective=objective or CrossEntropy(),
        optimiser=_optimiser(optimiser),
        epochs=epochs,
        batch=len(images),
    )


def one_number(loss: Tensor | float) -> Tensor:
    """Return the loss of a batch.

    Raises:
        UsageError: it is more than one number.
    """
    value = torch.as_tensor(loss).detach()
    if value.numel() != 1:
        raise UsageError(
            f"Expected the loss of the batch, one number, received shape {tuple(value.shape)}. "
            "Give its mean: watch.step(loss.mean())."
        )
    return value.reshape(())


def one_each(labels: Tensor) -> Tensor:
    """Return the labels of a batch, (n,).

    Raises:
        UsageError: they are not one to each image.
    """
    value = torch.as_tensor(labels).detach()
    if value.dim() != 1:
        raise UsageError(
            f"Expected one label to each image, (n,), received shape {tuple(value.shape)}. Give "
            "labels.argmax(1) of one-hot labels; leave other labels out: they only show the order."
        )
    return value


def _as_they_come(images: Tensor) -> Preprocessing:
    """Return the preparation of images that are given to a network as they are."""
    channels, *sides = images.shape[1:]
    height, width = (1, 1, *sides)[-2:]
    grey = channels != 3
    return Preprocessing(
        channels="grey" if grey else "rgb",
        size=(height, width),
        mean=(0.0,) if grey else (0.0, 0.0, 0.0),
        std=(1.0,) if grey else (1.0, 1.0, 1.0),
        scale=1.0,
    )


def _optimiser(optimiser: torch.optim.Optimizer) -> Optimiser:
    """Return torch's optimiser as a recipe has it, as far as the doctor reads it."""
    group = leading(optimiser)
    known = {
        "rate": max(float(group["lr"]), 1e-30),  # a rate of 0 is what weights that stand still show
        "decay": float(group.get("weight_decay", 0.0)),
        "momentum": min(float(group.get("momentum", 0.0)), 0.9999),
    }
    kind = kinds(Optimiser).get(type(optimiser).__name__.lower(), SGD)
    taken = {name: known[name] for name in known if name in kind.__struct_fields__}
    return cast(Optimiser, kind(**taken))
