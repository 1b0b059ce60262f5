"""A run's weights, back in the network they belong to.

A safetensors file is tensors and nothing else, so that reading one executes nothing. What is in it
must be exactly what the network's record says, name by name and shape by shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch

from striate import runs
from striate.design import Network
from striate.errors import RunError, WeightsError
from striate.inference.model import Model
from striate.layers import Net, build
from striate.weights import Weights
from striate.weights.checkpoint import read_safetensors
from striate.wording import quoted

_NAMED = 4


def load(run: Model, device: torch.device | str = "cpu") -> Net:
    """Return a run's network with the weights chosen on the validation part, in eval mode.

    Args:
        run: the run, or published weights.
        device: where it is wanted.

    Raises:
        RunError: the run has no weights yet, or never any; says what to do.
        WeightsError: the file is damaged, or holds the weights of another network or run.
    """
    if isinstance(run, Weights):
        return run.load(device)
    if isinstance(run, runs.Bundle):
        return load_weights(run.network(), run.weights).to(device).eval()
    again = f"striate train --resume {quoted(run.path)}"
    remedy = f"Bring back the run's own from its newest checkpoint with: {again}"
    if not run.checkpoints():
        remedy = "There is no checkpoint to bring back the run's own from: train again."
    if not run.weights.exists():
        runs.open_trained(run)
        if run.state == "finished":
            raise RunError(f"{run.weights} is missing, though the run is finished. {remedy}")
        raise RunError(
            f"{run.path} has no weights yet ({run.state}): they are written after the first epoch. "
            f"Continue it with: {again}"
        )
    try:
        return _load_own(run).to(device).eval()
    except WeightsError as error:
        raise WeightsError(f"{error} {remedy}") from error


def _load_own(run: runs.Run) -> Net:
    """Return the network with the weights in the run's file, if they are the run's."""
    net = load_weights(run.network(), run.weights)
    with safetensors.safe_open(run.weights, "pt") as file:
        owner = (file.metadata() or {}).get("run", "none")
    if owner != run.identity:
        raise WeightsError(
            f"{run.weights} is of another run of the same network: expected run digest "
            f"{run.identity[:16]}, received {owner[:16]}."
        )
    return net


def load_weights(network: Network, path: Path) -> Net:
    """Build a network on the weights in a safetensors file.

    Raises:
        WeightsError: the file is damaged, or its tensors are not the network's; names them.
    """
    tensors = read_safetensors(path)
    net = build(network, seed=None)
    expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    _check(expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    net.load_state_dict(tensors, assign=True)
    return net


def _check(
    expected: Mapping[str, tuple[int, ...]], received: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    missing = [name for name in expected if name not in received]
    strange = [name for name in received if name not in expected]
    if missing or strange:
        lacks = [f"lacks {_some(missing)}"] if missing else []
        has = [f"has {_some(strange)}"] if strange else []
        raise WeightsError(
            f"{path} holds another network's weights: it {' and '.join(lacks + has)}."
        )
    misfits = [name for name, shape in expected.items() if received[name] != shape]
    if misfits:
        name = misfits[-1]
        layers = {misfit.rpartition(".")[0] for misfit in misfits}
        classes = len(layers) == 1 and expected[name][1:] == received[name][1:]
        raise WeightsError(
            f"{path} does not fit the network: expected {name} of shape {expected[name]}, received "
            f"{received[name]}"
            + (f" and {len(misfits) - 1} more" if len(misfits) > 1 else "")
            + (
                f"; the weights are for {received[name][0]} outputs, not {expected[name][0]}."
                if classes
                else "."
            )
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
