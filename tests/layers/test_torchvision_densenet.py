"""DenseNet as torchvision writes it: the same keys in the same order, the same answers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import zoo
from striate.layers import build
from striate.zoo.densenet import densenet


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        y: Tensor = self.conv2(self.relu2(self.norm2(x)))
        return y


class DenseBlock(nn.ModuleDict):
    def __init__(self, layers: int, channels: int, growth: int) -> None:
        super().__init__()
        for index in range(layers):
            self[f"denselayer{index + 1}"] = DenseLayer(channels + index * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


def transition(channels: int) -> nn.Sequential:
    parts = {
        "norm": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "conv": nn.Conv2d(channels, channels // 2, 1, bias=False),
        "pool": nn.AvgPool2d(2),
    }
    return nn.Sequential(OrderedDict(parts))


class DenseNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...], growth: int, classes: int) -> None:
        super().__init__()
        channels = 2 * growth
        parts: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(3, channels, 7, 2, 3, bias=False),
            "norm0": nn.BatchNorm2d(channels),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        for index, layers in enumerate(blocks, start=1):
            parts[f"denseblock{index}"] = DenseBlock(layers, channels, growth)
            channels += layers * growth
            if index < len(blocks):
                parts[f"transition{index}"] = transition(channels)
                channels //= 2
        parts[f"norm{len(blocks) + 1}"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(OrderedDict(parts))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.features(x))
        y = functional.adaptive_avg_pool2d(y, 1).flatten(1)
        out: Tensor = self.classifier(y)
        return out


def shapes_of(net: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(each.shape)) for name, each in net.state_dict().items()]


def test_keys_and_shapes_of_densenet121() -> None:
    with torch.device("meta"):
        theirs = DenseNet((6, 12, 24, 16), 32, 1000)
    assert shapes_of(build(zoo.network("densenet121"), seed=None)) == shapes_of(theirs)


def test_the_same_answers() -> None:
    """On a small one; blocks, transitions and their order are those of all."""
    torch.manual_seed(0)
    theirs = DenseNet((2, 3), 4, 5).eval()
    network = densenet((2, 3), 4, 8, name="small", classes=5, input=(3, 64, 64))
    ours = build(network).eval()
    for _, buffer in theirs.named_buffers():
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x))
    ours.train(), theirs.train()
    torch.testing.assert_close(ours(x), theirs(x))
