"""Following a forward pass: which functions of torch it calls, on which values, in which module.

The module runs on the meta device, where tensors have shapes but no memory, under a mode that sees
every call of torch (functions, methods, operators) before it is taken apart. So control flow on
shapes, lists, dicts and helper functions need no care; each call becomes one record or a few
(`records.py` and the files beside it say which), or, where none fits, an Opaque one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from striate.design import DesignError, Layer, Opaque, Shape
from striate.layers.describe.calls import (
    RESHAPING,
    ROWS,
    SAME,
    Call,
    Unknown,
    asks,
    converter,
    spelled,
)
from striate.layers.describe.recorder import Noted, Recorder
from striate.layers.describe.steps import Frame, Misfit, Step, Untraceable

# Functions that take shape and type of a tensor, not its values.
_FACTORIES = frozenset(
    """zeros_like ones_like empty_like full_like rand_like randn_like randint_like new_zeros
    new_ones new_empty new_full new_tensor""".split()
)
# Functions whose records say what becomes of an image, whatever number of them was asked for.
_SIZED = RESHAPING | {"unflatten", "expand", "interpolate", "upsample"}
# Functions whose answer depends on values, which nothing on paper has.
_VALUES = frozenset(
    """item tolist numpy bool int float index complex contains nonzero unique unique_consecutive
    masked_select argwhere equal allclose is_nonzero""".split()
)


class Tracer(TorchFunctionMode):
    """Records the calls of torch in one forward pass.

    Args:
        module: whose forward it is.
        tensors: stand-ins on the meta device for its parameters and buffers, by name.
        dtype: of the inputs.
        recorded: whether to note the calls, to make again what no record fits.

    Attributes:
        steps: what happened, in order.
        stack: modules that are running; after an exception, those that were.
        shapes: of every value on paper, by its name for the time being.
    """

    def __init__(
        self,
        module: nn.Module,
        tensors: Mapping[str, Tensor],
        dtype: torch.dtype = torch.float32,
        recorded: bool = False,
    ) -> None:
        super().__init__()
        self.dtype, self.recorder = dtype, Recorder(self) if recorded else None
        self.training = module.training
        self.steps: list[Step] = []
        self.stack: list[Frame] = []
        self.shapes: dict[str, Shape] = {}
        self.failed: Step | None = None  # what paper refused last
        self.paused = False
        self.claimed: dict[str, str] = {}  # a parameter's name, and the record that has it
        self.parameters = dict(module.named_parameters())
        self.buffers = dict(module.named_buffers())
        self._direct = {id(tensor): name for name, tensor in tensors.items()}
        self._derived: dict[int, frozenset[str]] = {}  # tensors made of parameters or of nothing
        self._reshaped: dict[int, str] = {}
        self._values: dict[int, tuple[str, int]] = {}  # tensors: name of the value, version
        self._lost: dict[int, str] = {}
        self._alive: list[Tensor] = list(tensors.values())  # so that no id comes twice
        self._visits: dict[tuple[int, str], int] = {}
        self._watch(module)

    # -- modules

    def _watch(self, module: nn.Module) -> None:
        for path, part in module.named_modules():
            for value in vars(part).values():
                for tensor in (value,) if isinstance(value, Tensor) else ():
                    self._derived[id(tensor)] = frozenset()
            if isinstance(part, torch.jit.ScriptModule):
                continue
            enter, leave = self._enter(path, not any(True for _ in part.children())), self._leave
            part.register_forward_pre_hook(enter, prepend=True)
            part.register_forward_hook(leave(path))

    def _enter(self, path: str, leaf: bool) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            if not self.paused:
                key = (self.stack[-1].number if self.stack else 0, path)
                self._visits[key] = self._visits.get(key, 0) + 1
                self.stack.append(Frame(path, self._visits[key], leaf, sum(self._visits.values())))

        return enter

    def _leave(self, path: str) -> Callable[..., None]:
        def leave(*_: Any) -> None:
            while not self.paused and self.stack and self.stack.pop().path != path:
                pass  # what a try within the module left behind

        return leave

    # -- values

    def give(self, tensor: Tensor, name: str) -> None:
        """Say that a tensor is the value of that name."""
        self._alive.append(tensor)
        self._lost.pop(id(tensor), None)
        self._values[id(tensor)] = (name, tensor._version)

    def lose(self, tensor: Tensor, why: str) -> None:
        """Say that a tensor is no value on paper."""
        self._alive.append(tensor)
        self._values.pop(id(tensor), None)
        self._lost[id(tensor)] = why

    def name(self, tensor: Tensor) -> str | None:
        """Return the value that a tensor is, None where it depends on no input.

        Raises:
            Untraceable: it was written through another name, or made out of sight.
        """
        if id(tensor) in self._values:
            name, version = self._values[id(tensor)]
            if version != tensor._version:
                raise Untraceable("a tensor is read after it was written through a view of it")
            return name
        if id(tensor) in self._lost:
            raise Untraceable(self._lost[id(tensor)])
        if not self.known(tensor) and tensor.device.type == "meta":
            raise Untraceable("a tensor was made by something that cannot be followed")
        return None

    def known(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is a parameter, a buffer, or made of such or of nothing."""
        return id(tensor) in self._direct or id(tensor) in self._derived

    def parameter(self, tensor: Tensor) -> str | None:
        """Return the name of the parameter or buffer that a tensor is."""
        return self._direct.get(id(tensor))

    def reshaped(self, tensor: Tensor) -> str | None:
        """Return the name of the parameter or buffer that a tensor is a reshaped view of."""
        return self._reshaped.get(id(tensor))

    def sources(self, tensor: Tensor) -> frozenset[str]:
        """Return the parameters and buffers that a tensor is made of."""
        if (name := self.parameter(tensor)) is not None:
            return frozenset([name])
        return self._derived.get(id(tensor), frozenset())

    # -- calls

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch and record it."""
        kwargs = kwargs or {}
        if self.paused:
            return func(*args, **kwargs)
        if asks(func):
            answer = func(*args, **kwargs)
            return answer if self.recorder is None else self.recorder.sized(func, args, answer)
        name = spelled(func)
        args, kwargs = tree_map(self._on_meta, (tuple(args), kwargs))
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        call = Call(self, name, {id(each): self.name(each) for each in given}, given, func)
        if self.recorder is not None:
            call.noted = self.recorder.note(func, args, kwargs)
        versions = [(each, each._version) for each in given]
        try:
            out = func(*args, **kwargs)
        except Exception as error:
            raise self._failure(call, args, kwargs, error) from error
        written = [each for each, version in versions if each._version != version]
        return self._record(call, func, args, kwargs, out, written)

    def _on_meta(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or leaf.device.type == "meta":
            return leaf
        moved = leaf.to("meta")
        self._alive.append(moved)
        self._derived[id(moved)] = frozenset()
        if self.recorder is not None:
            self.recorder.moved(moved, leaf)
        return moved

    def _record(
        self, call: Call, func: Any, args: Any, kwargs: Any, out: Any, written: list[Tensor]
    ) -> Any:
        outs = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        if self.recorder is not None and call.noted is not None:
            self.recorder.called(call.noted, (args, kwargs), bool(outs), written)
        if not outs:
            outs = written  # x[...] = y
        if not call.values or call.name in _FACTORIES:
            self._derive(call, outs)
            return out
        fresh = [each for each in outs if not _any(each, written) and _any(each, call.given)]
        if fresh and len(outs) == 1 and out is outs[0] and call.name not in SAME:
            out = outs[0].view_as(outs[0])  # what did nothing here may do something in training
            outs = [out]
        for each, name in zip(outs, self._convert(call, args, kwargs, outs), strict=True):
            if name is None:
                self.lose(each, f"{call.name} gives something that has no record")
            else:
                self.give(each, name)
        return out

    def _derive(self, call: Call, outs: list[Tensor]) -> None:
        """Keep what a call gave that is no value: made of parameters, or of nothing."""
        made = frozenset[str]().union(*(self.sources(each) for each in call.given))
        made = frozenset() if call.name in _FACTORIES else made
        for index, each in enumerate(outs):
            if self.parameter(each) is not None:
                continue
            self._alive.append(each)
            self._derived[id(each)] = made
            if self.recorder is not None and call.noted is not None:
                self.recorder.made(each, call.noted, index)
            if call.name in RESHAPING and (name := self._whole(call.given[0], each)):
                self._reshaped[id(each)] = name

    def _whole(self, before: Tensor, after: Tensor) -> str | None:
        """Return the parameter that a tensor had all elements of before it was reshaped."""
        name = self.parameter(before) or self.reshaped(before)
        return name if before.numel() == after.numel() else None

    def _convert(
        self, call: Call, args: Any, kwargs: Any, outs: list[Tensor]
    ) -> Sequence[str | None]:
        before, self.failed = (len(self.steps), dict(self.claimed)), None
        try:
            if call.noted is not None and call.noted.follows() and call.name not in _SIZED:
                raise Unknown("it works with the number of images")
            names = converter(call.name)(call, outs, *args, **kwargs)
            if len(names) != len(outs):
                raise Unknown("it gives several values")
            for each, name in zip(outs, names, strict=True):
                if name is not None and not _fits(each, self.shapes[name], call):
                    raise Unknown("its shape here is not the one on paper")
            return names
        except (Unknown, DesignError) as reason:
            if self.failed is not None and _declared(self.failed.layer):
                raise Misfit(self.failed, str(reason)) from reason  # torch looks at it later
            del self.steps[before[0] :]
            self.claimed = before[1]
            known = isinstance(reason, Unknown)
            why = str(reason) if known else "its sizes are not those that its record takes"
            return self._opaque(call, args, kwargs, outs, why)

    def put(self, layer: Layer, owned: Mapping[str, str]) -> str:
        """Append a record; its shape is computed."""
        step = Step(layer, tuple(self.stack), dict(owned))
        try:
            self.shapes[layer.name] = layer.output(*(self.shapes[each] for each in layer.inputs))
        except DesignError:
            self.failed = step
            raise
        for name in owned.values():
            self.claimed.setdefault(name, layer.name)
        self.steps.append(step)
        return layer.name

    def fresh(self) -> str:
        """Return a name that no value has had."""
        return f"v{len(self.shapes)}"

    def _failure(self, call: Call, args: Any, kwargs: Any, error: Exception) -> Exception:
        """Return what to raise for a call that torch refused."""
        text = str(error).strip().split("\n")[0]
        if call.name in _VALUES or "meta" in text.lower() or isinstance(error, NotImplementedError):
            return Untraceable(f"{call.name} needs values, which shapes do not give")
        if not call.values:
            return error
        begun, self.failed = len(self.steps), None
        try:
            converter(call.name)(call, [], *args, **kwargs)
        except Exception:  # noqa: BLE001 - what torch said is better than why we cannot say it
            pass
        step = self.failed
        if step is None and len(self.steps) > begun:
            step = self.steps.pop()
        if step is None:
            layer = Opaque(name="failed", inputs=tuple(call.values), op=call.name, shape=(1,))
            step = Step(layer, tuple(self.stack), {})
        return Misfit(step, text.rstrip("."))

    def _opaque(
        self, call: Call, args: Any, kwargs: Any, outs: list[Tensor], reason: str
    ) -> list[str]:
        free = [
            name
            for name in dict.fromkeys(n for each in call.given for n in sorted(self.sources(each)))
            if name in self.parameters and name not in self.claimed
        ]
        cost = self._cost(call, args, kwargs)
        return self.opaque(
            call.name, call.values, outs, free, cost=cost, reason=reason, noted=call.noted
        )

    def opaque(
        self,
        op: str,
        inputs: Sequence[str],
        outs: list[Tensor],
        parameters: Sequence[str],
        *,
        cost: int,
        reason: str,
        noted: Noted | None = None,
    ) -> list[str]:
        """Append an Opaque record for each tensor; the first has parameters and cost."""
        if self.recorder is not None and noted is not None:
            inputs = self.recorder.inputs(noted)
        if not inputs:
            raise Untraceable(reason)
        names: list[str] = []
        local = _local(parameters)
        for index, each in enumerate(outs):
            shapes = {own: tuple(self.parameters[name].shape) for own, name in local.items()}
            layer = Opaque(
                name=self.fresh(),
                inputs=tuple(inputs),
                op=op,
                shape=paper_shape(each),
                shapes=tuple(shapes.items()) if index == 0 else (),
                cost=cost if index == 0 else 0,
                note=reason,
            )
            owned = local if index == 0 else {}
            frozen = [not self.parameters[name].requires_grad for name in owned.values()]
            names.append(self.put(layer.replace(trainable=not (frozen and all(frozen))), owned))
            if self.recorder is not None and noted is not None:
                self.recorder.put(names[-1], noted, index, each, layer.shape)
        return names

    def _cost(self, call: Call, args: Any, kwargs: Any) -> int:
        """Return the multiply-adds of a call for one image, by torch's own formulas."""
        if call.function is None:
            return 0
        copies = tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, args)
        self.paused = True
        try:
            with FlopCounterMode(display=False) as counter:
                call.function(*copies, **kwargs)
        finally:
            self.paused = False
        return int(counter.get_total_flops()) // 2 // ROWS


def _declared(layer: Layer) -> bool:
    """Tell whether a layer was made for a number of channels, so that no other will do."""
    return any(getattr(layer, each, None) for each in ("in_channels", "in_features"))


def paper_shape(tensor: Tensor) -> Shape:
    """Return a tensor's shape without batch; where the batch is not in front, its share."""
    if tensor.dim() and tensor.shape[0] == ROWS:
        return tuple(tensor.shape[1:]) or (1,)
    return (max(tensor.numel() // ROWS, 1),)


def _fits(tensor: Tensor, shape: Shape, call: Call) -> bool:
    return call.loose or (
        tensor.dim() > 0
        and tensor.shape[0] == ROWS
        and tuple(tensor.shape[1:]) in (shape, shape if shape != (1,) else ())
    )


def _local(parameters: Sequence[str]) -> dict[str, str]:
    """Return a short, distinct name for each parameter."""
    local: dict[str, str] = {}
    for name in parameters:
        last = name.rpartition(".")[2]
        local[last if last not in local else name.replace(".", "_")] = name
    return local


def _any(tensor: Tensor, tensors: Sequence[Tensor]) -> bool:
    return any(tensor is each for each in tensors)
