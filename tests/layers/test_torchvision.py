"""Nets as torchvision writes them: the same keys in the same order, the same shapes and answers.

torchvision is no dependency, so its modules are written out again, as short as they go.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from striate import zoo
from striate.layers import build


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample(channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(
        self, channels: int, planes: int, stride: int, groups: int = 1, base: int = 64
    ) -> None:
        super().__init__()
        width = planes * base // 64 * groups
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample(channels, 4 * planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


def downsample(channels: int, features: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels == features:
        return None
    conv = nn.Conv2d(channels, features, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(features))


class ResNet(nn.Module):
    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], counts: list[int], *groups: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(counts):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(block(channels, 64 * 2**stage, stride, *groups))
                channels = 64 * 2**stage * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Classic(nn.Module):
    """AlexNet and VGG: features, pooling to a size, classifier."""

    def __init__(self, features: nn.Module, size: int, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(size)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def alexnet() -> nn.Module:
    features = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
    )
    classifier = nn.Sequential(
        *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True)),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
        nn.Linear(4096, 1000),
    )
    return Classic(features, 6, classifier)


def vgg(widths: str) -> nn.Module:
    features: list[nn.Module] = []
    channels = 3
    for width in widths.split():
        if width == "M":
            features.append(nn.MaxPool2d(2, 2))
        else:
            features += [nn.Conv2d(channels, int(width), 3, padding=1), nn.ReLU(inplace=True)]
            channels = int(width)
    classifier = nn.Sequential(
        *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        nn.Linear(4096, 1000),
    )
    return Classic(nn.Sequential(*features), 7, classifier)


THEIRS = {
    "alexnet": alexnet,
    "vgg11": lambda: vgg("64 M 128 M 256 256 M 512 512 M 512 512 M"),
    "vgg16": lambda: vgg("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
    "resnext50_32x4d": lambda: ResNet(Bottleneck, [3, 4, 6, 3], 32, 4),
    "resnet18": lambda: ResNet(BasicBlock, [2, 2, 2, 2]),
    "resnet34": lambda: ResNet(BasicBlock, [3, 4, 6, 3]),
    "resnet50": lambda: ResNet(Bottleneck, [3, 4, 6, 3]),
    "resnet101": lambda: ResNet(Bottleneck, [3, 4, 23, 3]),
    "resnet152": lambda: ResNet(Bottleneck, [3, 8, 36, 3]),
}


@pytest.mark.parametrize("name", THEIRS)
def test_keys_and_shapes(name: str) -> None:
    with torch.device("meta"):
        theirs = THEIRS[name]()
    ours = build(zoo.network(name), seed=None)
    expected = [(key, tuple(value.shape)) for key, value in theirs.state_dict().items()]
    assert [(key, tuple(value.shape)) for key, value in ours.state_dict().items()] == expected


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    ours = build(zoo.network(name), seed=1)
    with torch.device("meta"):
        theirs = THEIRS[name]()
    state = {key: value.detach().clone() for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, assign=True)
    return ours, theirs.requires_grad_()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_same_answers_and_gradients(name: str) -> None:
    ours, theirs = pair(name)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for net in (ours, theirs):
        net(x).square().sum().backward()
    for key, parameter in theirs.named_parameters():
        assert torch.equal(ours.get_parameter(key).grad, parameter.grad), key
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_the_same_answers_of_alexnet() -> None:
    ours, theirs = pair("alexnet")
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))
