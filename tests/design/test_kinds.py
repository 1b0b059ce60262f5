"""What each kind of layer is made of by hand: parameters, roles, fans, work, and its defaults."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from striate.design import DesignError
from striate.design.classical import Rbf
from striate.design.elementwise import FUNCTIONS, Combine, Elementwise, Multiply
from striate.design.grouping import GroupNorm, LayerNorm
from striate.design.init import (
    Codes,
    Constant,
    Fading,
    FanInUniform,
    He,
    InverseFanIn,
    Normal,
    Uniform,
    Xavier,
)
from striate.design.layer import Layer, Parameter
from striate.design.linear import Linear
from striate.design.moving import LinearLast, Permute, Reduce, Reshape, Resize, Slice
from striate.design.pointwise import Dropout, Noise
from striate.design.pooling import AdaptiveMaxPool, MaxPool
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Opaque, Pad, Shortcut
from striate.records import kinds

ONES = {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
CONV = {**ONES, "kernel": (3, 2), "features": 6, "dilation": (1, 1)}
SHAPE = (4, 9, 8)


def layer(kind: str, **fields: object) -> Layer:
    return kinds(Layer)[kind](**{"name": "it", "inputs": ("x",), **fields})


@dataclass
class By:
    """What a layer has by hand: (local name, shape, role, fan in, fan out) and multiply-adds."""

    parameters: list[tuple[object, ...]]
    macs: int = 0
    buffers: int = 0


@pytest.mark.parametrize(
    ("kind", "fields", "shape", "by_hand"),
    [
        (
            "conv",  # 8 x 7 windows of 3 x 2
            CONV,
            SHAPE,
            By(
                [
                    ("weight", (6, 4, 3, 2), "weight", 4 * 6, 6 * 6),
                    ("bias", (6,), "bias", 24, 36),
                ],
                7 * 7 * 6 * 4 * 6,
            ),
        ),
        (
            "conv",
            {**CONV, "groups": 2, "bias": "position"},
            SHAPE,
            By(
                [
                    ("weight", (6, 2, 3, 2), "weight", 2 * 6, 3 * 6),
                    ("bias", (6, 7, 7), "bias", 12, 18),
                ],
                7 * 7 * 6 * 2 * 6,
            ),
        ),
        (
            "conv",  # a table: filters that see 1, 2, 3, 1, 2 and 3 channels
            {**CONV, "bias": "none", "connections": ((0,), (0, 1), (0, 1, 2)) * 2},
            SHAPE,
            By([("weight", (12, 3, 2), "weight", 2 * 6, 6 * 6)], 7 * 7 * 12 * 6),
        ),
        (
            "conv_transpose",
            {**CONV, "groups": 2, "extra": (0, 0)},
            SHAPE,
            By(
                [
                    ("weight", (4, 3, 3, 2), "weight", 3 * 6, 2 * 6),  # torch's fans
                    ("bias", (6,), "bias", 18, 12),
                ],
                9 * 8 * 4 * 3 * 6,
            ),
        ),
        (
            "linear",
            {"features": 7},
            (5,),
            By([("weight", (7, 5), "weight", 5, 7), ("bias", (7,), "bias", 5, 7)], 35),
        ),
        (
            "linear_last",
            {"features": 5},
            SHAPE,
            By([("weight", (5, 8), "weight", 8, 5), ("bias", (5,), "bias", 8, 5)], 4 * 9 * 8 * 5),
        ),
        (
            "local",
            {**ONES, "kernel": (3, 2), "features": 6},
            SHAPE,
            By(
                [
                    ("weight", (7, 7, 6, 4, 3, 2), "weight", 24, 36),
                    ("bias", (6, 7, 7), "bias", 24, 36),
                ],
                7 * 7 * 6 * 4 * 6,
            ),
        ),
        (
            "subsample",
            {**ONES, "kernel": (3, 2)},
            SHAPE,
            By([("weight", (4,), "weight", 6, 1), ("bias", (4,), "bias", 6, 1)]),
        ),
        (
            "rbf",
            {"features": 3, "fixed": False},
            (5,),
            By([("weight", (3, 5), "weight", 5, 3)], 15),
        ),
        ("rbf", {"features": 3}, (5,), By([], 15, 15)),
        (
            "s_cells",
            {**ONES, "kernel": (3, 2), "features": 6},
            SHAPE,
            By(
                [
                    ("weight", (6, 4, 3, 2), "weight", 24, 36),
                    ("inhibition", (6,), "scale", 1, 1),
                ],
                7 * 7 * 6 * (6 * 4 + 1),
                6,
            ),
        ),
        ("c_cells", {**ONES, "kernel": (3, 2)}, SHAPE, By([], 4 * 7 * 7 * 6, 6)),
        (
            "batch_norm",
            {},
            SHAPE,
            By([("weight", (4,), "scale", 1, 1), ("bias", (4,), "shift", 1, 1)], 0, 9),
        ),
        ("batch_norm", {"affine": False, "running": False}, SHAPE, By([])),
        (
            "affine",
            {},
            SHAPE,
            By([("weight", (4,), "scale", 1, 1), ("bias", (4,), "shift", 1, 1)]),
        ),
        (
            "group_norm",
            {"groups": 2},
            SHAPE,
            By([("weight", (4,), "scale", 1, 1), ("bias", (4,), "shift", 1, 1)]),
        ),
        (
            "layer_norm",
            {"axes": 2},
            SHAPE,
            By([("weight", (9, 8), "scale", 1, 1), ("bias", (9, 8), "shift", 1, 1)]),
        ),
        ("layer_norm", {"bias": False}, SHAPE, By([("weight", (8,), "scale", 1, 1)])),
        ("prelu", {}, SHAPE, By([("weight", (1,), "scale", 1, 1)])),
        ("prelu", {"each": True}, SHAPE, By([("weight", (4,), "scale", 1, 1)])),
        (
            "combine",
            {"operation": "add", "shape": (9, 8)},
            SHAPE,
            By([("weight", (9, 8), "shift", 1, 1)]),
        ),
        (
            "combine",
            {"operation": "divide", "shape": (4, 1, 1)},
            SHAPE,
            By([("weight", (4, 1, 1), "scale", 1, 1)]),
        ),
        (
            "combine",
            {"operation": "multiply", "shape": (8,), "constant": True},
            SHAPE,
            By([], 0, 8),
        ),
        ("max_pool", {**ONES, "kernel": (2, 2)}, SHAPE, By([])),
    ],
)
def test_what_a_layer_is_made_of(
    kind: str, fields: dict[str, object], shape: tuple[int, ...], by_hand: By
) -> None:
    made = layer(kind, **fields)
    found = made.parameters(shape)
    assert [(p.name, p.shape, p.role, p.fan_in, p.fan_out) for p in found] == by_hand.parameters
    assert (made.macs(shape), made.buffers(shape)) == (by_hand.macs, by_hand.buffers)
    sharing = made.replace(shares="other")
    assert sharing.parameters(shape) == () and sharing.macs(shape) == by_hand.macs


def test_the_second_multiplier_is_of_the_bias_or_the_shift() -> None:
    """Caffe's lr_mult and decay_mult: the weight's first, the bias's second."""
    rates, decays = (0.1, 20.0), (1.5, 0.0)
    for made in (layer("conv", **CONV), layer("batch_norm"), layer("linear", features=2)):
        shape = (5,) if isinstance(made, Linear) else SHAPE
        weight, bias = made.replace(rates=rates, decays=decays).parameters(shape)
        assert [(p.rate, p.decay, p.trainable) for p in (weight, bias)] == [
            (0.1, 1.5, True),
            (20.0, 0.0, True),
        ]
        frozen = made.replace(trainable=False).parameters(shape)
        assert [(p.rate, p.decay, p.trainable) for p in frozen] == [(1.0, 1.0, False)] * 2
    plain = Parameter("weight", (2, 3), "weight")
    assert (plain.rate, plain.decay, plain.trainable, plain.fan_in, plain.fan_out) == (
        *(1.0, 1.0, True),
        *(1, 1),
    )


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (layer("batch_norm"), {"eps": 1e-5, "momentum": 0.1, "affine": True, "running": True}),
        (layer("group_norm", groups=2), {"eps": 1e-5, "affine": True}),
        (layer("layer_norm"), {"axes": 1, "eps": 1e-5, "affine": True, "bias": True}),
        (layer("lrn"), {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}),
        (layer("dropout"), {"p": 0.5}),
        (layer("channel_dropout"), {"p": 0.5}),
        (layer("noise"), {"form": "gaussian", "amount": 0.5}),
        (layer("leaky_relu"), {"slope": 0.01}),
        (layer("tanh"), {"outer": 1.0, "inner": 1.0}),
        (layer("prelu"), {"each": False, "weight_init": Constant(value=0.25)}),
        (layer("conv", **CONV), {"groups": 1, "bias": "channel", "connections": None}),
        (layer("conv", **CONV), {"weight_init": FanInUniform(gain=1.0)}),
        (layer("linear", features=2), {"bias": True, "in_features": None}),
        (layer("linear_last", features=2), {"bias": True, "in_features": None}),
        (layer("local", kernel=(3, 3), features=2, **ONES), {"bias": True}),
        (layer("max_pool", kernel=(2, 2), **ONES), {"ceil": False}),
        (layer("avg_pool", kernel=(2, 2), **ONES), {"ceil": False, "count_padding": True}),
        (layer("pad", padding=((1, 1), (1, 1))), {"mode": "zero"}),
        (layer("resize", scale=(2.0, 2.0)), {"mode": "nearest", "corners": False, "size": ()}),
        (layer("reduce", function="mean", axes=(1,)), {"keep": True}),
        (layer("reshape", shape=(3,)), {"kept": 0}),
        (layer("combine", operation="add", shape=(3,)), {"constant": False, "seen": None}),
        (layer("rbf", features=2), {"fixed": True, "weight_init": Codes(words=())}),
        (layer("c_cells", kernel=(3, 3), **ONES), {"saturation": 0.5}),
        (layer("s_cells", kernel=(3, 3), features=2, **ONES), {"selectivity": 1.5}),
        (
            layer("c_cells", kernel=(3, 3), **ONES),
            {"fading": Fading(ratio=0.8, total=1.0)},
        ),
        (layer("opaque", op="einsum", shape=(3,)), {"shapes": (), "cost": 0}),
        (
            layer("relu"),
            {"trainable": True, "rates": (1.0, 1.0), "decays": (1.0, 1.0), "note": ""},
        ),
        (Constant(), {"value": 0.0}),
        (Normal(), {"std": 0.01}),  # AlexNet's
        (Uniform(), {"bound": 0.05}),
        (FanInUniform(), {"gain": 1.0}),
        (InverseFanIn(), {"gain": 2.4}),  # LeNet-5's
        (He(), {"fan": "in"}),
        (Xavier(), {"uniform": True}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_what_a_record_leaves_out_is_what_a_file_without_it_means(
    record: object, fields: dict[str, object]
) -> None:
    """Documents leave nothing out, but those written by hand do, and mean these for ever."""
    assert {name: getattr(record, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("count", "functions"),
    [
        (
            0,
            "abs cos exp gelu_tanh hardsigmoid hardswish log log_sigmoid mish rsqrt selu sin "
            "softsign sqrt tanhshrink",
        ),
        (1, "at_least at_most celu elu power"),
        (2, "between scale softplus"),
    ],
)
def test_how_many_numbers_a_function_takes(count: int, functions: str) -> None:
    assert {name for name, each in FUNCTIONS.items() if each == count} == set(functions.split())
    for name in functions.split():
        Elementwise(name="it", inputs=("x",), function=name, arguments=(1.0,) * count)
        with pytest.raises(
            DesignError, match=f"it: expected {count} arguments of {name}, received"
        ):
            Elementwise(name="it", inputs=("x",), function=name, arguments=(1.0,) * (count + 1))


def test_a_function_that_there_is_not_is_refused() -> None:
    with pytest.raises(DesignError, match="expected a function of abs, .*, received 'sinh'"):
        Elementwise(name="it", inputs=("x",), function="sinh")


# -- shapes ----------------------------------------------------------------------------------------


def one(kind: type[Layer], *inputs: str, **fields: object) -> Layer:
    return kind(**{"name": "it", "inputs": inputs or ("x",), **fields})


@pytest.mark.parametrize(
    ("made", "inputs", "output"),
    [
        (one(ConvTranspose, **CONV, extra=(0, 0)), (SHAPE,), (6, 11, 9)),
        (
            one(ConvTranspose, **{**CONV, "stride": (2, 2)}, extra=(1, 0)),
            (SHAPE,),
            (6, 8 * 2 + 3 + 1, 7 * 2 + 2),
        ),
        (one(Multiply, "x", "y"), ((4, 9, 8), (4, 1, 1)), (4, 9, 8)),
        (one(Multiply, "x", "y"), ((4, 1, 8), (1, 9, 1)), (4, 9, 8)),
        (one(Combine, operation="add", shape=(9, 8)), (SHAPE,), SHAPE),
        (one(Combine, operation="add", shape=(1, 4, 1, 1)), (SHAPE,), SHAPE),
        (one(Combine, operation="add", shape=(288,), seen=(4, 9, 8)), (SHAPE,), SHAPE),
        (one(GroupNorm, groups=4), (SHAPE,), SHAPE),
        (one(GroupNorm, groups=None), ((7, 3),), (7, 3)),
        (one(LayerNorm, axes=3), (SHAPE,), SHAPE),
        (one(Reshape, shape=(288,)), (SHAPE,), (288,)),
        (one(Reshape, shape=(2, 2, 5, 5), kept=2), (SHAPE,), (2, 2, 9, 8)),
        (one(Permute, order=(2, 0, 1)), (SHAPE,), (8, 4, 9)),
        (one(Slice, ranges=((1, 3, 1), (0, None, 2))), (SHAPE,), (2, 5, 8)),
        (one(Slice, ranges=((-1, None, 1),)), (SHAPE,), (1, 9, 8)),
        (one(Resize, scale=(0.5, 1.5)), (SHAPE,), (4, 4, 12)),
        (one(Resize, size=(3, 20)), (SHAPE,), (4, 3, 20)),
        (one(Reduce, function="mean", axes=(1, 2)), (SHAPE,), (4, 1, 1)),
        (one(Reduce, function="mean", axes=(1, 2), keep=False), (SHAPE,), (4,)),
        (one(Reduce, function="max", axes=(0,), keep=False), ((5,),), (1,)),
        (one(LinearLast, features=5), ((7, 3),), (7, 5)),
        (one(Pad, padding=((1, 2), (0, 3)), mode="reflect"), (SHAPE,), (4, 12, 11)),
        (one(Pad, padding=((8, 8), (7, 7)), mode="reflect"), (SHAPE,), (4, 25, 22)),
        (one(Shortcut, features=4, stride=(2, 3)), (SHAPE,), (4, 5, 3)),
        (one(Opaque, op="einsum", shape=(2, 2)), (SHAPE,), (2, 2)),
    ],
)
def test_shapes(made: Layer, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> None:
    assert made.output(*inputs) == output


@pytest.mark.parametrize(
    ("made", "inputs", "message"),
    [
        (one(Multiply, "x", "y"), ((4, 9), (4, 8)), r"alike up to axes of 1, received x \(4, 9\)"),
        (one(Multiply, "x", "y"), ((4, 9), (4,)), "alike up to axes of 1"),
        (one(Combine, operation="add", shape=(8, 9)), (SHAPE,), r"of \(8, 9\) does not fit"),
        (one(Combine, operation="add", shape=(2, 4, 9, 8)), (SHAPE,), "does not fit an input"),
        (one(GroupNorm, groups=3), (SHAPE,), "divisible by groups=3, received 4"),
        (one(LayerNorm, axes=4), (SHAPE,), r"at least 4 axes, received shape \(4, 9, 8\)"),
        (one(LayerNorm, axes=0), (SHAPE,), "at least 0 axes"),
        (one(Reshape, shape=(287,)), (SHAPE,), "expects 287 features, received 288 = 4x9x8"),
        (one(Permute, order=(0, 1)), (SHAPE,), "an order of 3 axes"),
        (one(Permute, order=(0, 1, 1)), (SHAPE,), "an order of 3 axes"),
        (one(Slice, ranges=((0, None, 1),) * 4), (SHAPE,), "4 axes or more"),
        (one(Slice, ranges=((4, None, 1),)), (SHAPE,), "takes nothing of an input"),
        (one(Resize, scale=(0.1, 1.0)), (SHAPE,), "nothing is left"),
        (one(Resize, scale=(2.0,)), (SHAPE,), "expected 1 spatial axes"),
        (one(Reduce, function="mean", axes=()), (SHAPE,), "expected axes of"),
        (one(Reduce, function="mean", axes=(3,)), (SHAPE,), "expected axes of"),
        (one(Reduce, function="mean", axes=(-1,)), (SHAPE,), "expected axes of"),
        (one(LinearLast, features=5, in_features=9), (SHAPE,), "expects 9 features in the last"),
        (one(Pad, padding=((9, 0), (0, 0)), mode="reflect"), (SHAPE,), "needs more pixels"),
        (one(Shortcut, features=3, stride=(1, 1)), (SHAPE,), "at least 4 features, got 3"),
        (
            one(ConvTranspose, **{**CONV, "padding": ((6, 6), (0, 0))}, extra=(0, 0)),
            (SHAPE,),
            "nothing is left of",
        ),
        (one(ConvTranspose, **CONV, groups=2, extra=(0, 0)), ((3, 9, 8),), "by groups=2"),
    ],
)
def test_shapes_that_do_not_fit(
    made: Layer, inputs: tuple[tuple[int, ...], ...], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        made.output(*inputs)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("conv", {**CONV, "kernel": (1,) * 4}, "the same one to three axes"),
        ("conv", {**CONV, "stride": (1,)}, "the same one to three axes"),
        ("conv", {**CONV, "groups": 0}, "of at least 1"),
        ("conv", {**CONV, "dilation": (0, 1)}, "of at least 1"),
        ("conv", {**CONV, "padding": ((0, 0), (0, -1))}, "no negative padding"),
        ("conv_transpose", {**CONV, "extra": (1, 0)}, "fewer than the stride or dilation"),
        ("conv_transpose", {**CONV, "extra": (-1, 0)}, "no negative padding"),
        ("conv_transpose", {**CONV, "extra": (0,)}, "the same one to three"),
        ("local", {**ONES, "kernel": (3, 3), "features": 0}, "of at least 1"),
        ("slice", {"ranges": ()}, "steps of at least 1"),
        ("slice", {"ranges": ((0, None, 0),)}, "steps of at least 1"),
        ("resize", {}, "a scale or a size"),
        ("resize", {"scale": (2.0,), "size": (3,)}, "a scale or a size"),
        ("pad", {"padding": ()}, "no negative padding"),
        ("pad", {"padding": ((0, -1),)}, "no negative padding"),
        ("shortcut", {"features": 3, "stride": (0,)}, "strides of at least 1"),
        ("shortcut", {"features": 3, "stride": (1,) * 4}, "strides of at least 1"),
        ("channel_dropout", {"p": 1.0}, "0 <= p < 1"),
        ("channel_dropout", {"p": -0.1}, "0 <= p < 1"),
        ("noise", {"form": "plain", "amount": 1.0}, "0 <= amount < 1"),
        ("rbf", {"features": 0}, "at least 1 feature"),
        ("max_pool", {**ONES, "kernel": (2, 2), "padding": ((0, 2), (0, 0))}, "at most half"),
        ("max_pool", {**ONES, "kernel": (2, 2), "padding": ((-1, 0), (0, 0))}, "at most half"),
        ("avg_pool", {**ONES, "kernel": (2, 0)}, "kernel and stride of at least 1"),
        ("avg_pool", {**ONES, "kernel": (2,)}, "the same one to three axes"),
        ("adaptive_avg_pool", {"size": (1,) * 4}, "one to three sizes of at least 1"),
        ("adaptive_avg_pool", {"size": ()}, "one to three sizes of at least 1"),
        ("dropout", {"p": -0.1}, "0 <= p < 1"),
        ("subsample", {**ONES, "kernel": (2, 2), "ceil": True}, "sums of whole windows"),
        ("s_cells", {**ONES, "kernel": (3,), "features": 2}, "of two axes"),
        ("c_cells", {**ONES, "kernel": (3, 0)}, "of at least 1"),
    ],
)
def test_records_that_cannot_be(kind: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        layer(kind, **fields)


def test_what_just_can_be() -> None:
    """The edges of the above: what is one step inside of what is refused."""
    layer("conv_transpose", **{**CONV, "stride": (2, 1)}, extra=(1, 0))
    layer("conv_transpose", **{**CONV, "dilation": (2, 1)}, extra=(1, 0))
    one(Noise, form="additive", amount=5.0)
    one(Dropout, p=0.0)
    one(Rbf, features=1)
    one(MaxPool, kernel=(2, 3), stride=(1, 1), padding=((1, 1), (0, 1)))
    one(AdaptiveMaxPool, size=(1, 1, 1))
    layer("channel_dropout", p=0.0)
    layer("pad", padding=((0, 0),) * 3)
    layer("shortcut", features=3, stride=(1, 1, 1))
    layer("conv", **{**CONV, "features": 1, "kernel": (1, 1)})
    layer("local", **ONES, kernel=(1, 1), features=1)
    for axes in (1, 2, 3):
        window = {"kernel": (2,) * axes, "stride": (1,) * axes, "padding": ((0, 0),) * axes}
        assert layer("local", features=2, **window).output((3, *[5] * axes)) == (2, *[4] * axes)
        assert layer("max_pool", **window).output((3, *[5] * axes)) == (3, *[4] * axes)


def test_what_needs_memory_of_its_own() -> None:
    """An activation or a scale writes where its input was; views and padding are not counted."""
    counted = {tag for tag, kind in kinds(Layer).items() if kind.counted}
    assert counted == {
        *("conv", "conv_transpose", "linear", "linear_last", "local", "rbf", "s_cells", "c_cells"),
        *("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "subsample", "resize"),
        *("batch_norm", "lrn", "group_norm", "layer_norm"),
        *("add", "concat", "multiply", "opaque"),
    }
    assert not layer("adaptive_avg_pool", size=(9, 8)).stored(SHAPE)  # it changes nothing
    assert layer("adaptive_avg_pool", size=(9, 4)).stored(SHAPE)


# -- windows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "mode", "kernel", "stride", "before", "up"),
    [
        # each pixel becomes 2 or 3 alike; a unit in between sees its two neighbours
        (2.0, "nearest", 2, 1, 0, 2),
        (3.0, "nearest", 3, 1, 0, 3),
        (2.0, "linear", 4, 1, 1, 2),
        (3.0, "linear", 5, 1, 1, 3),
        # of four pixels the first, of three the middle one or, for an even number, the two there
        (0.25, "nearest", 1, 4, 0, 1),
        (0.5, "linear", 2, 2, 0, 1),
        (1 / 3, "linear", 1, 3, -1, 1),
        (0.25, "linear", 2, 4, -1, 1),
    ],
)
def test_windows_of_whole_factors(
    scale: float, mode: str, kernel: int, stride: int, before: int, up: int
) -> None:
    made = one(Resize, scale=(scale,), mode=mode)
    window = made.window((1, 12))
    assert window is not None
    assert (window.kernel, window.stride, window.before) == ((kernel,), (stride,), (before,))
    assert (window.up or (1,)) == (up,)
    assert one(Resize, size=(8,), mode=mode).window((1, 12)) is None
