"""From a net, or anybody's module, to a fused one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from striate.engine import fast
from striate.engine.choice import DEFAULT
from striate.engine.kernel import Kernel
from striate.engine.lower import kernel
from striate.engine.memory import keep_freed_memory
from striate.engine.node import Node, graph
from striate.engine.planning import Plan
from striate.engine.planning import plan as measured
from striate.engine.program import Program
from striate.engine.simplify import simplify
from striate.errors import UsageError
from striate.layers import Net, build, describe

Example = Tensor | Sequence[int] | None
Choice = Literal["measure", "default"] | Plan | Mapping[str, str]


def accelerate(module: nn.Module, example: Example = None, *, plan: Choice = "measure") -> Program:
    """Return a module that gives the same answers in evaluation, faster.

    Batch-norm goes into the weights, activations and additions into the convolutions before them,
    what evaluation does without goes away; images are in channels-last order throughout, weights in
    the order that oneDNN likes best. The weights are copied or shared as they are now: train the
    module afterwards, and accelerate it again.

    Args:
        module: a Net, or any module that `striate.describe` can describe.
        example: a batch of images, or the shape of one without batch; memory is laid out for that
            many images, any other number works. A Net knows its own shape.
        plan: how convolutions are computed on a CPU: `measure` times what there is for each and
            keeps the result for this machine (some seconds at first, nothing later), `default`
            leaves all to torch; or a plan, or algorithms by the layers' names.

    Returns:
        The program, an nn.Module.

    Raises:
        DesignError: a part of the module cannot be described, or built.
        WeightsError: a Net whose modules are no longer those of its record.
        UsageError: no example for a module that is no Net, or one that does not fit.

    Example:
        >>> from striate import zoo
        >>> net = build(zoo.network("lenet", classes=10)).eval()
        >>> images = torch.rand(2, 1, 28, 28)
        >>> fast = accelerate(net, images, plan="default")
        >>> bool(torch.allclose(fast(images), net(images), atol=1e-6))
        True
    """
    net = _net(module, example)
    batch = len(example) if isinstance(example, Tensor) and example.dim() else 1
    chosen = _algorithms(net, batch, plan)
    like = next((each for each in net.parameters() if each.is_floating_point()), torch.empty(0))

    def algorithm(node: Node) -> str:
        return next((chosen[name] for name in node.layers if name in chosen), DEFAULT)

    def make(node: Node) -> Kernel:
        return kernel(node.record, node, batch, algorithm(node))

    with torch.no_grad():
        nodes = simplify(graph(net), lambda node: fast.pools(node, algorithm(node)))
        program = Program(nodes, make, like, chosen)
    keep_freed_memory()  # from here on: what making it took goes back to the system
    return program


def _net(module: nn.Module, example: Example) -> Net:
    shape = tuple(example.shape[1:]) if isinstance(example, Tensor) else example
    if not isinstance(module, Net):
        if example is None or shape is None:
            raise UsageError(
                "Expected an example, as a batch of images or the shape of one, to accelerate a "
                f"{type(module).__name__} with; received none."
            )
        return build(describe(module, example), parameters=module)
    if shape is None or tuple(shape) == module.network.input_shape:
        return module
    return build(module.network.with_input(tuple(shape)), parameters=module)


def _algorithms(net: Net, batch: int, plan: Choice) -> dict[str, str]:
    if isinstance(plan, Plan):
        return plan.algorithms
    if isinstance(plan, Mapping):
        return dict(plan)
    if plan == "default" or any(each.device.type != "cpu" for each in net.parameters()):
        return {}
    if plan != "measure":
        raise UsageError(f"Expected a plan, 'measure' or 'default', received plan={plan!r}.")
    return measured(net.network, batch=max(batch, 1)).algorithms
