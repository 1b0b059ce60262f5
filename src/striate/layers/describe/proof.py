"""The proof that a description is right: both compute the same, with the same tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from striate.design import DesignError, Network
from striate.layers.build import build
from striate.layers.describe.found import left_as_found
from striate.layers.describe.returned import outputs_of
from striate.layers.net import Net
from striate.records import Record

_TOLERANCE = 1e-4  # of the largest value; float32 sums in another order differ by less


class Proof(Record, frozen=True, kw_only=True):
    """How far a network on paper is from the module it describes.

    Args:
        network: its name.
        evaluation: the largest difference of any output in evaluation, relative to the largest
            value there.
        training: the same in training; None where training is not described.
        tolerance: up to which both count as equal.
    """

    network: str
    evaluation: float
    training: float | None
    tolerance: float = _TOLERANCE

    @property
    def equal(self) -> bool:
        """Whether they agree, in every mode that is described."""
        differences = (self.evaluation, self.training or 0.0)
        return all(each <= self.tolerance for each in differences)  # false for NaN


def prove(network: Network, module: nn.Module, *, batch: int = 2, seed: int = 0) -> Proof:
    """Build the network on the module's own tensors and compare all outputs, in both modes.

    The images are random; running statistics, mode and hooks of the module stay as they are. In
    training both draw their dropout from the same seed.

    Every parameter is shaken a little, alike in both, since a scale that starts at zero would hide
    all that is behind it.

    Args:
        network: as `describe` gives it.
        module: what it describes, its parameters with values.
        batch: how many images.
        seed: of the images.

    Raises:
        DesignError: they differ, or a part is opaque, so that nothing can be built.
    """
    if any(p.device.type == "meta" for p in module.parameters()):
        raise DesignError(f"{network.name} has no values to compare: its parameters are on meta.")
    net = build(network, parameters=module)
    images = _images(network, module, batch, seed)
    shaken = _shaken(module, seed)
    evaluation = _difference(net, module, images, shaken, train=False)
    training = None
    if not any("what training does" in layer.note for layer in network.layers):
        training = _difference(net, module, images, shaken, train=True)
    proof = Proof(network=network.name, evaluation=evaluation, training=training)
    if not proof.equal:
        raise DesignError(
            f"{network.name}: expected outputs alike to {proof.tolerance:g}, received differences "
            f"of {evaluation:g} in evaluation and {training if training is not None else 0:g} in "
            "training: the module does something that its description lacks."
        )
    return proof


def _images(network: Network, module: nn.Module, batch: int, seed: int) -> list[Tensor]:
    like = next(iter(module.parameters()), torch.empty(0))
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, *each.shape, generator=generator).to(like) for each in network.inputs
    ]


@torch.no_grad()
def _difference(
    net: Net, module: nn.Module, images: list[Tensor], shaken: dict[int, Tensor], *, train: bool
) -> float:
    """Return the largest difference over all outputs, relative to the largest value."""
    with left_as_found(module), torch.random.fork_rng():
        module.train(train)
        torch.manual_seed(0)
        returned = functional_call(module, _copied(module, shaken), tuple(images))
    theirs = [tensor for _, tensor in outputs_of(returned)]
    with torch.random.fork_rng(), _watched(net.train(train)) as seen:
        torch.manual_seed(0)
        functional_call(net, _copied(net, shaken), tuple(images))
    seen.update(zip((each.name for each in net.network.inputs), images, strict=True))
    ours = [seen[each.source] for each in net.network.outputs if train or not each.train_only]
    return max(_nearest(each, ours) for each in theirs)


def _nearest(theirs: Tensor, ours: list[Tensor]) -> float:
    """Return the difference to that of our outputs which comes nearest."""
    alike = [each for each in ours if each.numel() == theirs.numel()]
    return min((_apart(each, theirs) for each in alike), default=math.inf)


def _apart(ours: Tensor, theirs: Tensor) -> float:
    largest = max(float(theirs.abs().max()), 1e-6)
    difference = float((ours.reshape(-1) - theirs.reshape(-1)).abs().max()) / largest
    return math.inf if math.isnan(difference) else difference


def _shaken(module: nn.Module, seed: int) -> dict[int, Tensor]:
    """Return parameters near the module's, by the id of each."""
    generator = torch.Generator().manual_seed(seed)
    return {
        id(each): each.detach() + 0.02 * torch.randn(each.shape, generator=generator).to(each)
        for each in module.parameters()
    }


def _copied(module: nn.Module, shaken: dict[int, Tensor]) -> dict[str, Tensor]:
    """Return the shaken parameters, and copies of the buffers, which training would change."""
    buffers = {name: each.clone() for name, each in module.named_buffers()}
    moved = {name: shaken.get(id(each), each) for name, each in module.named_parameters()}
    return {**moved, **buffers}


@contextmanager
def _watched(net: Net) -> Iterator[dict[str, Tensor]]:
    """Keep the value of every output of a net."""
    seen: dict[str, Tensor] = {}
    names = {each.source for each in net.network.outputs}
    handles = []
    for name in names - {each.name for each in net.network.inputs}:

        def keep(_: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
            seen[name] = output

        handles.append(net.get_submodule(name).register_forward_hook(keep))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
