"""What a program is made from, kept so that it can be made again: in a file, on another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from striate.design import Network
from striate.engine.shared import Shared
from striate.errors import WeightsError
from striate.layers import Net, adopt, build
from striate.layers.opaque import Part, Returned


class Source(NamedTuple):
    """What a program is made from.

    Args:
        net: with the module's own tensors.
        batch: images at a time that it is made for.
        algorithms: of convolutions, by the layers' names.
        values: names of those that it returns; the main output where there are none.
        returned: how, of these.
    """

    net: Net
    batch: int
    algorithms: dict[str, str]
    values: tuple[str, ...] = ()
    returned: Returned | None = None


class Origin:
    """A source as it was when its program was made.

    Args:
        source: the source.
        remade: makes the program again of what `saved` returns.
    """

    def __init__(self, source: Source, remade: Callable[..., nn.Module]) -> None:
        self.source, self._remade = source, remade
        self._tensors = {name: Shared(each) for name, each in _tensors(source.net).items()}

    def saved(self) -> tuple[Callable[..., nn.Module], tuple[Any, ...]]:
        """Return what makes the program again, and all that it and `restored` take.

        Raises:
            WeightsError: the weights are not those any more.
        """
        changed = [name for name, each in self._tensors.items() if each.changed]
        network = self.source.net.network
        if changed:
            raise WeightsError(
                f"{network.name}: a file keeps the weights it was accelerated with, and "
                f"{changed[0]} has changed since. Accelerate it again, and save that."
            )
        parts = {n: each for n, each in self.source.net.named_modules() if isinstance(each, Part)}
        tensors = {name: each.tensor for name, each in self._tensors.items()}
        return self._remade, (network, parts, tensors, *self.source[1:])


def restored(
    network: Network, parts: dict[str, nn.Module], tensors: dict[str, Tensor], *others: Any
) -> Source:
    """Return the source that was saved."""
    net = build(network.replace(renamed=()), seed=None, parts=parts)
    adopt(net, tensors)
    net.network = network
    return Source(net, *others)


def _tensors(net: Net) -> dict[str, Tensor]:
    named = (*net.named_parameters(remove_duplicate=False), *net.named_buffers())
    return {name: each.detach() for name, each in named}
