"""Checkpoints: everything that a resume needs, whole or not there, and verified when read.

    checkpoints/STEP/state.json            position, validations, digests; its own digest
    checkpoints/STEP/tensors.safetensors   net/NAME, optimiser/NAME/KEY, average/NAME
    checkpoints/STEP/model.safetensors     a copy of the best weights as of that step

A checkpoint and the best weights say which run they are of, so that no copy between two runs of the
same network passes unseen.

Nothing is unpickled. A kill leaves the folder or no folder, so a checkpoint that does not match its
digests was damaged from outside; it is refused by name, not passed over in silence. The best
weights are copied, not linked: damage to one file of a link would be damage to both.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from striate.errors import CheckpointError, RecordError, UnknownName
from striate.files import atomic_folder, atomic_write, remove_folder
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
            shutil.copyfile(run.weights, folder / _WEIGHTS)
    for _, old in run.checkpoints()[:-_KEPT]:
        remove_folder(old)
    return state


def load(run: Run, path: Path) -> tuple[State, dict[str, Tensor]]:
    """Read a checkpoint and verify every tensor.

    Args:
        run: whose it should be.
        path: its folder.

    Raises:
        CheckpointError: it is cut short, altered, or of another run.
    """
    state = _read_state(run, path)
    try:
        tensors = load_file(path / "tensors.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path} is cut short or damaged ({error})."
        ) from error
    for name in sorted(state.tensors.keys() | tensors.keys()):
        if name not in tensors or state.tensors.get(name) != tensor_digest(tensors[name]):
            raise CheckpointError(
                f"The checkpoint {path} is damaged: the tensor {name} does not match its digest."
            )
    return state, tensors


def _read_state(run: Run, path: Path) -> State:
    """Read a checkpoint's state.json, and verify it and whose it is."""
    try:
        state = from_json(State, (path / "state.json").read_bytes(), str(path / "state.json"))
    except (OSError, RecordError, UnknownName) as error:
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
    return state


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


def best_weights(run: Run, path: Path) -> Path | None:
    """Return a file that holds the best weights as of a checkpoint; None when there were none yet.

    That is the run's own, where it has not changed since, or else the checkpoint's copy.

    Raises:
        CheckpointError: neither file is what it was then, or state.json is damaged.
    """
    expected, kept = _read_state(run, path).weights, path / _WEIGHTS
    if not expected:
        return None
    for each in (run.weights, kept):
        if each.is_file() and sha256_of(each) == expected:
            return each
    found = "is cut short or altered" if kept.exists() else "is missing"
    raise CheckpointError(
        f"The checkpoint {path} is damaged: its {_WEIGHTS}, the best weights so far, {found}."
    )


def restore_weights(run: Run, path: Path | None) -> None:
    """Put the run's model.safetensors back to what it was at a checkpoint, or at the start.

    Args:
        run: the run.
        path: the checkpoint; None for the start.

    Raises:
        CheckpointError: as for `best_weights`; nothing is changed.
    """
    source = None if path is None else best_weights(run, path)
    if source is None:
        run.weights.unlink(missing_ok=True)
    elif source != run.weights:
        atomic_write(run.weights, lambda place: shutil.copyfile(source, place))


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
