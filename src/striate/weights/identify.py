"""Which network of the zoo a file's tensors are for, by their names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from striate import zoo
from striate.design import Network
from striate.errors import WeightsError

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

Shapes = dict[str, tuple[int, ...]]


def identify(
    tensors: Mapping[str, Tensor], path: str, hint: str, specs: Iterable[str] = ()
) -> tuple[Network, tuple[str, ...]]:
    """Return the network that tensors fit, and what is to be said of the choice.

    Another number of classes is no hindrance, nor that heads for training only are gone. Where
    several networks have the very same tensors (with another place of a stride, or without
    shortcuts), the file's name decides, then the order of the registry.

    Args:
        tensors: by name.
        path: of the file, for errors.
        hint: text that may name the network: the file's name.
        specs: networks to try; all of the zoo unless given.

    Raises:
        WeightsError: none fits; says what comes nearest and how it differs.
    """
    received = {
        name: tuple(value.shape)
        for name, value in tensors.items()
        if name.rpartition(".")[2] not in _STATISTICS
    }
    fitting: list[Network] = []
    nearest: tuple[float, int, str] = (0.0, 0, "")
    for spec in sorted(specs or zoo.names(), key=lambda name: _unlike(name, hint)):
        network = _bare(zoo.network(spec), received)
        expected = {each.name: each.shape for each in network.parameters()}
        if expected.keys() == received.keys():
            fitted = _with_classes(network, expected, received)
            if fitted is not None:
                fitting.append(fitted)
                continue
        alike = sum(received.get(name) == shape for name, shape in expected.items())
        nearest = max(nearest, (alike / len(expected.keys() | received.keys()), alike, spec))
    if not fitting:
        raise _stranger(received, path, nearest)
    first, *others = fitting
    if not others or _unlike(first.name, hint)[0] == 0:
        return first, ()
    also = ", ".join(each.name for each in others)
    return first, (f"Taken for {first.name}; its tensors are also those of {also}.",)


def _bare(network: Network, received: Shapes) -> Network:
    """Return the network without its heads for training, where no tensor is theirs."""
    heads = network.needed(train=True) - network.needed(train=False)
    theirs = {layer.name for layer in network.layers if layer.name in heads}
    if not theirs or any(name.rpartition(".")[0] in theirs for name in received):
        return network
    return network.without(*sorted(theirs))[0]


def _unlike(spec: str, hint: str) -> tuple[int, int]:
    """Sort networks that the hint names before others, the longest name first."""
    name = spec.partition("(")[0]
    named = name.lower() in hint.lower()
    return (0, -len(name)) if named else (1, 0)


def _with_classes(network: Network, expected: Shapes, received: Shapes) -> Network | None:
    """Return the network with as many classes as the tensors have, where nothing else differs."""
    differing = [name for name, shape in expected.items() if received[name] != shape]
    if not differing:
        return network
    counts = {received[name][0] for name in differing if received[name]}
    if len(counts) != 1:
        return None
    changed, _ = network.with_classes(counts.pop())
    now = {each.name: each.shape for each in changed.parameters()}
    return changed if now == received else None


def _stranger(received: Shapes, path: str, nearest: tuple[float, int, str]) -> WeightsError:
    _, alike, spec = nearest
    shown = ", ".join(f"{name} {shape}" for name, shape in list(received.items())[:3])
    close = (
        f" Nearest is {spec}, with {alike} of {len(received)} alike: give --net to see every tensor"
        " that differs."
        if alike
        else " Give its network with --net."
    )
    return WeightsError(
        f"{path} holds the weights of no network that is registered ({len(received)} parameters, "
        f"{shown} first).{close}"
    )
