"""Words kind by kind: PyTorch's are computed beside ours, Torch7's and Lasagne's as documented."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.design import Input, Layer, Network, Output, Sketch
from striate.design.spelling import spell
from striate.layers import build
from striate.records import kinds

SHAPE = (4, 9, 8)
ONES = {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
CONV = {**ONES, "kernel": (3, 3), "features": 6, "dilation": (1, 1)}
WINDOW = {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 1), (0, 0))}
SKEWED = {"padding": ((0, 1), (2, 0))}
LINE = {"kernel": (3,), "stride": (2,), "padding": ((1, 1),)}
CUBE = {"kernel": (1, 2, 3), "stride": (3, 2, 1), "padding": ((0, 0), (1, 1), (1, 1))}
LINE_CONV = {**LINE, "features": 6, "dilation": (1,)}
CUBE_CONV = {**CUBE, "features": 6, "dilation": (1, 1, 1)}
IN_LINE, IN_CUBE = (4, 9), (4, 7, 9, 8)


def network(kind: str, fields: dict[str, object], shape: tuple[int, ...] = SHAPE) -> Network:
    names = ("x", "y") if kinds(Layer)[kind].arity is None else ("x",)
    layer = kinds(Layer)[kind](**{"name": "it", "inputs": names, **fields})
    return Network(
        name="lone",
        inputs=tuple(Input(name=name, shape=shape) for name in names),
        layers=(layer,),
        outputs=(Output(name="out", source="it"),),
    )


@pytest.mark.parametrize(
    ("kind", "fields", "shape"),
    [
        ("conv", CONV, SHAPE),
        ("conv", {**CONV, **WINDOW, "dilation": (1, 2), "groups": 2}, SHAPE),
        ("conv", {**CONV, **SKEWED, "bias": "none"}, SHAPE),
        ("conv", LINE_CONV, IN_LINE),
        ("conv", CUBE_CONV, IN_CUBE),
        ("linear", {"features": 3}, (5,)),
        ("linear", {"features": 3, "bias": False}, (5,)),
        ("max_pool", WINDOW, SHAPE),
        ("max_pool", {**WINDOW, "ceil": True}, SHAPE),
        ("max_pool", LINE, IN_LINE),
        ("avg_pool", {**WINDOW, "count_padding": False}, SHAPE),
        ("avg_pool", {**ONES, "kernel": (3, 3), "padding": ((0, 1), (1, 0))}, SHAPE),
        ("avg_pool", CUBE, IN_CUBE),
        ("adaptive_avg_pool", {"size": (2, 3)}, SHAPE),
        ("adaptive_max_pool", {"size": (2, 2)}, SHAPE),
        ("adaptive_max_pool", {"size": (3,)}, IN_LINE),
        ("batch_norm", {"eps": 1e-3, "momentum": 0.3}, SHAPE),
        ("batch_norm", {"affine": False}, (5,)),
        ("batch_norm", {"running": False}, IN_CUBE),
        ("lrn", {"size": 3, "alpha": 2e-2, "beta": 0.5, "k": 2.0}, SHAPE),
        ("relu", {}, SHAPE),
        ("relu6", {}, SHAPE),
        ("leaky_relu", {"slope": 0.3}, SHAPE),
        ("tanh", {}, SHAPE),
        ("tanh", {"outer": 1.7159, "inner": 2 / 3}, SHAPE),
        ("sigmoid", {}, SHAPE),
        ("gelu", {}, SHAPE),
        ("silu", {}, SHAPE),
        ("softmax", {}, SHAPE),
        ("dropout", {"p": 0.3}, SHAPE),
        ("flatten", {}, SHAPE),
        ("identity", {}, SHAPE),
        ("pad", {"padding": ((1, 2), (0, 3))}, SHAPE),
        ("pad", {"padding": ((1, 2), (0, 3)), "mode": "reflect"}, SHAPE),
        ("pad", {"padding": ((1, 2), (0, 3)), "mode": "edge"}, SHAPE),
        ("pad", {"padding": ((1, 2),)}, IN_LINE),
        ("add", {}, SHAPE),
        ("concat", {}, SHAPE),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_pytorchs_words_compute_the_same(
    kind: str, fields: dict[str, object], shape: tuple[int, ...], training: bool
) -> None:
    paper = network(kind, fields, shape)
    code = spell(paper, "pytorch").code
    values = [torch.randn(2, *shape) for _ in paper.inputs]
    names: dict[str, object] = {"nn": nn, "torch": torch}
    ours = build(paper, seed=3).train(training)
    if "torch." in code or " + " in code:  # an expression of what the layer reads
        names |= dict(zip("xy", values, strict=False))
        torch.testing.assert_close(eval(code, names), ours(*values))
        return
    if code.startswith("net ="):
        exec(code, names)
    module = names.get("net") or eval(code, names)
    assert isinstance(module, nn.Module)
    module.train(training)
    for theirs, own in zip(module.parameters(), ours.parameters(), strict=True):
        theirs.data = own.data
    torch.manual_seed(1)
    expected = ours(*values)
    torch.manual_seed(1)
    found = module(*values)
    assert found.shape == expected.shape
    if kind != "dropout" or not training:  # ours draws by an address of its own
        torch.testing.assert_close(found, expected)
    assert [own.shape for own in module.buffers()] == [own.shape for own in ours.buffers()]


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conv", CONV, "SpatialConvolution(4, 6, 3, 3, 1, 1, 0, 0)"),
        ("conv", {**CONV, **WINDOW}, "SpatialConvolution(4, 6, 2, 3, 1, 2, 0, 1)"),
        (
            "conv",
            {**CONV, "dilation": (1, 2)},
            "SpatialDilatedConvolution(4, 6, 3, 3, 1, 1, 0, 0, 2, 1)",
        ),
        ("conv", {**CONV, "bias": "none"}, "SpatialConvolution(4, 6, 3, 3, 1, 1, 0, 0):noBias()"),
        ("linear", {"features": 3}, "Linear(4, 3)"),
        ("linear", {"features": 3, "bias": False}, "Linear(4, 3, false)"),
        ("max_pool", WINDOW, "SpatialMaxPooling(2, 3, 1, 2, 0, 1)"),
        ("max_pool", {**WINDOW, "ceil": True}, "SpatialMaxPooling(2, 3, 1, 2, 0, 1):ceil()"),
        (
            "avg_pool",
            {**WINDOW, "count_padding": False},
            "SpatialAveragePooling(2, 3, 1, 2, 0, 1):setCountExcludePad()",
        ),
        ("subsample", {**ONES, "kernel": (2, 3)}, "SpatialSubSampling(4, 3, 2, 1, 1)"),
        (
            "local",
            {**ONES, "kernel": (2, 3), "features": 6},
            "SpatialConvolutionLocal(4, 6, 8, 9, 3, 2, 1, 1, 0, 0)",
        ),
        ("adaptive_avg_pool", {"size": (2, 3)}, "SpatialAdaptiveAveragePooling(3, 2)"),
        ("adaptive_max_pool", {"size": (1, 1)}, "SpatialAdaptiveMaxPooling(1, 1)"),
        ("batch_norm", {}, "SpatialBatchNormalization(4, 1e-05, 0.1)"),
        ("batch_norm", {"affine": False}, "SpatialBatchNormalization(4, 1e-05, 0.1, false)"),
        ("lrn", {"k": 2.0}, "SpatialCrossMapLRN(5, 0.0001, 0.75, 2)"),
        ("relu", {}, "ReLU(true)"),
        ("relu6", {}, "ReLU6(true)"),
        ("leaky_relu", {"slope": 0.2}, "LeakyReLU(0.2, true)"),
        ("tanh", {}, "Tanh()"),
        ("sigmoid", {}, "Sigmoid()"),
        ("softmax", {}, "SpatialSoftMax()"),
        ("dropout", {"p": 0.3}, "Dropout(0.3)"),
        ("flatten", {}, "View(-1):setNumInputDims(3)"),
        ("identity", {}, "Identity()"),
        ("pad", SKEWED, "SpatialZeroPadding(2, 0, 0, 1)"),
        ("pad", {**SKEWED, "mode": "reflect"}, "SpatialReflectionPadding(2, 0, 0, 1)"),
        ("pad", {**SKEWED, "mode": "edge"}, "SpatialReplicationPadding(2, 0, 0, 1)"),
    ],
)
def test_torch7s_words(kind: str, fields: dict[str, object], code: str) -> None:
    """Torch7's nn: width before height; padding as left, right, top, bottom."""
    shape = (4,) if kind == "linear" else SHAPE
    assert spell(network(kind, fields, shape), "torch").code == f"module = nn.{code}"


def test_torch7s_words_along_one_and_three_axes() -> None:
    assert spell(network("conv", CUBE_CONV, IN_CUBE), "torch").code == (
        "module = nn.VolumetricConvolution(4, 6, 1, 3, 2, 3, 1, 2, 0, 1, 1)"
    )
    assert spell(network("max_pool", CUBE, IN_CUBE), "torch").code == (
        "module = nn.VolumetricMaxPooling(1, 3, 2, 3, 1, 2, 0, 1, 1)"
    )
    line = spell(network("conv", LINE_CONV, IN_LINE), "torch")
    assert line.code == "module = nn.TemporalConvolution(4, 6, 3, 2)"
    assert line.notes == ("it: TemporalConvolution reads (time, channels) and pads nothing.",)
    assert spell(network("max_pool", LINE, IN_LINE), "torch").notes == (
        "it: Torch7 has no max pool: TemporalMaxPooling pads nothing.",
    )
    for shape, kind in (((4,), ""), (IN_LINE, ""), (IN_CUBE, "Volumetric")):
        code = spell(network("batch_norm", {}, shape), "torch").code
        assert code == f"module = nn.{kind}BatchNormalization(4, 1e-05, 0.1)"
    assert spell(network("softmax", {}, (4,)), "torch").code == "module = nn.SoftMax()"


def test_what_torch7_says_in_two_layers() -> None:
    def code(kind: str, fields: dict[str, object]) -> list[str]:
        return spell(network(kind, fields), "torch").code.splitlines()[1:]

    zeros = "net:add(nn.SpatialZeroPadding(2, 0, 0, 1))"
    assert code("conv", {**CONV, **SKEWED}) == [
        zeros,
        "net:add(nn.SpatialConvolution(4, 6, 3, 3, 1, 1, 0, 0))  -- it",
    ]
    assert code("avg_pool", {**CONV_POOL, "padding": ((0, 1), (1, 0))}) == [
        "net:add(nn.SpatialZeroPadding(1, 0, 0, 1))",
        "net:add(nn.SpatialAveragePooling(3, 3, 1, 1, 0, 0))  -- it",
    ]
    assert code("local", {**CONV_POOL, **SKEWED, "features": 6}) == [
        zeros,
        "net:add(nn.SpatialConvolutionLocal(4, 6, 10, 10, 3, 3, 1, 1, 0, 0))  -- it",
    ]
    assert code("affine", {}) == [
        "net:add(nn.CMul(1, 4, 1, 1))",
        "net:add(nn.CAdd(1, 4, 1, 1))  -- it",
    ]
    scaled = spell(network("tanh", {"outer": 1.5, "inner": 0.5}), "torch").code
    assert scaled.count(":add(") == 3 and "MulConstant(0.5)" in scaled.partition("Tanh")[0]
    assert spell(network("concat", {}), "torch").code == "module = nn.JoinTable(1, 3)"


CONV_POOL = {**ONES, "kernel": (3, 3)}
PLAIN = "nonlinearity=None, flip_filters=False"


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conv", CONV, f"Conv2DLayer(x, num_filters=6, filter_size=3, stride=1, pad=0, {PLAIN})"),
        (
            "conv",
            {**CONV, **WINDOW, "groups": 2, "bias": "none"},
            "Conv2DLayer(x, num_filters=6, filter_size=(3, 2), stride=(2, 1), pad=(1, 0), "
            f"num_groups=2, b=None, {PLAIN})",
        ),
        (
            "conv",
            {**CONV, "bias": "position", "dilation": (2, 2)},
            "DilatedConv2DLayer(x, num_filters=6, filter_size=3, dilation=2, untie_biases=True, "
            f"{PLAIN})",
        ),
        (
            "conv",
            {**CONV, **SKEWED},
            "Conv2DLayer(PadLayer(x, width=[(0, 1), (2, 0)]), num_filters=6, filter_size=3, "
            f"stride=1, pad=0, {PLAIN})",
        ),
        (
            "conv",
            {**CONV, "padding": ((2, 2), (2, 2)), "dilation": (2, 2)},
            "DilatedConv2DLayer(PadLayer(x, width=[(2, 2), (2, 2)]), num_filters=6, "
            f"filter_size=3, dilation=2, {PLAIN})",
        ),
        ("linear", {"features": 3}, "DenseLayer(x, num_units=3, nonlinearity=None)"),
        (
            "linear",
            {"features": 3, "bias": False},
            "DenseLayer(x, num_units=3, b=None, nonlinearity=None)",
        ),
        (
            "local",
            {**CONV_POOL, "padding": ((1, 1), (1, 1)), "features": 6},
            "LocallyConnected2DLayer(x, num_filters=6, filter_size=3, pad='same', "
            f"untie_biases=True, {PLAIN})",
        ),
        (
            "max_pool",
            WINDOW,
            "Pool2DLayer(x, pool_size=(3, 2), stride=(2, 1), pad=(1, 0), ignore_border=True, "
            "mode='max')",
        ),
        (
            "avg_pool",
            {**CONV_POOL, "ceil": True},
            "Pool2DLayer(x, pool_size=3, stride=1, pad=0, ignore_border=False, "
            "mode='average_inc_pad')",
        ),
        (
            "avg_pool",
            {**CONV_POOL, "padding": ((0, 1), (1, 0)), "count_padding": False},
            "Pool2DLayer(PadLayer(x, width=[(0, 1), (1, 0)]), pool_size=3, stride=1, pad=0, "
            "ignore_border=True, mode='average_exc_pad')",
        ),
        ("adaptive_avg_pool", {"size": (1, 1)}, "GlobalPoolLayer(x, pool_function=T.mean)"),
        ("adaptive_max_pool", {"size": (1, 1)}, "GlobalPoolLayer(x, pool_function=T.max)"),
        ("adaptive_max_pool", {"size": (3, 2)}, "Pool2DLayer(x, pool_size=(3, 4), mode='max')"),
        (
            "adaptive_avg_pool",
            {"size": (3, 2)},
            "Pool2DLayer(x, pool_size=(3, 4), mode='average_exc_pad')",
        ),
        ("batch_norm", {}, "BatchNormLayer(x, epsilon=1e-05, alpha=0.1)"),
        (
            "batch_norm",
            {"affine": False},
            "BatchNormLayer(x, epsilon=1e-05, alpha=0.1, beta=None, gamma=None)",
        ),
        ("affine", {}, "BiasLayer(ScaleLayer(x))"),
        (
            "lrn",
            {"alpha": 1e-3, "k": 2.0},
            "LocalResponseNormalization2DLayer(x, alpha=0.0002, k=2, beta=0.75, n=5)",
        ),
        ("relu", {}, "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.rectify)"),
        ("sigmoid", {}, "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.sigmoid)"),
        ("softmax", {}, "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.softmax)"),
        ("tanh", {}, "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.tanh)"),
        (
            "tanh",
            {"outer": 1.5, "inner": 0.5},
            "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.ScaledTanH(0.5, 1.5))",
        ),
        (
            "leaky_relu",
            {"slope": 0.2},
            "NonlinearityLayer(x, nonlinearity=lasagne.nonlinearities.LeakyRectify(0.2))",
        ),
        ("dropout", {"p": 0.3}, "DropoutLayer(x, p=0.3)"),
        ("flatten", {}, "FlattenLayer(x)"),
        ("identity", {}, "x"),
        ("pad", SKEWED, "PadLayer(x, width=[(0, 1), (2, 0)])"),
        ("add", {}, "ElemwiseSumLayer([x, y])"),
        ("concat", {}, "ConcatLayer([x, y], axis=1)"),
    ],
)
def test_lasagnes_words(kind: str, fields: dict[str, object], code: str) -> None:
    shape = (4,) if kind == "linear" else SHAPE
    assert spell(network(kind, fields, shape), "lasagne").code == f"it = {code}"


@pytest.mark.parametrize(
    ("kind", "fields", "dialect", "note"),
    [
        ("conv", {**CONV, "stride": (2, 2), "dilation": (2, 2)}, "lasagne", "with stride 1 only"),
        ("conv", {**CONV, **SKEWED}, "lasagne", "this padding is a PadLayer before it."),
        ("max_pool", {**WINDOW, "ceil": True}, "lasagne", "rounds up only without padding"),
        ("max_pool", {**CONV_POOL, "padding": ((0, 1),) * 2}, "lasagne", "a PadLayer of zeros"),
        ("adaptive_avg_pool", {"size": (2, 3)}, "lasagne", "avg pool: its windows differ in size."),
        ("adaptive_avg_pool", {"size": (1, 1)}, "lasagne", "also drops the places: (channels,)."),
        ("batch_norm", {"running": False}, "lasagne", "it: Lasagne has no batch norm."),
        ("gelu", {}, "lasagne", "it: Lasagne has no gelu."),
        ("pad", {**SKEWED, "mode": "edge"}, "lasagne", "with a constant only, not with edge."),
        ("lrn", {}, "lasagne", "alpha is not divided by n: 0.0001 / 5."),
        ("local", {**CONV_POOL, "features": 6}, "lasagne", "has stride 1 and keeps the size."),
        ("conv", {**CONV, "bias": "position"}, "torch", "follows as nn.Add."),
        ("conv", {**CONV, "groups": 2}, "torch", "cudnn.torch only, not in nn."),
        ("max_pool", {**CONV_POOL, "padding": ((0, 1),) * 2}, "torch", "a layer of zeros before"),
        ("batch_norm", {"running": False}, "torch", "it: Torch7 has no batch norm."),
        ("silu", {}, "torch", "it: Torch7 has no silu."),
        ("local", {**CONV_POOL, "features": 6, "bias": False}, "torch", "adds a bias here."),
        ("conv", {**CONV, **SKEWED}, "pytorch", "nn.Conv2d pads alike on both sides; zeros come"),
        ("conv", {**CONV, "bias": "position"}, "pytorch", "no bias for each position; add a param"),
        ("max_pool", {**CONV_POOL, "padding": ((0, 1),) * 2}, "pytorch", "is zeros before it."),
        ("shortcut", {"features": 6, "stride": (1, 1)}, "pytorch", "striate.layers has one."),
        ("max_pool", {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0),) * 2}, "caffe", "up"),
        ("gelu", {}, "caffe", "it: Caffe has no layer for a gelu."),
    ],
)
def test_what_words_leave_out_is_noted(
    kind: str, fields: dict[str, object], dialect: str, note: str
) -> None:
    notes = spell(network(kind, fields), dialect).notes
    assert any(note in each for each in notes), notes
    assert not any(note in each for each in spell(network("relu", {}), dialect).notes)


def test_a_name_is_a_variable_everywhere() -> None:
    net = Sketch("t", (3, 8, 8))
    net.conv("0.a", 2, 1)
    net.conv("b.c1", 2, 1)
    net.add("sum", "0.a", "b.c1")
    code = spell(net.finish(), "lasagne").code
    assert [line.split(" = ")[0] for line in code.splitlines()] == ["x", "n0_a", "b_c1", "sum"]
    assert code.splitlines()[0] == "x = InputLayer((None, 3, 8, 8))"


def test_two_layers_begin_with_what_they_read_and_one_does_not() -> None:
    net = Sketch("t", (3, 8, 8))
    net.relu("a")
    net.relu("b")
    both = spell(net.finish(), "lasagne").code.splitlines()
    assert [line.partition(" = ")[0] for line in both] == ["x", "a", "b"]
    assert spell(net.finish(), "lasagne", "b").code.startswith("b = NonlinearityLayer(a,")


def test_a_part_reads_from_outside_and_is_read_there() -> None:
    """Of a part of a graph, what others read or the network gives leaves it."""
    net = Sketch("t", (3, 8, 8))
    net.conv("s.a", 3, 1)
    net.conv("s.b", 3, 1)
    net.add("s.sum", "s.a", "s.b")
    net.add("after", "s.sum", "s.a")
    code = spell(net.finish(), "torch", "s").code
    assert code.splitlines()[-1] == "net = nn.gModule({x}, {s_a, s_sum})"
    whole = spell(net.finish(), "pytorch").code
    assert whole.splitlines()[-1] == "        return after"
