"""Calls that a recorder noted, made ready to be made again with the module's own tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.layers.describe.recorder import Made, Noted, Own, Recorder, Value, Whole
from striate.layers.opaque import Before, Call, Calls, Part, Read, Returned


class Described(NamedTuple):
    """What one forward pass was, ready to be made again.

    Args:
        parts: what computes each opaque value, by its name for the time being.
        returned: what the module returns; no calls any more among the leaves.
    """

    parts: Mapping[str, Part]
    returned: Returned


class Realised:
    """Calls made again with the module's tensors, of which it has copies.

    Args:
        module: that was followed.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._real = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._owned: dict[str, Tensor] = {}
        self._wholes: dict[str, nn.Module] = {}
        self._constants: dict[int, list[Tensor]] = {}
        self._calls: dict[int, Calls] = {}
        first = next(iter(self._real.values()), None)
        self._device = torch.device("cpu") if first is None else first.device

    def described(self, recorder: Recorder, inputs: Mapping[str, Sequence[str]]) -> Described:
        """Return what makes all opaque values.

        Args:
            recorder: of the pass.
            inputs: of the opaque records, by name.
        """
        parts = {}
        for name, (noted, index, shape) in recorder.parts.items():
            if name in inputs:
                parts[name] = Part(self._made(noted, inputs[name], recorder), index, shape)
        if recorder.returned is None:
            raise TypeError("nothing was returned")
        leaves = (self._returned(each) for each in recorder.returned.leaves)
        return Described(parts, recorder.returned._replace(leaves=tuple(leaves)))

    def _returned(self, leaf: Any) -> Any:
        if isinstance(leaf, Made):
            return self._constant(leaf.noted)[leaf.number]
        return self._own(leaf.name) if isinstance(leaf, Own) else leaf

    def _made(self, noted: Noted, inputs: Sequence[str], recorder: Recorder) -> Calls:
        if id(noted) not in self._calls:
            moving = [each for each in noted.everything() if each is noted or not each.constant()]
            order = {id(each): index for index, each in enumerate(moving)}
            calls = [
                Call(
                    self._function(each.function),
                    tuple(self._leaf(leaf, inputs, order) for leaf in each.leaves),
                    each.form,
                    each.written,
                    each.returns,
                )
                for each in moving
            ]
            self._calls[id(noted)] = Calls(calls, recorder.rows(inputs), self._device)
        return self._calls[id(noted)]

    def _leaf(self, leaf: Any, inputs: Sequence[str], order: Mapping[int, int]) -> Any:
        if isinstance(leaf, Value):
            return Read(list(inputs).index(leaf.name), leaf.shape, leaf.dtype)
        if isinstance(leaf, Own):
            return self._own(leaf.name)
        if isinstance(leaf, torch.device):
            return self._device if leaf.type == "meta" else leaf
        if not isinstance(leaf, Made):
            return leaf
        if id(leaf.noted) in order:
            return Before(order[id(leaf.noted)], leaf.number)
        return self._constant(leaf.noted)[leaf.number]

    def _constant(self, noted: Noted) -> list[Tensor]:
        """Return what a call gives that depends on no image."""
        if id(noted) not in self._constants:
            leaves = tuple(self._leaf(leaf, (), {}) for leaf in noted.leaves)
            call = Call(
                self._function(noted.function), leaves, noted.form, noted.written, noted.returns
            )
            with torch.no_grad():
                self._constants[id(noted)] = call.made((), (), 0)
        return self._constants[id(noted)]

    def _own(self, name: str) -> Tensor:
        if name not in self._owned:
            self._owned[name] = self._real[name].detach().clone()
        return self._owned[name]

    def _function(self, function: Any) -> Callable[..., Any]:
        if not isinstance(function, Whole):
            return function  # type: ignore[no-any-return]
        if function.path not in self._wholes:
            part = copy.deepcopy(self.module.get_submodule(function.path))
            self._wholes[function.path] = part.eval().requires_grad_(False)
        return self._wholes[function.path]
