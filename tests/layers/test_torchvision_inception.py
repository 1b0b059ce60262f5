"""GoogLeNet, Inception-v3, SqueezeNet and VGG with batch norm as torchvision writes them.

As in test_torchvision: the same keys, shapes, answers and gradients, with its modules written out
again, as short as they go.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import zoo
from striate.layers import build


class Basic(nn.Module):
    def __init__(self, channels: int, features: int, kernel: int | tuple, **kwargs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, features, kernel, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(features, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, channels: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        super().__init__()
        self.branch1 = Basic(channels, a, 1)
        self.branch2 = nn.Sequential(Basic(channels, b, 1), Basic(b, c, 3, padding=1))
        self.branch3 = nn.Sequential(Basic(channels, d, 1), Basic(d, e, 3, padding=1))
        pool = nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)
        self.branch4 = nn.Sequential(pool, Basic(channels, f, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], 1)


class GoogLeNetHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Basic(channels, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(functional.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(functional.relu(self.fc1(x)))


class GoogLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Basic(3, 64, 7, stride=2, padding=3)
        self.conv2 = Basic(64, 64, 1)
        self.conv3 = Basic(64, 192, 3, padding=1)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1, self.aux2 = GoogLeNetHead(512), GoogLeNetHead(528)
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        pool = functional.max_pool2d
        x = pool(self.conv1(x), 3, 2, ceil_mode=True)
        x = pool(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        x = pool(self.inception3b(self.inception3a(x)), 3, 2, ceil_mode=True)
        x = self.inception4a(x)
        aux1 = self.aux1(x)
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x)
        x = pool(self.inception4e(x), 2, 2, ceil_mode=True)
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return {"logits": logits, "aux1": aux1, "aux2": aux2} if self.training else logits


class Mixed(nn.Module):
    """A module of Inception-v3: branches by name, each a list of (features, kernel, stride)."""

    def __init__(self, channels: int, **units: tuple) -> None:
        super().__init__()
        self.features = {}
        for name, (source, features, kernel, *valid) in units.items():
            height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            around = {"stride": 2} if valid else {"padding": (height // 2, width // 2)}
            inputs = self.features.get(source, channels)
            self.add_module(name, Basic(inputs, features, (height, width), **around))
            self.features[name] = features
        self.sources = {name: unit[0] for name, unit in units.items()}

    def forward(self, x: Tensor) -> Tensor:
        values = {"x": x, "average": functional.avg_pool2d(x, 3, 1, 1)}
        for name, source in self.sources.items():
            values[name] = self.get_submodule(name)(values[source])
        read = set(self.sources.values())
        kept = [values[name] for name in self.sources if name not in read]
        if "branch_pool" not in self.sources:
            kept.append(functional.max_pool2d(x, 3, 2))
        return torch.cat(kept, 1)


def mixed_5(channels: int, pooled: int) -> Mixed:
    return Mixed(
        channels,
        branch1x1=("x", 64, 1),
        branch5x5_1=("x", 48, 1),
        branch5x5_2=("branch5x5_1", 64, 5),
        branch3x3dbl_1=("x", 64, 1),
        branch3x3dbl_2=("branch3x3dbl_1", 96, 3),
        branch3x3dbl_3=("branch3x3dbl_2", 96, 3),
        branch_pool=("average", pooled, 1),
    )


def mixed_6(c: int) -> Mixed:
    return Mixed(
        768,
        branch1x1=("x", 192, 1),
        branch7x7_1=("x", c, 1),
        branch7x7_2=("branch7x7_1", c, (1, 7)),
        branch7x7_3=("branch7x7_2", 192, (7, 1)),
        branch7x7dbl_1=("x", c, 1),
        branch7x7dbl_2=("branch7x7dbl_1", c, (7, 1)),
        branch7x7dbl_3=("branch7x7dbl_2", c, (1, 7)),
        branch7x7dbl_4=("branch7x7dbl_3", c, (7, 1)),
        branch7x7dbl_5=("branch7x7dbl_4", 192, (1, 7)),
        branch_pool=("average", 192, 1),
    )


def mixed_7(channels: int) -> Mixed:
    return Mixed(
        channels,
        branch1x1=("x", 320, 1),
        branch3x3_1=("x", 384, 1),
        branch3x3_2a=("branch3x3_1", 384, (1, 3)),
        branch3x3_2b=("branch3x3_1", 384, (3, 1)),
        branch3x3dbl_1=("x", 448, 1),
        branch3x3dbl_2=("branch3x3dbl_1", 384, 3),
        branch3x3dbl_3a=("branch3x3dbl_2", 384, (1, 3)),
        branch3x3dbl_3b=("branch3x3dbl_2", 384, (3, 1)),
        branch_pool=("average", 192, 1),
    )


class InceptionHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.conv1 = Basic(768, 128, 1), Basic(128, 768, 5)
        self.fc = nn.Linear(768, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(functional.avg_pool2d(x, 5, 3)))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class InceptionV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Basic(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Basic(32, 32, 3)
        self.Conv2d_2b_3x3 = Basic(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Basic(64, 80, 1)
        self.Conv2d_4a_3x3 = Basic(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c = mixed_5(192, 32), mixed_5(256, 64)
        self.Mixed_5d = mixed_5(288, 64)
        self.Mixed_6a = Mixed(
            288,
            branch3x3=("x", 384, 3, "valid"),
            branch3x3dbl_1=("x", 64, 1),
            branch3x3dbl_2=("branch3x3dbl_1", 96, 3),
            branch3x3dbl_3=("branch3x3dbl_2", 96, 3, "valid"),
        )
        self.Mixed_6b, self.Mixed_6c = mixed_6(128), mixed_6(160)
        self.Mixed_6d, self.Mixed_6e = mixed_6(160), mixed_6(192)
        self.AuxLogits = InceptionHead()
        self.Mixed_7a = Mixed(
            768,
            branch3x3_1=("x", 192, 1),
            branch3x3_2=("branch3x3_1", 320, 3, "valid"),
            branch7x7x3_1=("x", 192, 1),
            branch7x7x3_2=("branch7x7x3_1", 192, (1, 7)),
            branch7x7x3_3=("branch7x7x3_2", 192, (7, 1)),
            branch7x7x3_4=("branch7x7x3_3", 192, 3, "valid"),
        )
        self.Mixed_7b, self.Mixed_7c = mixed_7(1280), mixed_7(2048)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(functional.max_pool2d(x, 3, 2))))
        x = self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x))))
        x = self.Mixed_6e(x)
        aux = self.AuxLogits(x) if self.training else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits if aux is None else {"logits": logits, "aux": aux}


class Fire(nn.Module):
    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat(
            [functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))], 1
        )


class SqueezeNet(nn.Module):
    def __init__(self, kernel: int, plan: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 96 if kernel == 7 else 64
        layers += [nn.Conv2d(3, channels, kernel, stride=2), nn.ReLU()]
        for word in plan.split():
            if word == "M":
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                squeeze = int(word)
                layers.append(Fire(channels, squeeze, 4 * squeeze))
                channels = 8 * squeeze
        self.features = nn.Sequential(*layers)
        pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Identity(), nn.Conv2d(512, 1000, 1), nn.ReLU(), pool, nn.Flatten()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class VGG(nn.Module):
    def __init__(self, plan: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for word in plan.split():
            if word == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                width = int(word)
                conv = nn.Conv2d(channels, width, 3, padding=1)
                layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            *(nn.Linear(25088, 4096), nn.ReLU(), nn.Identity()),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Identity()),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(functional.adaptive_avg_pool2d(self.features(x), 7).flatten(1))


THEIRS = {
    "googlenet_bn": GoogLeNet,
    "inception_v3": InceptionV3,
    "squeezenet1_0": lambda: SqueezeNet(7, "M 16 16 32 M 32 48 48 64 M 64"),
    "squeezenet1_1": lambda: SqueezeNet(3, "M 16 16 M 32 32 M 48 48 64 64"),
    "vgg11_bn": lambda: VGG("64 M 128 M 256 256 M 512 512 M 512 512 M"),
    "vgg16_bn": lambda: VGG("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
}


@pytest.mark.parametrize("name", THEIRS)
def test_keys_and_shapes(name: str) -> None:
    with torch.device("meta"):
        theirs = THEIRS[name]()
    ours = build(zoo.network(name), seed=None)
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == expected


@pytest.mark.parametrize(
    ("name", "size"),
    [("googlenet_bn", 65), ("inception_v3", 299), ("squeezenet1_0", 64), ("squeezenet1_1", 65)],
)
def test_the_same_answers_and_gradients(name: str, size: int) -> None:
    """The published tensors load strictly and mean the same, also in the heads for training."""
    ours = build(zoo.network(name, input=(3, size, size)), seed=1)
    with torch.device("meta"):
        theirs = THEIRS[name]()
    state = {key: value.detach().clone() for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, assign=True)
    theirs.requires_grad_()
    for layer in ours.network.layers:
        if layer.name.endswith("dropout") or layer.name == "classifier.0":
            ours.get_submodule(layer.name).eval()
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    for net in (ours, theirs):
        found = net(x)
        outputs = found if isinstance(found, dict) else {"logits": found}
        sum((i + 1) * each.square().mean() for i, each in enumerate(outputs.values())).backward()
    for key, parameter in theirs.named_parameters():
        difference = ours.get_parameter(key).grad - parameter.grad  # branches are summed in order
        assert 0 <= difference.norm() < 1e-4 * parameter.grad.norm(), key
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
