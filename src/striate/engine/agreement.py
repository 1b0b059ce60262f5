"""A program compared with the module it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from striate.engine.program import Program
from striate.errors import DesignError
from striate.layers.describe.found import left_as_found

_IMAGES = (3, 2)  # at a time: what follows the number of images is found out by two
_TOLERANCE = 1e-3  # of the largest value: Winograd's rounding, through many layers


def agree(program: Program, module: nn.Module, examples: Sequence[Tensor | None]) -> None:
    """Refuse a program that computes something else than its module.

    Args:
        program: made of the module.
        module: in evaluation; left as it is.
        examples: of each input; normal numbers are drawn where there is none.

    Raises:
        DesignError: they differ; says where.
    """
    with left_as_found(module):
        module.eval()
        for images in _IMAGES:
            _compare(program, module, _inputs(program, examples, images), images)


def _inputs(program: Program, examples: Sequence[Tensor | None], images: int) -> list[Tensor]:
    """Return so many images for each input, in the program's precision."""
    generator = torch.Generator("cpu").manual_seed(images)
    like = program.like
    inputs = []
    for index, wanted in enumerate(program.network.inputs):
        example = examples[index] if index < len(examples) else None
        if example is not None and len(example) and example.device.type != "meta":
            again = [row % len(example) for row in range(images)]
            inputs.append(example[again].to(like))
        else:
            shape = (images, *wanted.shape)
            drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
            inputs.append(drawn.to(like))
    return inputs


def _compare(program: Program, module: nn.Module, inputs: list[Tensor], images: int) -> None:
    name = program.network.name
    with torch.no_grad():
        wanted, spec = tree_flatten(_seeded(module, inputs, 0))
        try:
            given, ours = tree_flatten(_seeded(program, inputs, 0))
        except Exception as error:
            raise _differs(name, images, str(error).strip().split("\n")[0]) from error
    if ours != spec:
        raise _differs(name, images, "the structure that is returned is another")
    for index, (theirs, mine) in enumerate(zip(wanted, given, strict=True), start=1):
        if not isinstance(theirs, Tensor):
            continue
        if theirs.shape != mine.shape or theirs.dtype != mine.dtype:
            raise _differs(
                name,
                images,
                f"expected {theirs.dtype} of shape {tuple(theirs.shape)} as output {index}, "
                f"received {mine.dtype} of shape {tuple(mine.shape)}",
            )
        apart = _apart(theirs, mine)
        if not apart <= _TOLERANCE and not _by_chance(module, inputs, wanted):
            raise _differs(name, images, f"output {index} is {apart:.2g} of its largest value off")


def _seeded(module: nn.Module, inputs: list[Tensor], seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return module(*(each.clone() for each in inputs))


@torch.no_grad()
def _by_chance(module: nn.Module, inputs: list[Tensor], wanted: list[Any]) -> bool:
    """Tell whether a module's answers are drawn, so that two need not be alike."""
    again, _ = tree_flatten(_seeded(module, inputs, 1))
    return not all(map(_same, wanted, again))


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return True
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())


def _apart(theirs: Tensor, mine: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    if not theirs.numel():
        return 0.0
    exact, near = (each.detach().double().nan_to_num() for each in (theirs, mine))
    return float((exact - near).abs().max() / exact.abs().max().clamp(min=1e-6))


def _differs(name: str, images: int, what: str) -> DesignError:
    return DesignError(
        f"{name} cannot be accelerated as a whole: with {images} images {what.rstrip('.')}. What "
        "is done for each image in a loop, or with values, belongs in a submodule of its own, "
        "which then runs as it is; or accelerate the submodules."
    )
