"""A layer in a few words and its family: what tables, drawings and legends say of each kind."""

from __future__ import annotations

import pytest

from striate import design
from striate.design import Layer
from striate.design.caption import caption, family
from striate.records import kinds

WINDOW = {"kernel": (3, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
FILTERS = {**WINDOW, "features": 8}
ONES = {**FILTERS, "dilation": (1, 1)}
ALEXNET = {**ONES, "kernel": (11, 11), "features": 96, "stride": (4, 4)}
SAME = {"padding": ((1, 1), (1, 1))}


@pytest.mark.parametrize(
    ("kind", "fields", "said", "kin"),
    [
        ("conv", ALEXNET, "conv 11x11 96 /4", "conv"),
        ("conv", {**ONES, **SAME, "groups": 8}, "conv 3x3 8 pad 1 8 groups", "conv"),
        ("conv", {**ONES, "dilation": (1, 2)}, "conv 3x3 8 dilated 1x2", "conv"),
        ("conv", {**ONES, "padding": ((0, 0), (0, 1))}, "conv 3x3 8 pad 0x0+1", "conv"),
        ("conv", {**ONES, "connections": ((0,),) * 8}, "conv 3x3 8 by table", "conv"),
        (
            "conv_transpose",
            {**ONES, "stride": (2, 1), "extra": (0, 0)},
            "conv transposed 3x3 8 /2x1",
            "conv",
        ),
        (
            "conv",
            {
                "features": 4,
                "kernel": (3,),
                "stride": (2,),
                "padding": ((1, 1),),
                "dilation": (2,),
            },
            "conv 3 4 /2 pad 1 dilated 2",
            "conv",
        ),
        ("local", {**FILTERS, **SAME}, "local 3x3 8 pad 1", "conv"),
        ("s_cells", FILTERS, "s-cells 3x3 8", "conv"),
        ("c_cells", {**WINDOW, "stride": (2, 2)}, "c-cells 3x3 /2", "pool"),
        ("subsample", {**WINDOW, "stride": (2, 2)}, "subsample 3x3 /2", "pool"),
        ("max_pool", {**WINDOW, "stride": (2, 2)}, "max pool 3x3 /2", "pool"),
        ("avg_pool", {**WINDOW, **SAME}, "avg pool 3x3 pad 1", "pool"),
        ("adaptive_avg_pool", {"size": (1, 1)}, "global avg pool", "pool"),
        ("adaptive_avg_pool", {"size": (6, 6)}, "avg pool to 6x6", "pool"),
        ("adaptive_max_pool", {"size": (1, 1)}, "global max pool", "pool"),
        ("adaptive_max_pool", {"size": (1, 7)}, "max pool to 1x7", "pool"),
        ("resize", {"scale": (2.0, 2.0)}, "resize nearest 2x2", "pool"),
        ("resize", {"size": (9, 7), "mode": "cubic"}, "resize cubic to 9x7", "pool"),
        ("reduce", {"function": "mean", "axes": (1, 2)}, "mean over axes 1 2", "pool"),
        ("linear", {"features": 4096}, "fc 4096", "fc"),
        ("linear_last", {"features": 10}, "fc 10 at each place", "fc"),
        ("rbf", {"features": 10}, "distances to 10 fixed codes", "fc"),
        ("rbf", {"features": 10, "fixed": False}, "distances to 10 codes", "fc"),
        ("batch_norm", {}, "batch norm", "norm"),
        ("affine", {}, "affine", "norm"),
        ("lrn", {}, "response norm 5", "norm"),
        ("group_norm", {"groups": 32}, "group norm 32", "norm"),
        ("group_norm", {"groups": None}, "instance norm", "norm"),
        ("layer_norm", {}, "layer norm", "norm"),
        ("layer_norm", {"axes": 3}, "layer norm of 3 axes", "norm"),
        ("combine", {"operation": "add", "shape": (197, 768)}, "add own 197x768", "norm"),
        ("relu", {}, "relu", "activation"),
        ("leaky_relu", {}, "leaky relu 0.01", "activation"),
        ("prelu", {}, "prelu", "activation"),
        ("softmax", {}, "softmax", "activation"),
        ("log_softmax", {}, "log softmax", "activation"),
        (
            "elementwise",
            {"function": "log_sigmoid", "arguments": ()},
            "log sigmoid",
            "activation",
        ),
        ("elementwise", {"function": "between", "arguments": (0, 6)}, "between 0 6", "activation"),
        ("elementwise", {"function": "scale", "arguments": (2, 0)}, "2 x", "activation"),
        ("elementwise", {"function": "scale", "arguments": (0.5, -1)}, "0.5 x -1", "activation"),
        ("dropout", {}, "dropout 0.5", "dropout"),
        ("channel_dropout", {"p": 0.2}, "channel dropout 0.2", "dropout"),
        ("noise", {"form": "additive", "amount": 0.1}, "additive noise 0.1", "dropout"),
        ("noise", {"form": "gaussian", "amount": 0.3}, "gaussian dropout 0.3", "dropout"),
        ("add", {}, "add", "join"),
        ("add", {"inputs": ("x", "y", "z")}, "add 3", "join"),
        ("concat", {"inputs": ("x", "y")}, "concat 2", "join"),
        ("multiply", {"inputs": ("x", "y")}, "multiply", "join"),
        ("flatten", {}, "flatten", "shape"),
        ("identity", {}, "identity", "shape"),
        ("pad", {"padding": ((1, 2), (3, 3))}, "pad 1+2x3", "shape"),
        ("pad", {**SAME, "mode": "reflect"}, "pad 1 reflect", "shape"),
        ("shortcut", {"features": 32, "stride": (2, 2)}, "shortcut 32 /2", "shape"),
        ("reshape", {"shape": (3, 32, 32)}, "reshape 3x32x32", "shape"),
        ("permute", {"order": (1, 2, 0)}, "permute axes 1 2 0 (without batch)", "shape"),
        ("reshape", {"shape": (2, 4, 1, 1), "kept": 2}, "reshape 2x4, last 2 kept", "shape"),
        ("slice", {"ranges": ((0, None, 1), (1, 5, 2))}, "slice :, 1:5:2", "shape"),
        ("opaque", {"op": "einsum", "shape": (3,)}, "opaque einsum", "opaque"),
    ],
)
def test_a_layer_in_a_few_words(kind: str, fields: dict[str, object], said: str, kin: str) -> None:
    layer = kinds(Layer)[kind](**{"name": "layer", "inputs": ("x",), **fields})
    assert (caption(layer), family(layer)) == (said, kin)


def test_every_activation_is_one_to_the_legend() -> None:
    for kind in ("relu6", "tanh", "sigmoid", "gelu", "silu"):
        layer = kinds(Layer)[kind](name="layer", inputs=("x",))
        assert isinstance(layer, design.Activation) and family(layer) == "activation"
        assert caption(layer) == kind
