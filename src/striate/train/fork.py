"""A run forked: another run that goes on from its newest checkpoint by a recipe that was changed.

A run's recipe is never edited, so whoever wants another learning rate in the middle gets another
run, whose recipe says it, whose `parent` is the first, and whose history up to there is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from striate import runs
from striate.errors import RunError, UsageError
from striate.records import decode, with_settings
from striate.runs import Run
from striate.train import checkpoint
from striate.train.recipe import Recipe
from striate.weights.checkpoint import read_safetensors


def fork(run: Run | Path | str, out: Path | str, settings: Sequence[str]) -> Run:
    """Make a run that `resume` goes on with where another one was saved last.

    Args:
        run: the first; only read. Its optimiser's state is taken over.
        out: the folder of the new one.
        settings: changes of the recipe, `optimiser.rate=0.01`; none of the network or the data.

    Raises:
        RunError: it has no checkpoint yet, or there is something at `out`.
        CheckpointError: the checkpoint is damaged.
        UsageError: a change that makes it another training altogether.
        RecordError, UnknownName: a setting that the recipe does not have.
    """
    old = runs.open_trained(run)
    before = decode(Recipe, old.recipe_document())
    recipe = with_settings(before, list(settings))
    for part in ("network", "data", "preprocessing", "seed"):
        if getattr(recipe, part) != getattr(before, part):
            raise UsageError(f"A fork keeps its parent's {part}: train anew instead.")
    found = old.checkpoints()
    if not found:
        raise RunError(
            f"{old.path} has no checkpoint to fork from yet: one is written after each epoch."
        )
    step, place = found[-1]
    state, tensors = checkpoint.load(old, place)
    new = runs.create(
        out,
        network=old.network(),
        contract=old.contract(),
        recipe=recipe,
        data=old.data_document(),
        env=old.document("env.json"),
        plan=old.plan(),
        parent=old.info.name,
    )
    with new.lock():
        for line in old.history():
            if line.get("step", 0) <= step:
                new.append(line)
        note = {"kind": "event", "event": "forked", "step": step, "parent": old.info.name}
        new.append({**note, "settings": list(settings)})
        best = place / "model.safetensors"
        if best.exists():
            checkpoint.save_weights(new, read_safetensors(best))
        checkpoint.save(new, state, tensors)
        new.set_state("interrupted")
    return new
