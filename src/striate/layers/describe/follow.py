"""One forward pass of a module, followed as far as shapes lead.

Where they do not (a branch on values, a compiled part), the innermost module that it happened in
is taken as one opaque layer, and the pass begins again; in the end that may be the whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from striate.design import (
    BatchNorm,
    DesignError,
    GroupNorm,
    Identity,
    Input,
    Layer,
    Network,
    Opaque,
    Output,
    PReLU,
    Shape,
)
from striate.design.failure import explain
from striate.layers.describe import (  # noqa: F401 - each registers what it converts
    activation,
    convolution,
    joining,
    moving,
    normalisation,
    pooling,
)
from striate.layers.describe.calls import ROWS
from striate.layers.describe.found import left_as_found
from striate.layers.describe.merging import Traced
from striate.layers.describe.naming import names_of
from striate.layers.describe.opaque import as_one
from striate.layers.describe.returned import outputs_of
from striate.layers.describe.steps import Misfit, Step, Untraceable
from striate.layers.describe.trace import Tracer

# What is one thing to its users, and has no record.
_WHOLE = (
    torch.jit.ScriptModule,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.Transformer,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)
_WAY_OUT = (
    "{}: expected a forward that shapes lead through, received one where {}. Put that into "
    "a submodule of its own, which then runs as it is; or accelerate the submodules."
)
_MOST = 64  # parts taken as opaque before the whole is


def follow(
    module: nn.Module, inputs: Sequence[Input], *, train: bool, recorded: bool = False
) -> Traced:
    """Trace one forward pass; the module is left as it was found.

    Args:
        module: whose forward it is.
        inputs: that it is called with.
        train: in training mode.
        recorded: whether calls are noted, so that they can be made again.

    Raises:
        DesignError: its forward fails; with the table up to there.
    """
    opaque = {
        path: f"there is no record for {type(part).__name__}"
        for path, part in module.named_modules()
        if isinstance(part, _WHOLE) or getattr(part, "one_part", False) is True
    }
    while True:
        try:
            return _pass(module, inputs, train, opaque, recorded)
        except _Stopped as stopped:
            path = "" if len(opaque) >= _MOST else stopped.path
            while recorded and path in opaque:  # what it is called with is the reason
                path = path.rpartition(".")[0]
            if path in opaque:
                raise DesignError(
                    f"{type(module).__name__} cannot be described: {stopped.reason}"
                ) from stopped
            if recorded and not path:
                raise DesignError(
                    _WAY_OUT.format(type(module).__name__, stopped.reason)
                ) from stopped
            opaque[path] = stopped.reason


class _Stopped(Exception):
    """A trace came to an end in the module of that path."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(reason)


def _pass(
    module: nn.Module,
    inputs: Sequence[Input],
    train: bool,
    opaque: dict[str, str],
    recorded: bool,
) -> Traced:
    real = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    parts = dict(module.named_modules())
    with left_as_found(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch says to those who compute
        module.train(train)
        tensors = {name: _on_meta(each) for name, each in real.items()}
        dtype = next((p.dtype for p in real.values() if p.dtype.is_floating_point), torch.float32)
        tracer = Tracer(module, tensors, dtype, recorded)
        for path, reason in opaque.items():
            if any(other != path and _within(path, other) for other in opaque):
                continue  # what is in an opaque part runs as it is
            part = parts[path]
            held = {**dict(part.named_parameters()), **dict(part.named_buffers())}
            run = as_one(tracer, part, path, held, reason)
            if isinstance(part, torch.jit.ScriptModule):
                module = _stood_in(module, path, run)
                tensors = {n: t for n, t in tensors.items() if not _within(n, path)}
            else:
                part.forward = run
        given = [torch.empty(ROWS, *each.shape, dtype=dtype, device="meta") for each in inputs]
        for each, tensor in zip(inputs, given, strict=True):
            tracer.shapes[each.name] = each.shape
            tracer.give(tensor, each.name)
        try:
            with torch.device("meta"), tracer:
                returned = functional_call(module, tensors, tuple(given))
            return _traced(tracer, returned, module)
        except Misfit as misfit:
            raise _taught(module, inputs, tracer, misfit) from misfit
        except Exception as error:
            _explain_stop(module, inputs, tracer, error)
            raise


class _StandIn(nn.Module):
    """In the place of a scripted module, whose forward cannot be replaced."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Do what stands for it."""
        return self.run(*args, **kwargs)


def _stood_in(module: nn.Module, path: str, run: Callable[..., Any]) -> nn.Module:
    """Return the module with a stand-in at a path, which may be itself."""
    scope, _, last = path.rpartition(".")
    if not path:
        return _StandIn(run)
    module.get_submodule(scope)._modules[last] = _StandIn(run)
    return module


def _within(name: str, path: str) -> bool:
    return not path or name.startswith(f"{path}.")


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _traced(tracer: Tracer, returned: Any, module: nn.Module) -> Traced:
    found = [(name, tracer.name(tensor)) for name, tensor in outputs_of(returned)]
    outputs = [(name, value) for name, value in found if value is not None]
    if not outputs:
        raise DesignError(
            f"{type(module).__name__} returns no tensor that depends on its input: expected a "
            f"tensor, or a dict, tuple or list of some, received {type(returned).__name__}"
        )
    if tracer.recorder is not None:
        made = tracer.recorder.returns(returned)
        outputs += [(f"made_{value}", value) for value in made]
    if not tracer.steps:
        layer = Identity(name=tracer.fresh(), inputs=(outputs[0][1],))
        outputs = [(name, tracer.put(layer, {})) for name, _ in outputs[:1]]
    return Traced(tuple(tracer.steps), tuple(outputs), tracer.recorder)


def _explain_stop(
    module: nn.Module, inputs: Sequence[Input], tracer: Tracer, error: Exception
) -> None:
    """Raise what an exception means: a module that shapes do not lead through, or a mistake."""
    if isinstance(error, DesignError | _Stopped):
        return
    path = tracer.stack[-1].path if tracer.stack else ""
    text = str(error).strip().split("\n")[0].rstrip(".")
    if isinstance(error, Untraceable) or "meta" in text.lower():
        raise _Stopped(path, text) from error
    last = tracer.steps[-1].layer.name if tracer.steps else inputs[0].name
    layer = Opaque(name="failed", inputs=(last,), op=type(error).__name__, shape=(1,))
    step = Step(layer, tuple(tracer.stack), {})
    where = f" of {path}" if path else ""
    raise _taught(
        module,
        inputs,
        tracer,
        Misfit(step, f"the forward{where} raises {layer.op}: {text}", whole=True),
    ) from error


def _taught(
    module: nn.Module, inputs: Sequence[Input], tracer: Tracer, misfit: Misfit
) -> DesignError:
    """Return the error with the table up to the layer at fault, by its name in the module."""
    steps = [*tracer.steps, misfit.step]
    names = names_of(steps, [each.name for each in inputs])
    layers = renamed([step.layer for step in steps], names)
    name, failing = type(module).__name__, layers[-1]
    shapes = {each.name: each.shape for each in inputs}
    try:
        network = Network(
            name=name,
            inputs=tuple(inputs),
            layers=layers,
            outputs=(Output(name="logits", source=failing.name),),
        )
    except DesignError as refused:
        return refused
    got = network.input_shapes(failing)
    problem, fixes = _other_parameters(failing, got, tracer, misfit.step) or (misfit.text, ())
    if misfit.whole:
        return explain(name, layers, shapes, DesignError(misfit.text, failing.name))
    return explain(name, layers, shapes, failing.refuse(problem, fixes=fixes))


_CHANNELS: dict[type[Layer], str] = {
    BatchNorm: "num_features",
    GroupNorm: "num_channels",
    PReLU: "num_parameters",
}


def _other_parameters(
    layer: Layer, got: tuple[Shape, ...], tracer: Tracer, step: Step
) -> tuple[str, tuple[str, ...]] | None:
    """Say that a layer's parameters were made for another number of channels."""
    for parameter in layer.replace(shares=None).parameters(*got):
        there = step.owned.get(parameter.name)
        have = tuple(tracer.parameters[there].shape) if there in tracer.parameters else None
        if have is not None and have != parameter.shape and len(have) == 1:
            received = "x".join(map(str, got[0]))
            return (
                f"expects {have[0]} channels, received {got[0][0]} ({received})",
                (f"set {_CHANNELS.get(type(layer), 'its channels')} to {got[0][0]}",),
            )
    return None


def renamed(layers: Sequence[Layer], names: dict[str, str]) -> tuple[Layer, ...]:
    """Return records under their names on paper."""
    return tuple(
        layer.replace(
            name=names[layer.name],
            inputs=tuple(names.get(each, each) for each in layer.inputs),
            shares=names[layer.shares] if layer.shares else None,
        )
        for layer in layers
    )
