"""Tensors into the network they are for: strictly, and with every misfit by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from striate.design import Network
from striate.errors import WeightsError
from striate.layers import Net, build

_COUNTER = ".num_batches_tracked"  # checkpoints of before 2018 lack it, and nothing reads it


def fit(network: Network, tensors: Mapping[str, Tensor], source: str = "The file") -> Net:
    """Build a network on tensors, which are not copied.

    Args:
        network: on paper.
        tensors: by the names that the network's parameters and buffers have.
        source: what an error calls the tensors.

    Returns:
        The Net, in evaluation mode, on the CPU.

    Raises:
        WeightsError: a tensor is missing, unexpected, misshapen, or of no numbers; names all.
    """
    net = build(network, seed=None)
    expected = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    given = dict(tensors)
    for name in expected.keys() - given.keys():
        if name.endswith(_COUNTER):
            given[name] = torch.zeros((), dtype=torch.long)
    wrong = misfits(expected, {name: tuple(value.shape) for name, value in given.items()})
    if wrong:
        raise WeightsError(f"{source} does not hold the weights of {network.name}. {wrong}")
    net.load_state_dict({name: _float32(name, given[name], source) for name in given}, assign=True)
    return net.eval()


def misfits(
    expected: Mapping[str, tuple[int, ...]], received: Mapping[str, tuple[int, ...]]
) -> str:
    """Return sentences that name every missing, unexpected and misshapen tensor; empty if none.

    Example:
        >>> misfits({"a": (1,), "b": (2,)}, {"b": (3,), "c": ()})
        'Missing: a. Unexpected: c. Misshapen: b (expected (2,), received (3,)).'
    """
    shaped = [
        f"{name} (expected {shape}, received {received[name]})"
        for name, shape in expected.items()
        if name in received and received[name] != shape
    ]
    found = {
        "Missing": [name for name in expected if name not in received],
        "Unexpected": [name for name in received if name not in expected],
        "Misshapen": shaped,
    }
    return " ".join(f"{what}: {', '.join(names)}." for what, names in found.items() if names)


def _float32(name: str, value: Tensor, source: str) -> Tensor:
    """Return a tensor as the network computes: counters stay whole, all else is float32."""
    if name.endswith(_COUNTER):
        return value.long()
    if not value.is_floating_point():
        raise WeightsError(f"{source}: expected {name} in floating point, received {value.dtype}.")
    return value.detach().float().contiguous()
