"""From a net, or anybody's module, to a fused one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from striate.engine import fast
from striate.engine.agreement import agree
from striate.engine.choice import DEFAULT
from striate.engine.kernel import Kernel
from striate.engine.lower import kernel
from striate.engine.memory import keep_freed_memory
from striate.engine.node import Node, graph, in_float32, like
from striate.engine.parts import by_torch
from striate.engine.planning import Plan
from striate.engine.planning import plan as measured
from striate.engine.program import Program
from striate.engine.shared import Shared, copied
from striate.engine.simplify import simplify
from striate.engine.source import Origin, Source, restored
from striate.errors import UsageError
from striate.layers import Net, build
from striate.layers.describe import evaluation
from striate.layers.opaque import Read

One = Tensor | Sequence[int]
Example = One | Sequence[One] | None
Choice = Literal["measure", "default"] | Plan | Mapping[str, str]


def accelerate(module: nn.Module, example: Example = None, *, plan: Choice = "measure") -> Program:
    """Return a module that gives the same answers in evaluation, faster.

    Batch-norm goes into the weights, activations and additions into the convolutions before them,
    what evaluation does without goes away; images are in channels-last order throughout, weights in
    the order that oneDNN likes best. What no layer on paper describes is computed by torch, by the
    calls that the module makes, between ours. Such a program is compared with its module once, as
    is one whose module asks for the number of images.

    The weights are copied as they are now: accelerate a module again after training it. Linear
    layers of more than 4 million weights, which would take too much memory twice, are shared with
    the module; a call after those have changed is refused.

    Args:
        module: a Net, or any module whose forward shapes lead through; it may return any structure
            of tensors.
        example: a batch of images, or the shape of one without batch; several where the module
            takes more. Memory is laid out for that many images, any other number works. A Net
            knows its own shape.
        plan: how convolutions are computed on a CPU: `measure` times what there is for each and
            keeps the result for this machine (some seconds at first, nothing later), `default`
            leaves all to torch; or a plan, or algorithms by the layers' names.

    Returns:
        The program, an nn.Module.

    Raises:
        DesignError: the module looks at values, outside of all submodules; or what was made of it
            does not agree with it.
        WeightsError: a Net whose modules are no longer those of its record.
        UsageError: no example for a module that is no Net, or one that does not fit; a plan that
            the network cannot follow.

    Example:
        >>> from striate import zoo
        >>> net = build(zoo.network("lenet", classes=10)).eval()
        >>> images = torch.rand(2, 1, 28, 28)
        >>> fast = accelerate(net, images, plan="default")
        >>> bool(torch.allclose(fast(images), net(images), atol=1e-6))
        True
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"Expected an nn.Module to accelerate, received {type(module).__name__}; a function "
            "goes into the forward of one."
        )
    examples = _several(example)
    if isinstance(module, Program):
        return _again(module, examples)
    source, doubtful = _source(module, example)
    batch = next((len(each) for each in examples if isinstance(each, Tensor) and each.dim()), 1)
    chosen = _algorithms(source.net, batch, plan)
    made = program(source._replace(batch=batch, algorithms=chosen))
    if doubtful:
        agree(made, module, [each if isinstance(each, Tensor) else None for each in examples])
    return made


def program(source: Source) -> Program:
    """Return the program for a net.

    Args:
        source: the net, and how it is computed.
    """
    net, batch, chosen = source.net, source.batch, source.algorithms
    missed: set[str] = set()

    def algorithm(node: Node) -> str:
        return next((chosen[name] for name in node.layers if name in chosen), DEFAULT)

    tensors = (*net.parameters(), *net.buffers())
    owned = {each.untyped_storage().data_ptr() for each in tensors}
    shared: list[Shared] = []

    def make(node: Node) -> Kernel:
        if node.name in torchs:
            return torchs[node.name]
        by = algorithm(node)
        obeyed = fast.obeys(node, by)
        missed.update(name for name in node.layers if not obeyed or chosen.get(name) != by)
        return kernel(node.record, copied(node, owned, shared), batch, by)

    with torch.no_grad():
        made = graph(net, source.values or None)
        nodes = simplify(made, lambda node: fast.pools(node, algorithm(node)))
        torchs = by_torch(nodes)
        ready = Program(nodes, make, Origin(source, remade), like(net), shared)
        ready.algorithms = {name: by for name, by in chosen.items() if name not in missed}
    keep_freed_memory()  # from here on: what making it took goes back to the system
    return ready


def remade(*saved: Any) -> Program:
    """Return the program that was pickled, made anew for the machine that this is."""
    return program(restored(*saved))


def _again(program: Program, examples: Sequence[One]) -> Program:
    """Return a program that is one already, where it is for images of that size."""
    shapes = _shapes(examples)
    own = [each.shape for each in program.network.inputs]
    if shapes in ([], own):
        return program
    raise UsageError(
        f"{program.network.name} is accelerated already: expected an example of shape "
        f"{', '.join(map(str, own))}, received {', '.join(map(str, shapes))}. For images of "
        "another size accelerate the module that it was made from."
    )


def _source(module: nn.Module, example: Example) -> tuple[Source, bool]:
    """Return a net of the module's tensors, and what of it is returned; its plan is left open.

    Also whether it has to be compared with the module.
    """
    if isinstance(module, Net):
        return Source(_fitting(module, _several(example)), 1, {}), False
    if example is None:
        raise UsageError(
            "Expected an example, as a batch of images or the shape of one, to accelerate a "
            f"{type(module).__name__} with; received none."
        )
    if any(isinstance(each, nn.UninitializedParameter) for each in module.parameters()):
        raise UsageError(
            f"Expected a {type(module).__name__} whose parameters have values, received lazy ones: "
            "call it once on images."
        )
    found = evaluation(module, example)
    net = build(found.network, parameters=module, parts=found.parts)
    plain = found.returned.leaves == (Read(0),) and found.returned.form.spec.is_leaf()
    source = Source(net, 1, {}, found.values, None if plain else found.returned)
    return source, bool(found.parts) or found.asked


def _fitting(net: Net, examples: Sequence[One]) -> Net:
    """Return a net for images of the example's size."""
    shapes = _shapes(examples)
    if not shapes or shapes[0] == net.network.input_shape:
        return net
    return build(net.network.with_input(shapes[0]), parameters=net)


def _several(example: Example) -> list[One]:
    """Return the example of each input.

    Raises:
        UsageError: it is neither images nor a shape, nor several of these.
    """
    if example is None:
        return []
    if _one(example):
        return [cast(One, example)]
    given = isinstance(example, Sequence) and not isinstance(example, str)
    several = list(cast("Sequence[One]", example)) if given else []
    if several and all(map(_one, several)):
        return several
    raise UsageError(
        "Expected an example as a batch of images or the shape of one, such as (3, 224, 224), or "
        f"one of these for each input; received {example!r}."
    )


def _shapes(examples: Sequence[One]) -> list[tuple[int, ...]]:
    """Return the shape of one image of each example."""
    return [tuple(each.shape[1:] if isinstance(each, Tensor) else each) for each in examples]


def _one(example: object) -> bool:
    """Tell whether an example is a batch of images, or the shape of one."""
    if isinstance(example, Tensor):
        return example.dim() > 0
    if not isinstance(example, Sequence) or isinstance(example, str) or not example:
        return False
    return all(isinstance(each, int) and each > 0 for each in example)


def _algorithms(net: Net, batch: int, plan: Choice) -> dict[str, str]:
    if isinstance(plan, Plan | Mapping):
        chosen = plan.algorithms if isinstance(plan, Plan) else dict(plan)
        fast.check(net.network, chosen, "inference")
        return chosen
    if plan == "default" or not in_float32(net):
        return {}
    if plan != "measure":
        raise UsageError(f"Expected a plan, 'measure' or 'default', received plan={plan!r}.")
    return measured(net.network, batch=max(batch, 1)).algorithms
