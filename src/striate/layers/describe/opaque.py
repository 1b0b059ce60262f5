"""A module that shapes alone do not lead through, taken as a whole: run once, for real, alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from striate.layers.describe.calls import ROWS
from striate.layers.describe.recorder import Whole
from striate.layers.describe.steps import Frame
from striate.layers.describe.trace import Tracer

_FEW = 2  # rows that it really runs on


def as_one(
    tracer: Tracer, part: nn.Module, path: str, real: Mapping[str, Tensor], reason: str
) -> Callable[..., Any]:
    """Return a forward that records the whole module as one opaque layer.

    Args:
        tracer: that records it.
        part: the module.
        path: its name in the whole.
        real: its tensors with their values, by local name; those on the meta device become zeros.
        reason: why it is opaque.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        values = dict.fromkeys(name for each in given if (name := tracer.name(each)))
        recorder = tracer.recorder
        noted = None if recorder is None else recorder.note(Whole(path), args, kwargs)
        tracer.paused = True
        try:
            out, macs = _counted(part, real, args, kwargs)
        finally:
            tracer.paused = False
            if "forward" not in part.__dict__ and not isinstance(part, torch.jit.ScriptModule):
                part.forward = run
        outs = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        prefix = f"{path}." if path else ""
        mine = [name for name in tracer.parameters if name.startswith(prefix)]
        free = [name for name in mine if name not in tracer.claimed]
        before = tracer.stack
        frame = Frame(path, 1, True, -len(tracer.steps) - 1)
        if not isinstance(part, torch.jit.ScriptModule):
            before, frame = before[:-1], before[-1]._replace(leaf=True)
        tracer.stack = [*before, frame]
        op = getattr(part, "original_name", type(part).__name__)  # a scripted module's own
        names = tracer.opaque(op, list(values), outs, free, cost=macs, reason=reason, noted=noted)
        for each, name in zip(outs, names, strict=True):
            tracer.give(each, name)
        if isinstance(part, torch.jit.ScriptModule):
            tracer.stack.pop()
        return out

    return run


def _counted(
    part: nn.Module, real: Mapping[str, Tensor], args: Any, kwargs: Any
) -> tuple[Any, int]:
    """Return what a module gives, on meta, and its MACs a row; by shapes alone where they do."""
    part.__dict__.pop("forward", None)
    if not isinstance(part, torch.jit.ScriptModule):
        try:
            with FlopCounterMode(display=False) as counter:
                out = part(*args, **kwargs)
            return out, counter.get_total_flops() // 2 // ROWS
        except Exception:  # noqa: BLE001 - it looks at values, or fails below for real
            pass
    return _really(part, real, args, kwargs)


def _really(part: nn.Module, real: Mapping[str, Tensor], args: Any, kwargs: Any) -> tuple[Any, int]:
    """Run a module on a few random rows; returns what it gives, on meta, and its MACs a row."""
    tensors = {name: _valued(each) for name, each in real.items()}
    device = next(iter(tensors.values())).device if tensors else torch.device("cpu")

    def few(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        rows = [_FEW] if leaf.dim() and leaf.shape[0] == ROWS else list(leaf.shape[:1])
        shape = [*rows, *leaf.shape[1:]]
        if not leaf.dtype.is_floating_point:
            return torch.zeros(shape, dtype=leaf.dtype, device=device)
        return torch.randn(shape, dtype=leaf.dtype, device=device)

    def many(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        rows = [ROWS] if leaf.dim() and leaf.shape[0] == _FEW else list(leaf.shape[:1])
        return torch.empty([*rows, *leaf.shape[1:]], dtype=leaf.dtype, device="meta")

    with torch.random.fork_rng(), torch.device(device), FlopCounterMode(display=False) as counter:
        torch.manual_seed(0)
        args, kwargs = tree_map(few, (args, kwargs))
        if isinstance(part, torch.jit.ScriptModule):  # whose tensors nothing has replaced
            out = part(*args, **kwargs)
        else:
            out = functional_call(part, tensors, args, kwargs)
    return tree_map(many, out), counter.get_total_flops() // 2 // _FEW


def _valued(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.device.type == "meta":
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    return tensor.clone()
