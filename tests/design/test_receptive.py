"""Receptive fields: published values, and those that a gradient measures."""

from __future__ import annotations

import pytest
import torch

from striate import design, zoo
from striate.design import Network, Sketch, receptive_fields
from striate.layers import build


@pytest.mark.parametrize(
    ("network", "value", "size", "stride"),
    [
        ("alexnet_onetower", "pool5", 195, 32),
        ("vgg16", "features.30", 212, 32),
        ("resnet18", "layer4.1.relu1", 435, 32),
        ("resnet50", "layer4.2.relu2", 427, 32),
        ("resnet152", "layer4.2.relu2", 1451, 32),
    ],
)
def test_published(network: str, value: str, size: int, stride: int) -> None:
    field = receptive_fields(zoo.network(network))[value]
    assert [(axis.size, axis.stride) for axis in field.axes] == [(size, stride)] * 2
    assert field.aligned


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11", "resnet18", "resnet20"])
def test_equal_to_the_gradient(name: str) -> None:
    """Positive weights, average pooling, no norms: the gradient is non-zero just on the field."""
    network = _thin(zoo.network(name))
    last = network.layers[-1].name
    field = receptive_fields(network)[last].axes[1]
    net = build(network).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.5)
    x = torch.zeros(1, *network.input_shape, dtype=torch.float64, requires_grad=True)
    unit = net(x)[0, 0]
    row, column = (size // 2 for size in unit.shape)
    unit[row, column].backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum((0, 1)).nonzero().flatten().tolist()
    start = field.offset + column * field.stride
    inside = range(max(start, 0), min(start + field.size, x.shape[-1]))
    assert seen == list(inside)


def _thin(network: Network) -> Network:
    """Return the spatial part with one channel a layer, norms off, max pooling as average."""
    sketch = Sketch(network.name, (1, 70, 700))
    names = {network.inputs[0].name: sketch.input.name}
    for layer in network.layers:
        if isinstance(layer, design.Flatten | design.AdaptivePool):
            break
        inputs = tuple(names[name] for name in layer.inputs)
        if isinstance(layer, design.Conv):
            thin: design.Layer = layer.replace(inputs=inputs, features=1, bias="none")
        elif isinstance(layer, design.MaxPool):
            thin = design.AvgPool(
                name=layer.name,
                inputs=inputs,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil=layer.ceil,
            )
        elif isinstance(layer, design.Shortcut):
            thin = layer.replace(inputs=inputs, features=1)
        elif isinstance(layer, design.Add):
            thin = layer.replace(inputs=inputs)
        else:
            thin = design.Identity(name=layer.name, inputs=inputs)
        names[layer.name] = sketch.put(thin)
    return sketch.finish()


def test_unaligned_branches_are_said() -> None:
    net = Sketch("t", (1, 20, 20))
    left = net.conv("left", 1, 3, padding=((0, 2), (0, 2)))
    right = net.conv("right", 1, 3, padding=1, of="x")
    net.add("sum", left, right)
    field = receptive_fields(net.finish())["sum"]
    assert not field.aligned
    assert [(a.size, a.offset) for a in field.axes] == [(4, -1)] * 2
    assert sorted(axes[0].offset for axes in field.alternatives) == [-1, 0]
