"""What a training says of how it is fed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from striate.data import Sampling
from striate.train import Recipe
from striate.train.feeding import last_batch, loaders
from striate.train.prepare import prepare
from striate.train.processes import Processes


@pytest.mark.parametrize(
    ("last", "batch", "said"),
    [
        ("keep", 64, "An epoch is 5 batches of 64; the last has 49 (sampling.last=keep; or: drop,"),
        ("drop", 64, "An epoch is 4 batches of 64; 49 images are left out, others each epoch"),
        ("pad", 64, "An epoch is 5 batches of 64; the last is filled up with 15 images"),
        ("keep", 152, "An epoch is 2 batches of 152; the last has 153"),
        ("keep", 400, "An epoch is 1 batch of 400; the only one has 305"),
        ("keep", 61, None),
    ],
)  # fmt: skip
def test_what_becomes_of_the_last_batch_is_said(
    make_recipe: Callable[..., Recipe], last: str, batch: int, said: str | None
) -> None:
    recipe = make_recipe(batch=batch, sampling=Sampling(last=last))  # type: ignore[arg-type]
    prepared = prepare(recipe)
    training, _ = loaders(recipe, prepared, Processes(0, 1, torch.device("cpu")))
    (loader,) = training.values()
    assert len(loader.samples) == 305
    found = last_batch(recipe, loader)
    assert found is None if said is None else found is not None and found.startswith(said)
    sizes = [len(each.indices) for each in loader.epoch(0)]
    assert len(sizes) == loader.batches
    if said is not None and last == "keep":
        assert f"has {sizes[-1]}" in said
