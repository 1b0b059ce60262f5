"""A built network: its scopes are modules, each with a forward that can be read and printed.

The forward of every scope is written out as source (see `layers.source`), so that a debugger steps
through it, hooks on scopes fire, and each value is dropped at its last use. Such classes have no
importable home; pickle and deepcopy carry the source along and make the class again.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import Tensor, nn

from striate.design import Network
from striate.layers.batchnorm import BatchNorm
from striate.layers.fused import rectified
from striate.layers.source import class_source


class Scope(nn.Module):
    """A block of a network: children named as on paper, a generated forward.

    Attributes:
        source: the statement that defines the class; `inspect.getsource(scope.forward)` prints its
            forward.
        place: where it stands (`resnet20.layer1.0`).
    """

    source: str = ""
    place: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank, (isinstance(self, Net), self.place, self.source), self.__dict__


class Net(Scope):
    """A network built from paper; make one with `layers.build`.

    In evaluation it returns its main output; in training, where it has outputs for training only, a
    dict of all outputs by name.

    Attributes:
        network: the record it was built from.

    Input shape: (batch, *network.input_shape)
    Output shape: (batch, classes)
    """

    network: Network

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Run the network; every built class has its own."""
        raise NotImplementedError("a Net is made by layers.build, which writes its forward")

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights as every nn.Module does; layers that share parameters still share them."""
        keys = super().load_state_dict(state_dict, strict, assign)
        tie(self)
        return keys


def tie(net: Net) -> None:
    """Give each layer that shares parameters those of their owner; conversions can part them."""
    for layer in net.network.layers:
        if layer.shares is not None:
            owner, user = net.get_submodule(layer.shares), net.get_submodule(layer.name)
            user._parameters.update(owner._parameters)


def fuse(net: Net) -> None:
    """Let a net compute its batch-norms in training together with what comes after them.

    Its scopes get a forward that says so (`inspect.getsource`). Values are the same but for
    rounding; in evaluation, on other devices than a CPU and in other precisions nothing changes.
    """
    for name, part in net.named_modules():
        if isinstance(part, BatchNorm):
            part.algorithm = "fused"
        elif isinstance(part, Scope):
            source = class_source(net.network, name, fused=True)
            part.__class__ = scope_class(isinstance(part, Net), part.place, source)


@cache
def scope_class(root: bool, place: str, source: str) -> type[Scope]:
    """Return the class that a generated source defines.

    Args:
        root: whether it is the whole network.
        place: where it stands (`resnet20.layer1.0`), for tracebacks.
        source: one class statement over `Base`.
    """
    base = Net if root else Scope
    filename = f"<striate {place}>"
    number = 1
    while linecache.getlines(filename) not in ([], _lines(source)):
        number += 1
        filename = f"<striate {place} ({number})>"
    linecache.cache[filename] = (len(source), None, _lines(source), filename)
    namespace: dict[str, Any] = {"Base": base, "rectified": rectified, "__name__": __name__}
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    made: type[Scope] = next(
        value
        for value in namespace.values()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    )
    made.source, made.place = source, place
    return made


def _blank(root: bool, place: str, source: str) -> Scope:
    made = scope_class(root, place, source)
    return made.__new__(made)


def _lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)
