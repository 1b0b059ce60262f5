"""Every kind of layer: its module gives the shape and has the parameters that paper says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from striate import design
from striate.design import DesignError, Input, Layer, Network, Output
from striate.layers import build
from striate.records import kinds

SHAPE = (4, 9, 8)
Oracle = Callable[..., Tensor]

# kind: (fields of an example, what it computes); parameters come as torch's functions take them.
EXAMPLES: dict[str, tuple[dict[str, object], Oracle | None]] = {
    "conv": (
        {
            "features": 6,
            "kernel": (3, 2),
            "stride": (2, 1),
            "padding": ((1, 1), (0, 0)),
            "dilation": (1, 2),
            "groups": 2,
        },
        lambda x, w, b: functional.conv2d(x, w, b, (2, 1), (1, 0), (1, 2), 2),
    ),
    "conv_transpose": (
        {
            "features": 6,
            "kernel": (3, 2),
            "stride": (2, 3),
            "padding": ((1, 1), (0, 0)),
            "extra": (1, 0),
            "dilation": (1, 2),
            "groups": 2,
        },
        lambda x, w, b: functional.conv_transpose2d(x, w, b, (2, 3), (1, 0), (1, 0), 2, (1, 2)),
    ),
    "linear": ({"features": 7}, functional.linear),
    "relu": ({}, functional.relu),
    "relu6": ({}, functional.relu6),
    "leaky_relu": ({"slope": 0.2}, lambda x: functional.leaky_relu(x, 0.2)),
    "tanh": ({"outer": 1.7159, "inner": 2 / 3}, lambda x: 1.7159 * torch.tanh(2 / 3 * x)),
    "sigmoid": ({}, torch.sigmoid),
    "gelu": ({}, functional.gelu),
    "silu": ({}, functional.silu),
    "softmax": ({}, lambda x: torch.softmax(x, 1)),
    "dropout": ({"p": 0.3}, lambda x: x),
    "noise": ({"form": "plain", "amount": 0.3}, lambda x: 0.7 * x),
    "batch_norm": ({}, None),
    "affine": ({}, lambda x, w, b: x * w[:, None, None] + b[:, None, None]),
    "lrn": ({"size": 3}, lambda x: functional.local_response_norm(x, 3, 1e-4, 0.75, 1.0)),
    "max_pool": (
        {"kernel": (3, 2), "stride": (2, 2), "padding": ((1, 1), (0, 0)), "ceil": True},
        lambda x: functional.max_pool2d(x, (3, 2), (2, 2), (1, 0), ceil_mode=True),
    ),
    "avg_pool": (
        {
            "kernel": (3, 3),
            "stride": (1, 1),
            "padding": ((1, 1), (1, 1)),
            "count_padding": False,
        },
        lambda x: functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    ),
    "adaptive_avg_pool": ({"size": (2, 3)}, lambda x: functional.adaptive_avg_pool2d(x, (2, 3))),
    "adaptive_max_pool": ({"size": (2, 3)}, lambda x: functional.adaptive_max_pool2d(x, (2, 3))),
    "flatten": ({}, lambda x: x.flatten(1)),
    "identity": ({}, lambda x: x),
    "pad": (
        {"padding": ((1, 2), (0, 3)), "mode": "reflect"},
        lambda x: functional.pad(x, (0, 3, 1, 2), "reflect"),
    ),
    "add": ({}, lambda x, y: x + y),
    "concat": ({}, lambda x, y: torch.cat([x, y], 1)),
    "shortcut": (
        {"features": 7, "stride": (2, 2)},
        lambda x: functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)),
    ),
    "elementwise": ({"function": "hardswish"}, functional.hardswish),
    "prelu": ({"each": True}, functional.prelu),
    "log_softmax": ({}, lambda x: torch.log_softmax(x, 1)),
    "channel_dropout": ({"p": 0.3}, lambda x: x),
    "multiply": ({}, lambda x, y: x * y),
    "combine": ({"operation": "divide", "shape": (4, 1, 1)}, lambda x, w: x / w),
    "group_norm": (
        {"groups": 2, "eps": 1e-3},
        lambda x, w, b: functional.group_norm(x, 2, w, b, 1e-3),
    ),
    "layer_norm": (
        {"axes": 2, "bias": False},
        lambda x, w: functional.layer_norm(x, (9, 8), w, None),
    ),
    "reshape": ({"shape": (2, 2, 9, 8), "kept": 2}, lambda x: x.view(-1, 2, 2, 9, 8)),
    "permute": ({"order": (1, 2, 0)}, lambda x: x.permute(0, 2, 3, 1)),
    "slice": ({"ranges": ((1, 3, 1), (0, None, 2))}, lambda x: x[:, 1:3, ::2]),
    "resize": (
        {"scale": (2.0, 1.5), "mode": "linear"},
        lambda x: functional.interpolate(x, scale_factor=(2.0, 1.5), mode="bilinear"),
    ),
    "reduce": ({"function": "max", "axes": (0,)}, lambda x: x.amax(1, True)),
    "linear_last": ({"features": 5}, functional.linear),
    "local": (
        {"features": 2, "kernel": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 0))},
        None,
    ),
    "subsample": (
        {"kernel": (2, 3), "stride": (2, 2), "padding": ((0, 0), (1, 1))},
        lambda x, w, b: (
            functional.avg_pool2d(x, (2, 3), 2, (0, 1), divisor_override=1) * w[:, None, None]
            + b[:, None, None]
        ),
    ),
    "rbf": ({"features": 3, "fixed": False}, lambda x, w: torch.cdist(x, w).square()),
    "s_cells": (
        {"features": 3, "kernel": (3, 3), "stride": (1, 2), "padding": ((1, 1), (0, 1))},
        None,
    ),
    "c_cells": ({"kernel": (3, 2), "stride": (1, 1), "padding": ((0, 0), (0, 1))}, None),
    "opaque": ({"op": "somebody.Attention", "shape": (3,)}, None),
}


def network(kind: str) -> Network:
    record = kinds(Layer)[kind]
    fields, _ = EXAMPLES[kind]
    joins = record.arity is None
    shape = (5,) if kind in ("linear", "rbf") else SHAPE
    names = ("x", "y") if joins else ("x",)
    layer = record(name="layer", inputs=names, **fields)
    return Network(
        name=kind,
        inputs=tuple(Input(name=name, shape=shape) for name in names),
        layers=(layer,),
        outputs=(Output(name="out", source="layer"),),
    )


def test_every_kind_has_an_example() -> None:
    assert EXAMPLES.keys() == kinds(Layer).keys()


@pytest.mark.parametrize("kind", sorted(EXAMPLES.keys() - {"opaque"}))
def test_module_agrees_with_paper(kind: str) -> None:
    paper = network(kind)
    net = build(paper, seed=3).eval()
    generator = torch.Generator().manual_seed(1)
    values = [torch.randn(2, *each.shape, generator=generator) for each in paper.inputs]
    y = net(*values)
    assert y.shape[1:] == paper.shapes()["layer"]
    assert [(name, tuple(each.shape)) for name, each in net.named_parameters()] == [
        (parameter.name, parameter.shape) for parameter in paper.parameters()
    ]
    buffers = paper.layers[0].buffers(*(each.shape for each in paper.inputs))
    assert buffers == sum(each.numel() for each in net.buffers())
    oracle = EXAMPLES[kind][1]
    if oracle is not None:
        torch.testing.assert_close(y, oracle(*values, *net.parameters()))


def test_no_module_writes_into_its_input() -> None:
    for kind in sorted(EXAMPLES.keys() - {"opaque"}):
        paper = network(kind)
        net = build(paper, seed=3).train()
        values = [torch.randn(2, *each.shape) for each in paper.inputs]
        before = [value.clone() for value in values]
        net(*values)
        assert all(map(torch.equal, values, before)), kind


def test_opaque_counts_but_cannot_be_built() -> None:
    layer = design.Opaque(
        name="a", inputs=("x",), op="attention", shape=(3,), shapes=(("w", (4, 3)),), cost=12
    )
    paper = network("opaque").replace(layers=(layer,), outputs=(Output(name="out", source="a"),))
    assert (paper.parameter_count(), paper.macs()) == (12, 12)
    with pytest.raises(DesignError, match="a: a layer of kind opaque can be counted, but not"):
        build(paper)


def test_one_and_three_axes() -> None:
    for shape in ((3, 20), (3, 8, 9, 10)):
        net = design.Sketch("axes", shape)
        net.conv("conv", 4, 3, padding=1)
        net.batch_norm("bn")
        net.max_pool("pool", 2)
        net.avg_pool("mean", 2)
        net.adaptive_avg_pool("average")
        net.flatten()
        net.linear("fc", 2)
        built = build(net.finish())
        assert built(torch.zeros(2, *shape)).shape == (2, 2)
