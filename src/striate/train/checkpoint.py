"""Checkpoints: everything that a resume needs, whole or not there, and verified when read.

    checkpoints/STEP/state.json            position, validations, digests; its own digest
    checkpoints/STEP/tensors.safetensors   net/NAME, optimiser/NAME/KEY, average/NAME
    checkpoints/STEP/model.safetensors     a hard link to the best weights as of that step

A checkpoint and the best weights say which run they are of, so that no copy between two runs of the
same network passes unseen.

Nothing is unpickled. A kill leaves the folder or no folder, so a checkpoint that does not match its
digests was damaged from outside; it is refused by name, not passed over in silence.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from striate.errors import CheckpointError, RecordError, UnknownName
from striate.files import atomic_folder, atomic_write
from striate.files import sha256 as sha256_of
from striate.records import Record, digest, from_json, to_json
from striate.runs import Run
from striate.train.validation import Validation

_KEPT = 2
_WEIGHTS = "model.safetensors"


class State(Record, frozen=True, kw_only=True):
    """What state.json says.

    Args:
        version: of this format.
        step: steps done.
        seconds: of training so far, over all resumes.
        validations: all so far.
        loss_scale: float16's, and how many steps it has stood; 0 with other precisions.
        run: digests of the run's network, contract and recipe.
        weights: sha256 of the best weights as of this step; empty before there are any.
        tensors: the first 16 digits of each tensor's sha256, by name.
        digest: sha256 of this record with an empty digest.
    """

    version: int = 1
    step: int
    seconds: float = 0.0
    validations: tuple[Validation, ...] = ()
    loss_scale: tuple[float, int] = (0.0, 0)
    run: dict[str, str] = {}
    weights: str = ""
    tensors: dict[str, str] = {}
    digest: str = ""


def save(run: Run, state: State, tensors: Mapping[str, Tensor]) -> State:
    """Write a checkpoint, then remove all but the newest two.

    Args:
        run: whose; its history is forced to disk first.
        state: `run`, `weights`, `tensors` and `digest` are filled in.
        tensors: by name; copied to the CPU.

    Returns:
        The state as written.

    Raises:
        RunError: the disk is full; the checkpoints before stay as they are.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    state = state.replace(
        run=run.info.digests,
        weights=sha256_of(run.weights) if run.weights.exists() else "",
        tensors={name: tensor_digest(value) for name, value in held.items()},
    )
    state = state.replace(digest=digest(state.replace(digest="")))
    run.sync()
    place = run.path / "checkpoints" / f"{state.step:08d}"
    with atomic_folder(place, replace=place.exists()) as folder:
        save_file(_unshared(held), folder / "tensors.safetensors")
        (folder / "state.json").write_bytes(to_json(state))
        if run.weights.exists():
            _link(run.weights, folder / _WEIGHTS)
    for _, old in run.checkpoints()[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return state


def load(run: Run, path: Path) -> tuple[State, dict[str, Tensor]]:
    """Read a checkpoint and verify every tensor.

    Args:
        run: whose it should be.
        path: its folder.

    Raises:
        CheckpointError: it is cut short, altered, or of another run.
    """
    try:
        state = from_json(State, (path / "state.json").read_bytes(), str(path / "state.json"))
        tensors = load_file(path / "tensors.safetensors")
    except (OSError, RecordError, UnknownName, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path} is cut short or damaged ({error})."
        ) from error
    if state.digest != digest(state.replace(digest="")):
        raise CheckpointError(f"The checkpoint {path} is damaged: its state.json was altered.")
    differ = [name for name, each in run.info.digests.items() if state.run.get(name) != each]
    if differ:
        what = "network" if "network.json" in differ else "run"
        raise CheckpointError(
            f"The checkpoint {path} is of another {what}: its {' and '.join(differ)} had another "
            "digest."
        )
    if state.step != int(path.name):
        raise CheckpointError(
            f"The checkpoint {path} is damaged: it was written at step {state.step}."
        )
    for name in sorted(state.tensors.keys() | tensors.keys()):
        if name not in tensors or state.tensors.get(name) != tensor_digest(tensors[name]):
            raise CheckpointError(
                f"The checkpoint {path} is damaged: the tensor {name} does not match its digest."
            )
    return state, tensors


def fit_together(path: Path, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of a net that shall be restored with those of a checkpoint.

    The optimiser's state comes into being with the first step, so only what the checkpoint lacks of
    nets, and what it has too much of anything but optimiser state, is a difference.

    Raises:
        CheckpointError: they differ; names the first tensor.
    """
    for name in [*ours, *theirs]:
        if name.startswith("optimiser/"):
            continue
        mine, other = ours.get(name), theirs.get(name)
        if mine is None or other is None or mine.shape != other.shape:
            raise CheckpointError(
                f"The checkpoint {path} does not fit the run's recipe: expected {name} of shape "
                f"{'none' if mine is None else tuple(mine.shape)}, received "
                f"{'none' if other is None else tuple(other.shape)}."
            )


def restore_weights(run: Run, path: Path | None) -> None:
    """Put the run's model.safetensors back to what it was at a checkpoint, or at the start.

    Args:
        run: the run.
        path: a checkpoint that has been verified by `load`; None for the start.

    Raises:
        CheckpointError: neither the checkpoint's copy nor the run's file is what it was then;
            nothing is changed.
    """
    expected = "" if path is None else from_json(State, (path / "state.json").read_bytes()).weights
    if path is None or not expected:
        run.weights.unlink(missing_ok=True)
        return
    if run.weights.exists() and sha256_of(run.weights) == expected:
        return
    kept = path / _WEIGHTS
    if not kept.exists() or sha256_of(kept) != expected:
        found = "is missing" if not kept.exists() else "is cut short or altered"
        raise CheckpointError(
            f"The checkpoint {path} is damaged: its {_WEIGHTS}, the best weights so far, {found}."
        )
    atomic_write(run.weights, lambda place: _link(kept, place))


def save_weights(run: Run, tensors: Mapping[str, Tensor]) -> None:
    """Write model.safetensors, whole or not at all, and say in it whose it is."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"run": run.identity}  # one key only: safetensors writes several in random order
    atomic_write(run.weights, lambda place: save_file(_unshared(held), place, metadata))


def tensor_digest(tensor: Tensor) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of a tensor's bytes.

    The bytes are those of its elements in row-major order, wherever and however it is stored.
    """
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return sha256(flat.view(torch.uint8).numpy().data).hexdigest()[:16]


def first_difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """Return the first name under which two sets of digests differ, or None."""
    names: Iterable[str] = [*ours, *(name for name in theirs if name not in ours)]
    return next((name for name in names if ours.get(name) != theirs.get(name)), None)


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a tensor that shares memory with an earlier one; safetensors refuses such."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return apart


def _link(source: Path, target: Path) -> None:
    """Make a second name for a file, or a copy where the file system has no hard links."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
