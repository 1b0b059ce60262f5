"""Drawing initial values: each parameter from its own stream, addressed by (seed, name).

So a parameter starts the same whatever else is in the network, and torch's global generator is
never touched.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from striate import design
from striate.design import Init, Parameter
from striate.design.init import Bilinear, UnitBall
from striate.errors import DesignError
from striate.randomness import stream


@torch.no_grad()
def initialise(tensor: Tensor, parameter: Parameter, seed: int) -> None:
    """Fill a parameter with its initial values, in place."""
    address = stream(seed, "initialise").seed(parameter.name)
    fill(parameter.init, tensor, parameter, torch.Generator().manual_seed(address))


@singledispatch
def fill(init: Init, tensor: Tensor, parameter: Parameter, generator: torch.Generator) -> None:
    """Fill a tensor as an initialisation says."""
    raise DesignError(f"{parameter.name}: no values for the initialisation {init}.")


@fill.register
def _(
    init: design.Constant, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    tensor.fill_(init.value)


@fill.register
def _(
    init: design.Normal, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    tensor.normal_(0.0, init.std, generator=generator)


@fill.register
def _(
    init: design.Uniform, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    tensor.uniform_(-init.bound, init.bound, generator=generator)


@fill.register
def _(
    init: design.FanInUniform, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    bound = init.gain * parameter.fan_in**-0.5
    tensor.uniform_(-bound, bound, generator=generator)


@fill.register
def _(
    init: design.InverseFanIn, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    bound = init.gain / parameter.fan_in
    tensor.uniform_(-bound, bound, generator=generator)


@fill.register
def _(init: design.He, tensor: Tensor, parameter: Parameter, generator: torch.Generator) -> None:
    fan = parameter.fan_in if init.fan == "in" else parameter.fan_out
    tensor.normal_(0.0, (2.0 / fan) ** 0.5, generator=generator)


@fill.register
def _(init: design.Codes, tensor: Tensor, parameter: Parameter, generator: torch.Generator) -> None:
    tensor.random_(0, 2, generator=generator).mul_(2).sub_(1)
    for row, word in zip(tensor, init.words, strict=False):
        row.copy_(row.new_tensor([1.0 if sign == "#" else -1.0 for sign in word]))


@fill.register
def _(
    init: design.Fading, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    axes = [_numbered(size, tensor) - (size - 1) / 2 for size in tensor.shape[2:]]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt()
    weights = init.ratio**distance
    tensor.copy_(weights * (init.total / weights.sum()))


@fill.register
def _(
    init: design.Xavier, tensor: Tensor, parameter: Parameter, generator: torch.Generator
) -> None:
    std = (2.0 / (parameter.fan_in + parameter.fan_out)) ** 0.5
    if init.uniform:
        tensor.uniform_(-(3**0.5) * std, 3**0.5 * std, generator=generator)
    else:
        tensor.normal_(0.0, std, generator=generator)


@fill.register
def _(init: UnitBall, tensor: Tensor, parameter: Parameter, generator: torch.Generator) -> None:
    rows = tensor.uniform_(0.0, 1.0, generator=generator).flatten(1)
    tensor.copy_((rows / rows.sum(1, keepdim=True)).view(tensor.shape))


@fill.register
def _(init: Bilinear, tensor: Tensor, parameter: Parameter, generator: torch.Generator) -> None:
    sides = []
    for size in tensor.shape[2:]:
        half = -(-size // 2)
        centre = (2 * half - 1 - half % 2) / (2 * half)
        sides.append(1 - (_numbered(size, tensor) / half - centre).abs())
    window = tensor.new_ones(())
    for side in sides:
        window = window[..., None] * side
    tensor.copy_(window.expand(tensor.shape))


def _numbered(size: int, like: Tensor) -> Tensor:
    """Return 0, 1, ... in a tensor's own precision, whatever torch's default is."""
    return torch.arange(size, dtype=like.dtype, device=like.device)
