"""One training step of every registered network: a finite loss, and a gradient everywhere.

The larger ones are thinned on paper (an eighth of the features, the smallest images that say
something), which keeps their graph; the slow sweep takes them as they are.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.networks import NAMES
from torch import Tensor

from striate import zoo
from striate.design import Conv, Layer, Linear, Network, Reshape, Shortcut, Sketch
from striate.errors import DesignError
from striate.layers import build
from striate.train.objective import CrossEntropy

CLASSES = 4


@pytest.mark.parametrize("name", NAMES)
def test_one_step(name: str) -> None:
    network = zoo.network(name, classes=None if zoo.entry(name).per_position else CLASSES)
    if network.macs() > 100_000_000:
        network = smaller(thin(network, 8))
    step(network, batch=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_one_step_at_full_size(name: str) -> None:
    step(zoo.network(name), batch=2)


def step(network: Network, batch: int) -> None:
    net = build(network, seed=1)
    stream = np.random.default_rng(0)
    pixels = stream.standard_normal((batch, *network.input_shape), np.float32)
    outputs: Tensor | dict[str, Tensor] = net(torch.from_numpy(pixels))
    labels = torch.arange(batch) % network.classes
    if network.classes > 1:
        loss = CrossEntropy().cross_entropy(outputs, network, labels)
    else:  # a value, of which the softmax is always 1
        assert isinstance(outputs, Tensor)
        loss = (outputs - 1).square().mean()
    loss.backward()
    assert loss.isfinite()
    for name, parameter in net.named_parameters():
        gradient = parameter.grad
        assert gradient is not None and gradient.isfinite().all() and gradient.any(), name


def thin(network: Network, factor: int) -> Network:
    """Divide the features of every layer but classifiers, and the groups with them.

    Depthwise ones stay depthwise; other groups are as many as still divide what they read and give.
    What is written for just so many channels is left as it is.
    """
    other, _ = network.with_classes(network.classes + 1)
    layers: list[Layer] = []
    shapes = {each.name: each.shape for each in network.inputs}
    for layer, changed in zip(network.layers, other.layers, strict=True):
        if isinstance(layer, Conv | Linear | Shortcut) and layer == changed:
            features = max(layer.features // factor, 1)
            if isinstance(layer, Conv) and layer.groups == layer.features:
                layer = layer.replace(groups=features)
            elif isinstance(layer, Conv):
                channels = shapes[layer.inputs[0]][0]
                layer = layer.replace(groups=math.gcd(layer.groups, features, channels))
            layer = layer.replace(features=features)
        layers.append(layer)
        try:
            shapes[layer.name] = layer.output(*(shapes[name] for name in layer.inputs))
        except DesignError:
            return network
    return network.replace(layers=tuple(layers))


def smaller(network: Network) -> Network:
    """Return the network over the smallest of a few usual images."""
    channels, *space = network.input_shape
    for size in (64, 96, 128):
        if size >= min(space):
            break
        try:
            return network.with_input((channels, size, size))
        except DesignError:
            continue
    return network


def test_thinned_groups_divide_what_they_read_and_give() -> None:
    """ResNeXt's 32 groups are as many as divide an eighth of its channels; MobileNet's are one."""
    grouped = thin(zoo.network("resnext50_32x4d"), 8).layer("layer1.0.conv2")
    assert isinstance(grouped, Conv) and (grouped.features, grouped.groups) == (16, 16)
    lone = thin(zoo.network("mobilenet_v1"), 8)
    assert all(each.groups in (1, each.features) for each in lone.layers if isinstance(each, Conv))
    shuffled = Sketch("shuffled", (3, 8, 8))
    shuffled.conv("conv", 16, 1)
    shuffled.put(Reshape(name="apart", inputs=("conv",), shape=(2, 8, 8, 8), kept=2))
    shuffled.put(Reshape(name="whole", inputs=("apart",), shape=(16, 8, 8), kept=2))
    shuffled.adaptive_avg_pool("pool")
    shuffled.flatten()
    shuffled.linear("fc", 3)
    assert thin(shuffled.finish(), 8) == shuffled.finish()


def test_heads_for_training_take_part_with_their_weight() -> None:
    """GoogLeNet's loss is the classifier's and 0.3 of each head's; evaluation has one output."""
    network = smaller(thin(zoo.network("googlenet", classes=CLASSES), 8))
    net = build(network, seed=1)
    x = torch.zeros(2, *network.input_shape)
    outputs, labels = net(x), torch.tensor([0, 1])
    assert list(outputs) == ["logits", "aux1", "aux2"]
    entropy = torch.nn.functional.cross_entropy
    losses = [entropy(each, labels, reduction="sum") for each in outputs.values()]
    expected = losses[0] + 0.3 * (losses[1] + losses[2])
    torch.testing.assert_close(CrossEntropy().cross_entropy(outputs, network, labels), expected)
    assert net.eval()(x).shape == (2, CLASSES)
