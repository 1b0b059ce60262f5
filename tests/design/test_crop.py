"""The crop of a unit is exactly what it sees: by gradient, and by altering everything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from striate import design, engine, zoo
from striate.errors import DesignError, UsageError
from striate.explain import walk
from striate.layers import Conv2d, Net, build
from striate.randomness import stream

NETS = {
    "lenet": (1, 28, 28),
    "vgg11": (3, 64, 64),
    "resnet18": (3, 96, 96),
    "googlenet": (3, 96, 96),
    "squeezenet1_0": (3, 96, 96),
    "densenet121": (3, 64, 64),
}
UNITS = 204  # over all networks


def ending_at(network: design.Network, layer: str) -> design.Network:
    """The same network up to a layer, which is its output."""
    cut = network.replace(outputs=(design.Output(name="unit", source=layer),))
    needed = cut.needed(train=False)
    return cut.replace(layers=tuple(each for each in cut.layers if each.name in needed))


@contextmanager
def computed_by(algorithm: str, net: Net) -> Iterator[None]:
    """Have every convolution of images computed by one of our algorithms."""
    convolutions = [module for module in net.modules() if isinstance(module, Conv2d)]
    for module in convolutions:
        module.algorithm = algorithm
    try:
        yield
    finally:
        for module in convolutions:
            module.algorithm = "default"


def placed(network: design.Network) -> list[str]:
    """Layers whose units still stand somewhere."""
    shapes, needed = network.shapes(), network.needed(train=False)
    return [
        layer.name
        for layer in network.layers
        if layer.name in needed and len(shapes[layer.name]) == 3
    ]


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETS)
def test_what_lies_outside_a_crop_never_changes_the_unit(name: str, every: int) -> None:
    """Bit for bit by the direct algorithm; but for rounding by torch's, and every so many fused."""
    shape = NETS[name]
    network = zoo.network(name, classes=5, input=shape)
    net = build(network, seed=2).eval()
    layers = placed(network)
    inside = 0
    for number in range(UNITS // len(NETS)):
        chance = stream(0, name, number)
        layer = layers[int(chance.integers("layer", 0, len(layers) - 1))]
        channels, height, width = network.shapes()[layer]
        channel = int(chance.integers("channel", 0, channels - 1))
        row, column = (
            int(chance.integers("row", 0, height - 1)),
            int(chance.integers("column", 0, width - 1)),
        )
        box = design.crop(network, layer, (row, column))
        images = torch.from_numpy(chance.normal("image", size=(2, *shape))).float()
        (top, bottom), (left, right) = box
        images[1, :, top:bottom, left:right] = images[0, :, top:bottom, left:right]
        inside += (bottom - top, right - left) == shape[1:]
        with torch.no_grad():
            found = walk(net, images, (layer,))[layer]
            fast = found[:, channel, row, column]
            with computed_by("direct", net):  # one sum an output, in one order
                exact = walk(net, images, (layer,))[layer][:, channel, row, column]
        assert exact[0] == exact[1], (layer, (row, column), box)
        assert abs(fast[0] - fast[1]) <= 1e-5 * found.abs().max(), (layer, (row, column), box)
        if number % every == 0:
            part = build(ending_at(network, layer), parameters=net).eval()
            with torch.no_grad():
                fused = engine.accelerate(part, images, plan="default")(images)
            apart = fused[:, channel, row, column].diff().abs()
            assert apart <= 1e-5 * fused.abs().max(), (layer, (row, column), box)
    assert inside < UNITS // len(NETS)  # else nothing was altered


@pytest.mark.parametrize("name", ["lenet", "resnet18", "googlenet"])
def test_a_crop_is_no_larger_than_what_is_seen(name: str) -> None:
    """Positive weights and a linear net: every pixel of the field has a gradient."""
    shape = (NETS[name][0], 96, 96) if name != "lenet" else (1, 28, 28)
    network = zoo.network(name, classes=5, input=shape)
    net = build(network, seed=0).double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.abs() + 0.01)

    def smooth(layer: design.Layer, x: torch.Tensor) -> torch.Tensor | None:
        if isinstance(layer, design.MaxPool):
            mean = design.AvgPool(
                name="mean",
                inputs=("x",),
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil=layer.ceil,
            )
            from striate.layers import module

            return module(mean, tuple(x.shape[1:]))(x)
        return x if isinstance(layer, design.Activation) else None

    for number, layer in enumerate(placed(network)[::5]):
        _, height, width = network.shapes()[layer]
        place = (number % height, (number * 3) % width)
        image = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
        value = walk(net, image, (layer,), smooth)[layer]
        (slope,) = torch.autograd.grad(value[0, :, *place].sum(), image)
        seen = slope[0].abs().sum(0) > 0
        rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
        edges = (
            (int(rows.min()), int(rows.max()) + 1),
            (int(columns.min()), int(columns.max()) + 1),
        )
        assert design.crop(network, layer, place) == edges, layer


def test_upsampling_and_uneven_windows() -> None:
    sketch = design.Network(
        name="up",
        inputs=(design.Input(name="x", shape=(2, 9, 11)),),
        layers=(
            design.AdaptiveAvgPool(name="pool", inputs=("x",), size=(4, 5)),
            design.ConvTranspose(
                name="up",
                inputs=("pool",),
                features=3,
                kernel=(3, 3),
                stride=(2, 2),
                padding=((1, 1), (1, 1)),
                extra=(1, 1),
                dilation=(1, 1),
            ),
        ),
        outputs=(design.Output(name="y", source="up"),),
    )
    net = build(sketch, seed=1).double().eval()
    _, height, width = sketch.shapes()["up"]
    for row in range(height):
        for column in range(width):
            image = torch.ones(1, 2, 9, 11, dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(net(image)[0, :, row, column].sum(), image)
            seen = slope[0].abs().sum(0) > 0
            rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
            assert design.crop(sketch, "up", (row, column)) == (
                (int(rows.min()), int(rows.max()) + 1),
                (int(columns.min()), int(columns.max()) + 1),
            )


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [2.0, 3.0, 4.0, 1 / 2, 1 / 3, 1 / 4])
def test_what_resizing_sees_is_what_has_a_gradient(mode: str, factor: float) -> None:
    """Each unit of an image made larger or smaller by a whole number."""
    net = design.Sketch("t", (1, 12, 12))
    net.put(
        design.Resize(name="it", inputs=("x",), scale=(factor, factor), mode=mode)  # type: ignore[arg-type]
    )
    network = net.finish()
    built = build(network, seed=0)
    _, height, width = network.shapes()["it"]
    for row in range(height):
        image = torch.ones(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(built(image)[0, 0, row, width // 2], image)
        seen = slope[0, 0].abs() > 0
        (top, bottom), (left, right) = design.crop(network, "it", (row, width // 2))
        rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
        assert top <= int(rows.min()) and int(rows.max()) < bottom
        assert left <= int(columns.min()) and int(columns.max()) < right
        reach = {"nearest": 1, "linear": 2}[mode] if factor > 1 else max(1, bottom - top)
        assert bottom - top <= max(reach, int(rows.max() - rows.min()) + 2)


def test_a_gate_sees_the_whole_image_and_what_it_gates_does_too() -> None:
    net = design.Sketch("t", (2, 9, 7))
    net.conv("c", 2, 3, padding=1)
    net.put(design.Reduce(name="gate", inputs=("c",), function="mean", axes=(1, 2)))
    net.put(design.Multiply(name="gated", inputs=("c", "gate")))
    network = net.finish()
    assert design.crop(network, "c", (4, 0)) == ((3, 6), (0, 2))
    for name, place in (("gate", (0, 0)), ("gated", (4, 0))):
        assert design.crop(network, name, place) == ((0, 9), (0, 7))


def test_a_unit_that_is_not_there_is_refused() -> None:
    network = zoo.network("lenet")
    with pytest.raises(DesignError, match=r"pool1: expected a place within \(14, 14\), received"):
        design.crop(network, "pool1", (14, 0))
    with pytest.raises(UsageError, match="has no layer or scope 'pool9'. Did you mean pool1"):
        design.crop(network, "pool9", (0, 0))
    whole = design.crop(network, network.outputs[0].source, ())
    assert whole == ((0, 28), (0, 28))
