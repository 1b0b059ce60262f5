"""Feature visualisation: a picture made to excite a unit, a class or a direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn import functional

from striate import design, progress
from striate.contract import Contract
from striate.design import Layer
from striate.errors import UsageError
from striate.explain.attribution import Floats, to_array
from striate.explain.painting import Fourier, Painting, Simonyan, Yosinski, shaken
from striate.explain.unit import Unit
from striate.explain.walk import Rule, looking, walk
from striate.inference import PixelNet
from striate.layers import Net
from striate.randomness import stream

Style = Literal["fourier", "simonyan", "yosinski"]
STYLES: tuple[Style, ...] = get_args(Style)

_TOGETHER = 1 << 17  # pixels of pictures made at once: what a step keeps of them takes the memory


class Goal(Protocol):
    """What a picture is to excite; a `Unit` is one."""

    @property
    def layer(self) -> str:
        """The value it is read at."""

    def read(self, values: Tensor) -> Tensor:
        """Return the goal's answers, (batch,), from its layer's values, (batch, channels, ...)."""


@dataclass(frozen=True)
class Direction:
    """A direction in a layer's channels: how far along, times how straight.

    answer = dot(v, d) max(0.1, cosine(v, d))^straight, v the mean over places

    Args:
        layer: its name.
        vector: (channels,).
        straight: the power of the cosine.

    Source: Olah et al., "The building blocks of interpretability", Distill 2018.
    """

    layer: str
    vector: tuple[float, ...]
    straight: float = 2.0

    def read(self, values: Tensor) -> Tensor:
        """Return the answers, (batch,)."""
        mean = values.flatten(2).mean(2) if values.dim() > 2 else values
        direction: Tensor = torch.tensor(self.vector).to(mean)
        dot = mean @ (direction / direction.norm())
        cosine = dot / mean.norm(dim=1).clamp_min(1e-9)
        found: Tensor = dot * cosine.clamp_min(0.1).pow(self.straight)
        return found


@dataclass(frozen=True)
class Visualisation:
    """Pictures made to excite a goal.

    Args:
        goal: what, in words.
        style: how they were kept pictures.
        pixels: (pictures, channels, height, width), 0 to 1, rounded to 8 bits.
        answers: the goal's, to each picture as it is given here.
        start: the answer that the same start has before any step.
        probabilities: of the class, where the goal is an output of the network.
    """

    goal: str
    style: str
    pixels: Floats
    answers: tuple[float, ...]
    start: float
    probabilities: tuple[float, ...] | None = None


def class_goal(net: Net, target: int) -> Unit:
    """Return the goal that is a class: its output."""
    return Unit(layer=net.network.outputs[0].source, channel=target)


def visualise(
    net: Net,
    contract: Contract,
    goal: Goal,
    *,
    style: Style = "fourier",
    steps: int = 256,
    count: int = 1,
    diversity: float = 0.0,
    seed: int = 0,
) -> Visualisation:
    """Optimise pictures so that they excite a goal, shaken a little at every step.

    Args:
        net: the net.
        contract: what its inputs are.
        goal: a `Unit` (a channel where it has no place), `class_goal`, or a `Direction`.
        style: `fourier`, `simonyan` or `yosinski` (see `painting`).
        steps: of Adam.
        count: pictures made at once.
        diversity: weight of the mean cosine between the pictures' Gram matrices at the goal's
            layer, in units of the mean answer; makes them different from one another.
        seed: of the start and the shaking.

    Raises:
        UsageError: a style that is not known.
        DesignError: no such layer.
    """
    with looking(net):
        seen = PixelNet(net, contract)
        painting = _painting(style, seen, contract, count, seed)
        climbed = _climb(net, seen, painting, goal, style, steps, diversity, seed)
        return _made(net, seen, goal, style, *climbed)


def visualise_each(
    net: Net,
    contract: Contract,
    goals: Sequence[Goal],
    *,
    style: Style = "fourier",
    steps: int = 256,
    seed: int = 0,
) -> tuple[Visualisation, ...]:
    """Make a picture for each of some goals of one layer, several of them computed together.

    Up to rounding each is what `visualise` makes of its goal alone, in about half the time: a step
    reads the weights once for all of them.

    Args:
        net, contract, style, steps, seed: as of `visualise`.
        goals: all of one layer.

    Raises:
        UsageError: a style that is not known, or goals of several layers.
        DesignError: no such layer.
    """
    layers = sorted({goal.layer for goal in goals})
    if len(layers) > 1:
        raise UsageError(f"Expected goals of one layer, received {', '.join(layers)}.")
    together = max(1, _TOGETHER // math.prod(contract.size))
    found: list[Visualisation] = []
    with looking(net):
        seen = PixelNet(net, contract)
        for at in range(0, len(goals), together):
            some = goals[at : at + together]
            painting = _painting(style, seen, contract, 1, seed)
            painting.repeat(len(some))
            first, pixels, last = _climb(
                net, seen, painting, _Each(layers[0], some), style, steps, 0.0, seed
            )
            found += [
                _made(net, seen, goal, style, *(part[k : k + 1] for part in (first, pixels, last)))
                for k, goal in enumerate(some)
            ]
    return tuple(found)


@dataclass(frozen=True)
class _Each:
    """Goals of one layer, each read from a picture of its own."""

    layer: str
    goals: Sequence[Goal]

    def read(self, values: Tensor) -> Tensor:
        pairs = zip(self.goals, torch.split(values, 1), strict=True)
        return torch.cat([goal.read(one) for goal, one in pairs])


def _climb(
    net: Net,
    seen: PixelNet,
    painting: Painting,
    goal: Goal,
    style: Style,
    steps: int,
    diversity: float,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Optimise a painting; returns answers before, pictures of 8 bits, and answers to them."""
    optimiser = torch.optim.Adam([painting.parameters], lr=painting.rate)
    amount = 1.0 if style == "fourier" else 0.0
    first = _answers(seen, net, goal, painting.pixels().detach())
    for step in progress.track(range(steps), "making pictures", "steps", steps):
        optimiser.zero_grad()
        pixels = shaken(painting.pixels(), seed, step, amount)
        values = walk(net, seen.normalise(pixels), (goal.layer,), awake(goal))[goal.layer]
        answers = goal.read(values)
        loss = painting.penalty() - answers.sum()
        if diversity and len(answers) > 1:
            loss = loss + diversity * answers.detach().abs().mean() * alike(values)
        (slope,) = torch.autograd.grad(loss, painting.parameters)
        painting.parameters.grad = slope
        optimiser.step()
        painting.settle(step)
    pixels = (painting.pixels().detach().clamp(0, 1) * 255).round() / 255
    return first, pixels, _answers(seen, net, goal, pixels)


def _made(
    net: Net,
    seen: PixelNet,
    goal: Goal,
    style: Style,
    first: Tensor,
    pixels: Tensor,
    last: Tensor,
) -> Visualisation:
    return Visualisation(
        goal=str(goal) if isinstance(goal, Unit) else f"direction in {goal.layer}",
        style=style,
        pixels=to_array(pixels),
        answers=tuple(last.tolist()),
        start=float(first.mean()),
        probabilities=_probabilities(seen, net, goal, pixels),
    )


def awake(goal: Goal) -> Rule:
    """Return the rule that lets the goal's own ReLU leak, so that one at zero has a way up."""

    def rule(layer: Layer, x: Tensor) -> Tensor | None:
        if layer.name == goal.layer and isinstance(layer, design.ReLU | design.ReLU6):
            return functional.leaky_relu(x, 0.1)
        return None

    return rule


def alike(values: Tensor) -> Tensor:
    """Return the mean cosine between the Gram matrices of different pictures: a scalar."""
    flat = values.flatten(2) if values.dim() > 2 else values[..., None]
    gram = (flat @ flat.transpose(1, 2)).flatten(1)
    unit = gram / gram.norm(dim=1, keepdim=True).clamp_min(1e-9)
    count = len(values)
    cosines: Tensor = unit @ unit.T
    return (cosines.sum() - count) / (count * (count - 1))


def _painting(style: str, seen: PixelNet, contract: Contract, count: int, seed: int) -> Painting:
    shape = (count, *contract.shape)
    if style == "fourier":
        return Fourier(shape, seed, contract.channels == "bgr", seen.slope.device)
    kinds: dict[str, type[Simonyan]] = {"simonyan": Simonyan, "yosinski": Yosinski}
    if style not in kinds:
        raise UsageError(f"Expected fourier, simonyan or yosinski, received style={style!r}.")
    noise = stream(seed, "painting").normal("start", 0.0, 0.01, shape)  # at the mean itself a
    mean = seen.nothing.float().expand(shape)  # net without biases may have no gradient at all
    return kinds[style]((mean + torch.from_numpy(noise).to(mean)).clamp(0, 1))


@torch.no_grad()
def _answers(seen: PixelNet, net: Net, goal: Goal, pixels: Tensor) -> Tensor:
    return goal.read(walk(net, seen.normalise(pixels), (goal.layer,))[goal.layer])


@torch.no_grad()
def _probabilities(
    seen: PixelNet, net: Net, goal: Goal, pixels: Tensor
) -> tuple[float, ...] | None:
    if not isinstance(goal, Unit) or goal.layer != net.network.outputs[0].source:
        return None
    likely: Sequence[float] = seen(pixels).softmax(1)[:, goal.channel].tolist()
    return tuple(likely)
