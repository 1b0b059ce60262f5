"""Convolutions to test with: drawn problems, their tensors, and the oracle's answers."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from striate.ops import ALGORITHMS, Problem, conv2d

Tensors = tuple[Tensor, Tensor, Tensor, Tensor]


@st.composite
def problems(draw: st.DrawFn, *, general: bool) -> Problem:
    """Draw a problem: any at all, or stride 1 without dilation and groups."""
    small = st.integers(0, 3)
    groups = draw(st.sampled_from([1, 1, 2, 3])) if general else 1
    kernel = draw(
        st.tuples(st.integers(1, 5), st.integers(1, 5))
        if general
        else st.sampled_from([(3, 3), (3, 3), (1, 3), (3, 1), (5, 5), (5, 3), (1, 5), (7, 1)])
    )
    one = Problem(
        batch=draw(st.integers(0, 3)),
        channels=groups * draw(st.integers(1, 4 if general else 40)),
        features=groups * draw(st.integers(1, 4 if general else 80)),
        size=(draw(st.integers(1, 13)), draw(st.integers(1, 13))),
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))) if general else (1, 1),
        padding=(
            (draw(small), draw(small)),
            (draw(small), draw(small)),
        ),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))) if general else (1, 1),
        groups=groups,
    )
    short = [max(reach - padded, 0) for reach, padded in zip(one.reach, one.padded, strict=True)]
    return one.replace(size=(one.size[0] + short[0], one.size[1] + short[1]))


def tensors(task: Problem, seed: int, layout: str = "contiguous") -> Tensors:
    """Return x, weight, bias and the output's gradient, in one of the layouts of `LAYOUTS`."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    x = normal(task.batch, task.channels, *task.size)
    weight = normal(task.features, task.channels // task.groups, *task.kernel)
    return (
        LAYOUTS[layout](x),
        LAYOUTS[layout](weight),
        normal(task.features),
        LAYOUTS[layout](normal(*task.output)),
    )


def sliced(x: Tensor) -> Tensor:
    """Return the same values as every second channel of a larger tensor, rows reversed twice."""
    wider = torch.zeros(x.shape[0], 2 * x.shape[1], x.shape[2] + 1, x.shape[3] + 2)
    wider[:, ::2, 1:, 1:-1] = x
    return wider[:, ::2, 1:, 1:-1]


def channel_slice(x: Tensor) -> Tensor:
    """Return the same values as some channels of a larger tensor in channels-last order."""
    wider = torch.zeros(x.shape[0], x.shape[1] + 3, *x.shape[2:])
    wider = wider.contiguous(memory_format=torch.channels_last)
    wider[:, 2:-1] = x
    return wider[:, 2:-1]


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "sliced": sliced,
    "channel_slice": channel_slice,
}


def answers(task: Problem, given: Tensors, algorithm: str, dtype: torch.dtype) -> list[Tensor]:
    """Return output and gradients by x, weight and bias."""
    x, weight, bias = (each.to(dtype).requires_grad_() for each in given[:3])
    arguments = (task.stride, task.padding, task.dilation, task.groups, algorithm)
    y = conv2d(x, weight, bias, *arguments)
    gradients = torch.autograd.grad(y, [x, weight, bias], given[3].to(dtype))
    return [y.detach(), *gradients]


def terms(task: Problem) -> list[float]:
    """Return how many products each number of `answers` sums, on average."""
    products = task.macs
    sizes = [
        task.batch * task.features * task.out_size[0] * task.out_size[1],
        task.batch * task.channels * task.size[0] * task.size[1],
        task.features * task.channels // task.groups * task.kernel[0] * task.kernel[1],
        task.features,
    ]
    outputs = sizes[0]
    return [max(products / max(size, 1), 1.0) for size in sizes[:3]] + [
        max(outputs / task.features, 1.0)
    ]


def supporting(task: Problem) -> list[str]:
    """Return the algorithms that can compute a problem, the oracle apart."""
    return [
        name for name, each in ALGORITHMS.items() if name != "reference" and each.supports(task)
    ]
