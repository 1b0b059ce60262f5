"""The kinds that strangers' networks need: against torch, and where they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from striate import design
from striate.design import DesignError, Layer, Sketch, elementwise, receptive_fields
from striate.layers import build, module, placement
from striate.layers import elementwise as built


def only(layer: Layer, shape: tuple[int, ...]) -> design.Network:
    return design.Network(
        name="only",
        inputs=(design.Input(name="x", shape=shape),),
        layers=(layer,),
        outputs=(design.Output(name="y", source=layer.name),),
    )


TORCH = {
    "abs": torch.abs,
    "at_least": lambda x: torch.clamp(x, min=0.3),
    "at_most": lambda x: torch.clamp(x, max=0.3),
    "between": nn.Hardtanh(0.3, 0.9),
    "celu": nn.CELU(0.3),
    "elu": nn.ELU(0.3),
    "exp": torch.exp,
    "gelu_tanh": nn.GELU("tanh"),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "log": torch.log,
    "log_sigmoid": nn.LogSigmoid(),
    "mish": nn.Mish(),
    "power": lambda x: torch.pow(x, 0.3),
    "rsqrt": torch.rsqrt,
    "scale": lambda x: 0.3 * x + 0.9,
    "selu": nn.SELU(),
    "sin": torch.sin,
    "cos": torch.cos,
    "softplus": nn.Softplus(0.3, 0.9),
    "softsign": nn.Softsign(),
    "sqrt": torch.sqrt,
    "tanhshrink": nn.Tanhshrink(),
}


def test_every_function_is_torchs() -> None:
    assert elementwise.FUNCTIONS.keys() == built.FUNCTIONS.keys() == TORCH.keys()
    x = torch.linspace(0.01, 4, 40)
    for name, count in elementwise.FUNCTIONS.items():
        layer = design.Elementwise(
            name="f", inputs=("x",), function=name, arguments=(0.3, 0.9)[:count]
        )
        torch.testing.assert_close(module(layer, (40,))(x), TORCH[name](x), msg=name)


def test_functions_and_arguments_are_checked() -> None:
    with pytest.raises(DesignError, match="f: expected a function of abs, .* received 'swoosh'"):
        design.Elementwise(name="f", inputs=("x",), function="swoosh")
    with pytest.raises(DesignError, match="expected 1 arguments of elu, received ()"):
        design.Elementwise(name="f", inputs=("x",), function="elu")


@pytest.mark.parametrize("scale", [(2, 3), (0.5, 0.25), (1.5, 2.0)])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resizing(mode: str, scale: tuple[float, float]) -> None:
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    names = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
    like = functional.interpolate(x, scale_factor=tuple(map(float, scale)), mode=names[mode])
    layer = design.Resize(name="r", inputs=("x",), scale=tuple(map(float, scale)), mode=mode)
    y = build(only(layer, (3, 8, 12)))(x)
    torch.testing.assert_close(y, like)
    to = design.Resize(name="r", inputs=("x",), size=tuple(like.shape[2:]), mode=mode)
    assert to.output((3, 8, 12)) == like.shape[1:]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("grow", [True, False])
def test_receptive_fields_of_resizing_by_gradient(mode: str, factor: int, grow: bool) -> None:
    """The field of a unit covers exactly what the units of its phase see, all phases together."""
    scale = (float(factor), 1.0) if grow else (1 / factor, 1.0)
    layer = design.Resize(name="r", inputs=("x",), scale=scale, mode=mode)
    network = only(layer, (1, 12, 3))
    net, axis = build(network), receptive_fields(network)["r"].axes[0]
    x = torch.ones(1, 1, 12, 3, requires_grad=True)
    rows = net(x).shape[2]
    middle = (rows // 2 // factor) * factor if grow else rows // 2
    seen: set[int] = set()
    for phase in range(factor if grow else 1):
        (slope,) = torch.autograd.grad(net(x)[0, 0, middle + phase, 1], x)
        base = middle // factor if grow else middle * factor
        seen.update(int(i) - base for i in slope[0, 0, :, 1].nonzero())
    # phases start at offset + phase / factor: all of them together span at most the field
    assert axis.offset <= min(seen) and max(seen) < axis.offset + axis.size + 1
    assert axis.size - 1 <= max(seen) - min(seen) + 1 <= axis.size + 1


def test_gates_and_what_does_not_fit_them() -> None:
    gate = design.Multiply(name="m", inputs=("x", "g"))
    assert gate.output((4, 5, 6), (4, 1, 1)) == (4, 5, 6)
    with pytest.raises(DesignError, match=r"m: expected inputs alike up to axes of 1, received x"):
        gate.output((4, 5, 6), (3, 1, 1))
    with pytest.raises(DesignError, match="alike up to axes of 1"):
        gate.output((4, 5, 6), (4,))


def test_own_tensors_trained_and_constant() -> None:
    x = torch.randn(2, 4, 3, 3)
    for constant in (True, False):
        layer = design.Combine(
            name="c", inputs=("x",), operation="subtract", shape=(1, 4, 1, 1), constant=constant
        )
        net = build(only(layer, (4, 3, 3)))
        tensor = (net.get_buffer if constant else net.get_parameter)("c.weight")
        torch.testing.assert_close(net(x), x - tensor)
        assert net.network.parameter_count() == (0 if constant else 4)
    with pytest.raises(DesignError, match=r"its tensor of \(3,\) does not fit an input of"):
        layer.replace(shape=(3,)).output((4, 2, 2))


def test_batch_norm_without_running_statistics() -> None:
    net = build(only(design.BatchNorm(name="n", inputs=("x",), running=False), (3, 4, 4))).eval()
    x = torch.randn(5, 3, 4, 4) * 3 + 1
    torch.testing.assert_close(net(x), nn.BatchNorm2d(3, track_running_stats=False)(x))
    assert not list(net.buffers())


def test_instance_norm_is_group_norm_of_single_channels() -> None:
    x = torch.randn(2, 6, 5, 5) + 2
    layer = design.GroupNorm(name="n", inputs=("x",), groups=None)
    net = build(only(layer, (6, 5, 5)))
    torch.testing.assert_close(net(x), nn.InstanceNorm2d(6, affine=True)(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(DesignError, match="expected channels divisible by groups=4, received 6"):
        layer.replace(groups=4).output((6, 5, 5))


def test_whole_channels_are_dropped_by_address() -> None:
    layer = design.ChannelDropout(name="d", inputs=("x",), p=0.5)
    net = build(only(layer, (16, 3, 3))).train()
    x = torch.ones(6, 16, 3, 3)
    with placement(seed=0, step=3, total=6):
        masked = net(x)
    assert set(masked.flatten(2).sum(2).unique().tolist()) == {0.0, 18.0}
    with placement(seed=0, step=3, total=6, offset=2):
        assert torch.equal(net(x[2:4]), masked[2:4])
    assert set(net(x).flatten(2).sum(2).unique().tolist()) == {0.0, 18.0}
    assert torch.equal(net.eval()(x), x)


def test_shuffling_channels_keeps_places() -> None:
    """ShuffleNet's: (g, c/g) turned into (c/g, g)."""
    net = Sketch("shuffle", (6, 9, 9))
    net.conv("conv", 6, 3)
    net.put(design.Reshape(name="cut", inputs=(net.last,), shape=(2, 3, 7, 7), kept=2))
    net.put(design.Permute(name="turn", inputs=(net.last,), order=(1, 0, 2, 3)))
    net.put(design.Reshape(name="join", inputs=(net.last,), shape=(6, 7, 7), kept=2))
    network = net.finish()
    built_net = build(network)
    x = torch.randn(2, 6, 9, 9)
    y = built_net.get_submodule("conv")(x)
    torch.testing.assert_close(built_net(x), functional.channel_shuffle(y, 2))
    assert receptive_fields(network)["join"].axes[0].size == 3
    assert network.with_input((6, 12, 12)).shapes()["join"] == (6, 10, 10)


def test_a_reshape_says_what_it_got_and_what_would_fit() -> None:
    net = Sketch("lenet", (3, 28, 28))
    net.conv("conv1", 16, 5)
    net.max_pool("pool", 4)
    net.put(design.Reshape(name="view", inputs=(net.last,), shape=(784,)))
    with pytest.raises(DesignError, match="view expects 784 features, received 576 = 16x6x6"):
        net.finish()


def test_slices_move_the_field() -> None:
    net = Sketch("slice", (4, 16, 16))
    ranges = ((0, 2, 1), (3, None, 2))
    net.put(design.Slice(name="part", inputs=("x",), ranges=ranges))
    field = receptive_fields(net.finish())["part"]
    assert [(a.size, a.stride, a.offset) for a in field.axes] == [(1, 2, 3), (1, 1, 0)]
    x = torch.randn(2, 4, 16, 16)
    assert torch.equal(build(net.finish())(x), x[:, 0:2, 3::2])


def test_linear_at_each_place_counts_places() -> None:
    layer = design.LinearLast(name="fc", inputs=("x",), features=7, in_features=5)
    assert (layer.output((3, 4, 5)), layer.macs((3, 4, 5))) == ((3, 4, 7), 3 * 4 * 5 * 7)
    with pytest.raises(DesignError, match=r"fc expects 5 features in the last axis, received"):
        layer.output((3, 4, 6))
