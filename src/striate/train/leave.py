"""A run whose weights were found in closed form or elsewhere, left as any training leaves one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from striate import inference, runs
from striate.data import Dataset
from striate.ops import environment
from striate.runs import Run
from striate.train import checkpoint
from striate.train.plan import make_plan
from striate.train.prepare import prepare
from striate.train.processes import processes
from striate.train.recipe import Recipe


def leave(
    recipe: Recipe,
    tensors: Mapping[str, Tensor],
    *,
    out: Path | str,
    dataset: Dataset | None = None,
    seconds: float = 0.0,
    overwrite: bool = False,
) -> Run:
    """Write a finished run: weights, figures on the test part, and how they came to be.

    Args:
        recipe: network, data and what images go through; nothing in it is trained.
        tensors: the network's parameters and buffers, by name.
        out: path of the run folder.
        dataset: the recipe's data, where it is open already.
        seconds: that it took to find the weights.
        overwrite: take the place of a run already there.

    Raises:
        DataError, ContractError: data and network do not fit.
        RunError: there is a run at `out` already, or the disk is full.
    """
    with processes(recipe.device) as together:
        prepared = prepare(recipe, dataset, chooses=False)
        run = runs.create(
            out,
            network=recipe.network,
            contract=prepared.contract,
            recipe=recipe,
            data=prepared.split.document(),
            env=environment(),
            plan=make_plan(recipe, together),
            overwrite=overwrite,
        )
        with run.lock():
            checkpoint.save_weights(run, tensors)
            if len(prepared.split.test):
                device = str(together.device)
                found = inference.evaluate(run, prepared.dataset, part="test", device=device)
                run.write_results(found)
            run.append(
                {"step": 0, "epoch": 0, "kind": "event", "event": "finished", "seconds": seconds}
            )
            run.sync()
            run.set_state("finished")
    return run
