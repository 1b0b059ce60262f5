"""`describe`: any nn.Module that somebody wrote, as a network on paper.

It replaces hooks on modules, which see no functional call and no join, and tracing by symbols,
which a branch on a shape breaks. Nothing is computed: no data, no GPU, no memory for weights. What
is given up: a part that looks at values becomes one opaque layer, counted but not built.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from striate.design import DesignError, Input, Network, Output, Shape
from striate.design.names import MODULE_ATTRIBUTES
from striate.errors import UsageError
from striate.layers.describe.follow import follow, renamed
from striate.layers.describe.merging import Merged, Traced, merge
from striate.layers.describe.naming import names_of
from striate.layers.describe.proof import prove as prove_
from striate.layers.describe.realised import Realised
from striate.layers.describe.recorder import Value
from striate.layers.describe.steps import Step
from striate.layers.opaque import Part, Read, Returned

One = Sequence[int] | Tensor  # a shape without batch, or an example with one
Shapes = One | Sequence[One] | Mapping[str, One]


def describe(
    module: nn.Module, input: Shapes = (3, 224, 224), *, name: str = "", prove: bool = False
) -> Network:
    """Describe a module; its parameters keep their names, and it stays as it was.

    Both modes are followed: what training returns beside evaluation becomes outputs for training
    only. A call that no record fits, or a part that looks at values, becomes an Opaque layer whose
    note says why. `layers.build(network, parameters=module)` computes the same with the module's
    own tensors; `network.renamed` says which of them are called otherwise on paper.

    Args:
        module: any nn.Module; on any device, also meta.
        input: the shape of an image without batch, or a batch of images (batch, ...) as an
            example; several, or by argument, where it takes more.
        name: of the network; the name of its class unless given.
        prove: also build it and compare it with the module on random images, which does take
            memory and time; see `layers.prove`.

    Returns:
        The network.

    Raises:
        DesignError: the module's forward fails on this input, with the table up to the layer at
            fault; or, with `prove`, the two differ.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
        >>> network = describe(net, (3, 8, 8))
        >>> [layer.name for layer in network.layers], network.parameter_count(), network.macs()
        (['0', '1', '2', '3'], 3114, 10656)
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"Expected an nn.Module, received {type(module).__name__}.")
    module = _bare(module)
    title = name or type(module).__name__
    inputs = _inputs(module, input)
    module_ = _materialised(module, inputs)
    evaluation = follow(module_, inputs, train=False)
    training, reason = _training(module_, inputs)
    network, _ = _network(title, inputs, merge(evaluation, training), module_, reason)
    if prove:
        prove_(network, module)
    return network


class Evaluation(NamedTuple):
    """A module as it computes in evaluation.

    Args:
        network: on paper.
        parts: what computes its opaque layers, by name.
        values: names on paper of what the module returns.
        returned: how, of these.
        asked: whether the module asked for the number of images, so that what was seen with one
            number may not hold for others.
    """

    network: Network
    parts: dict[str, Part]
    values: tuple[str, ...]
    returned: Returned
    asked: bool


def evaluation(module: nn.Module, input: Shapes) -> Evaluation:
    """Describe a module in evaluation, with the calls of torch that no record fits.

    Those have copies of the module's tensors; `layers.build(network, parameters=module,
    parts=parts)` computes the same.

    Args:
        module: any nn.Module.
        input: as `describe` takes it.

    Raises:
        DesignError: the module's forward fails on this input, or looks at values outside of all
            submodules.
    """
    module = _bare(module)
    inputs = _inputs(module, input)
    followed = follow(module, inputs, train=False, recorded=True)
    recorder = followed.recorder
    if recorder is None:
        raise TypeError("nothing was recorded")
    merged = Merged(followed.steps, followed.outputs)
    network, names = _network(type(module).__name__, inputs, merged, module, "")
    ours = {step.layer.name: step.layer.inputs for step in _needed(merged)}
    made = Realised(module).described(recorder, ours)
    values, leaves = list[str](), list[Any]()
    for leaf in made.returned.leaves:
        if isinstance(leaf, Value):
            name = names.get(leaf.name, leaf.name)
            values += [] if name in values else [name]
            leaf = Read(values.index(name), leaf.shape, leaf.dtype)
        leaves.append(leaf)
    parts = {names[name]: part for name, part in made.parts.items()}
    returned = Returned(made.returned.form, tuple(leaves))
    return Evaluation(network, parts, tuple(values), returned, recorder.asked)


def _training(module: nn.Module, inputs: Sequence[Input]) -> tuple[Traced | None, str]:
    try:
        return follow(module, inputs, train=True), "it computes otherwise"
    except DesignError as error:
        return None, str(error)


def _bare(module: nn.Module) -> nn.Module:
    """Return the module inside those that only run it otherwise."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := dict(module.named_children()).get("_orig_mod"), nn.Module):
            module = inner  # torch.compile's
        else:
            return module


def _inputs(module: nn.Module, given: Shapes) -> tuple[Input, ...]:
    """Return the inputs by the names of forward's arguments."""
    arguments = _arguments(module)
    shapes = _shapes(given, arguments)
    taken = {path.split(".")[0] for path, _ in module.named_modules()}
    names: list[str] = []
    for index in range(len(shapes)):
        name = arguments[index] if index < len(arguments) else f"x{index}"
        unusable = name in taken or name in MODULE_ATTRIBUTES or name.startswith("_")
        names.append(f"input{index or ''}" if unusable else name)
    return tuple(Input(name=name, shape=shape) for name, shape in zip(names, shapes, strict=True))


def _arguments(module: nn.Module) -> list[str]:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:  # a scripted forward has none
        return []
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in parameters if each.kind in places]


def _shapes(given: Shapes, arguments: Sequence[str]) -> list[Shape]:
    """Return the shapes in the order of the arguments."""
    if isinstance(given, Mapping):
        if list(given) != list(arguments[: len(given)]):
            raise UsageError(
                f"Expected shapes for the arguments {', '.join(arguments)} in this order, "
                f"received {', '.join(given)}."
            )
        return [_shape(each) for each in given.values()]
    if isinstance(given, Tensor) or all(isinstance(each, int) for each in given):
        return [_shape(cast(One, given))]
    return [_shape(each) for each in cast("Sequence[One]", given)]


def _shape(given: One) -> Shape:
    return tuple(given.shape[1:]) if isinstance(given, Tensor) else tuple(given)


def _materialised(module: nn.Module, inputs: Sequence[Input]) -> nn.Module:
    """Return the module, or a copy on the meta device whose lazy parameters have shapes."""
    lazy = (nn.UninitializedParameter, nn.UninitializedBuffer)
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    if not any(isinstance(each, lazy) for each in tensors):
        return module
    memo = {id(each): _stand_in(each) for each in tensors}  # nothing with values is copied
    copied = copy.deepcopy(module, memo)
    with torch.no_grad(), torch.device("meta"):
        copied(*(torch.empty(2, *each.shape) for each in inputs))
    return copied.train(module.training)


def _stand_in(tensor: Tensor) -> Tensor:
    """Return a tensor like it on the meta device, without shape where it has none."""
    if isinstance(tensor, nn.UninitializedParameter):
        return nn.UninitializedParameter(tensor.requires_grad, device="meta")  # type: ignore[call-arg, arg-type]
    if isinstance(tensor, nn.UninitializedBuffer):
        return nn.UninitializedBuffer(device="meta")  # type: ignore[call-arg]
    meta = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return nn.Parameter(meta, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else meta


def _network(
    title: str, inputs: tuple[Input, ...], merged: Merged, module: nn.Module, reason: str
) -> tuple[Network, dict[str, str]]:
    """Return the network, and the name in it of each value."""
    steps = _needed(merged)
    names = names_of(steps, [each.name for each in inputs])
    layers = list(renamed([step.layer for step in steps], names))
    outputs = [
        Output(name=name, source=names.get(value, value)) for name, value in merged.outputs
    ] + [
        Output(name=name, source=names.get(value, value), train_only=True)
        for name, value in _otherwise_named(merged)
    ]
    notes = [layers[-1].note] if layers[-1].note else []
    if merged.apart:
        notes.append(f"what training does is not described: {reason}".rstrip("."))
    if unused := _unused(steps, module):
        notes.append(f"parameters that nothing reads: {', '.join(unused)}")
    layers[-1] = layers[-1].replace(note="; ".join(notes))
    network = Network(
        name=title,
        inputs=inputs,
        layers=tuple(layers),
        outputs=tuple(outputs),
        renamed=tuple(_renamed(steps, names)),
    )
    return network, names


def _needed(merged: Merged) -> list[Step]:
    """Return the steps that an output depends on."""
    wanted = {value for _, value in (*merged.outputs, *merged.train_only)}
    needed: list[Step] = []
    for step in reversed(merged.steps):
        if step.layer.name in wanted:
            needed.insert(0, step)
            wanted.update(step.layer.inputs)
            wanted.update(filter(None, [step.layer.shares]))
    return needed


def _otherwise_named(merged: Merged) -> list[tuple[str, str]]:
    """Return the outputs for training only under names that evaluation's do not have."""
    taken = {name for name, _ in merged.outputs}
    return [
        (name if name not in taken else f"{name}_in_training", value)
        for name, value in merged.train_only
    ]


def _unused(steps: Sequence[Step], module: nn.Module) -> list[str]:
    used = {name for step in steps for name in step.owned.values()}
    return [name for name, _ in module.named_parameters() if name not in used]


def _renamed(steps: Sequence[Step], names: dict[str, str]) -> list[tuple[str, str]]:
    """Return (name on paper, name in the module) of tensors whose names differ."""
    return [
        (ours, there)
        for step in steps
        for local, there in step.owned.items()
        if (ours := f"{names[step.layer.name]}.{local}") != there
    ]
