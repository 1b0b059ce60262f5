"""LeNet-5's and the Neocognitron's modules against their papers' formulas, unit by unit."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from striate import design
from striate.design import Codes, DesignError, Fading, Input, Layer, Network, Output, Rbf
from striate.layers import build


def only(layer: Layer, shape: tuple[int, ...]) -> Network:
    return Network(
        name="only",
        inputs=(Input(name="x", shape=shape),),
        layers=(layer,),
        outputs=(Output(name="y", source=layer.name),),
    )


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_subsampling_adds_and_does_not_average() -> None:
    layer = design.Subsample(
        name="s2", inputs=("x",), kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    net, x = build(only(layer, (6, 28, 28))), numbers(2, 6, 28, 28)
    weight, bias = net.get_parameter("s2.weight"), net.get_parameter("s2.bias")
    y = net(x)
    own = weight[3] * x[1, 3, 8:10, 4:6].sum() + bias[3]
    torch.testing.assert_close(y[1, 3, 4, 2], own)
    assert layer.connection_count((6, 28, 28)) == 5880
    assert sum(each.size for each in layer.parameters((6, 28, 28))) == 12
    with pytest.raises(DesignError, match="s2: expected sums of whole windows"):
        layer.replace(ceil=True)


@pytest.mark.parametrize("fixed", [True, False])
def test_distances_to_codes(fixed: bool) -> None:
    layer = Rbf(
        name="out",
        inputs=("x",),
        features=4,
        fixed=fixed,
        weight_init=Codes(words=("##.", "...", ".#.")),
    )
    network = only(layer, (3,))
    net, x = build(network, seed=1), numbers(5, 3)
    codes = (net.get_buffer if fixed else net.get_parameter)("out.weight")
    assert codes[:3].tolist() == [[1, 1, -1], [-1, -1, -1], [-1, 1, -1]]
    assert set(codes[3].tolist()) <= {1.0, -1.0}  # drawn, as there is no word for it
    torch.testing.assert_close(net(x), torch.cdist(x, codes).square(), rtol=1e-4, atol=1e-5)
    assert network.parameter_count() == (0 if fixed else 12)
    assert network.answer == "distances"
    again = build(network, seed=None)
    again.load_state_dict(net.state_dict(), assign=True)
    assert torch.equal(again(x), net(x))


def test_codes_that_do_not_fit() -> None:
    layer = Rbf(name="out", inputs=("x",), features=2, weight_init=Codes(words=("##.", "...")))
    with pytest.raises(DesignError, match="out expects 3 features, the length of its codes"):
        layer.output((4,))
    with pytest.raises(DesignError, match="put a Flatten before it"):
        layer.output((3, 1, 1))


def test_distances_stay_exact_under_automatic_precision() -> None:
    layer = Rbf(name="out", inputs=("x",), features=3)
    net, x = build(only(layer, (84,)), seed=1), numbers(2, 84)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, net(x))


def test_fixed_synapses_fade() -> None:
    layer = design.CCells(
        name="c",
        inputs=("x",),
        kernel=(3, 3),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        fading=Fading(ratio=0.5, total=2.0),
    )
    d = build(only(layer, (2, 5, 5))).get_buffer("c.fixed")[0, 0]
    torch.testing.assert_close(d.sum(), torch.tensor(2.0))
    torch.testing.assert_close(d[1, 0] / d[1, 1], torch.tensor(0.5))
    torch.testing.assert_close(d[0, 0] / d[1, 1], torch.tensor(0.5**2**0.5))


def test_s_cells_as_in_the_paper() -> None:
    layer = design.SCells(
        name="s",
        inputs=("x",),
        features=3,
        kernel=(3, 3),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        selectivity=4.0,
    )
    net, x = build(only(layer, (2, 6, 6))), numbers(1, 2, 6, 6).relu()
    a, b = net.get_parameter("s.weight").abs(), net.get_parameter("s.inhibition").abs()
    c = net.get_buffer("s.fixed")[0, 0]
    window = functional.pad(x, (1, 1, 1, 1))[0, :, 2:5, 3:6]
    v = (c * window.square()).sum().sqrt()
    for k in range(3):
        ratio = (1 + (a[k] * window).sum()) / (1 + 4 / 5 * b[k] * v)
        torch.testing.assert_close(net(x)[0, k, 2, 3], 4 * torch.relu(ratio - 1), atol=1e-4, rtol=0)


def test_c_cells_as_in_the_paper() -> None:
    layer = design.CCells(
        name="c", inputs=("x",), kernel=(3, 3), stride=(1, 1), padding=((0, 0), (0, 0))
    )
    net, x = build(only(layer, (4, 6, 6))), numbers(1, 4, 6, 6).relu()
    d = net.get_buffer("c.fixed")[0, 0]
    e = [(d * x[0, k, 1:4, 2:5]).sum() for k in range(4)]
    for k in range(4):
        z = torch.relu((1 + e[k]) / (1 + sum(e) / 4) - 1)
        torch.testing.assert_close(net(x)[0, k, 1, 2], z / (0.5 + z))
    assert not list(net.parameters())
