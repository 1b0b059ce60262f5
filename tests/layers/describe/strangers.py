"""Modules as strangers write them: nothing here knows of this package."""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tutorial(nn.Module):
    """Functional pooling and activations; the view that goes wrong with another image size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = F.dropout(x, 0.3, training=self.training)
        return F.log_softmax(self.fc3(x), dim=1)


class OneReLU(nn.Module):
    """One ReLU and one pool for everything, in place; padding by name."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.c1 = nn.Conv2d(3, 8, 4, padding="same")
        self.c2 = nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect", bias=False)
        self.c3 = nn.Conv2d(12, 12, (1, 5), stride=(1, 2), dilation=(1, 2), groups=4)
        self.head = nn.Linear(12, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.c1(x)))
        x = self.pool(self.relu(self.c2(x)))
        x = self.relu(self.c3(x))
        return self.head(x.mean([2, 3]))


class Nested(nn.Module):
    """Sequential of Sequentials, with names that nn.Module has already, and with a private one."""

    def __init__(self) -> None:
        super().__init__()

        def block(i: int, o: int) -> nn.Sequential:
            return nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(i, o, 3, padding=1, bias=False),
                    norm=nn.BatchNorm2d(o, eps=1e-3, momentum=0.05),
                    act=nn.Hardswish(inplace=True),
                )
            )

        self._stem = nn.Sequential(block(3, 8), nn.Sequential(block(8, 8), nn.AvgPool2d(2)))
        self.body = nn.Sequential(
            nn.Sequential(block(8, 16), nn.Identity(), nn.Sequential(nn.Dropout2d(0.2))),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.Flatten(),
        )
        self.head = nn.ModuleDict({"half_": nn.Linear(96, 10, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        return self.head["half_"](self.body(self._stem(x)))


Both = namedtuple("Both", ["coarse", "fine"])


class TwoHeads(nn.Module):
    """A dict of outputs, one of them nested; lists of modules called in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.classes = nn.Linear(8, 5)
        self.boxes = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> dict[str, object]:
        for conv, norm in zip(self.convs, self.norms):  # noqa: B905
            x = torch.relu_(norm(conv(x)))
        pooled = F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)
        return {"logits": self.classes(pooled), "more": Both(x.amax((2, 3)), self.boxes(x))}


class Tied(nn.Module):
    """The same block twice, and a layer whose weight is another's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.LeakyReLU(0.1)
        )
        self.twin = nn.Conv2d(6, 6, 3, padding=1, dilation=1)
        self.twin.weight = self.block[0].weight
        self.twin.bias = self.block[0].bias
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = x + self.block(x)
        x = self.twin(x)
        return self.fc(F.adaptive_max_pool2d(x, (1, 1)).flatten(1))


class ByShape(nn.Module):
    """Branches on shapes, pools until small enough, resizes what does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.wide = nn.Conv2d(8, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.conv(x))
        n = 0
        while min(x.shape[-2:]) > 8 and n < 10:
            x = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
            n += 1
        if x.shape[2] % 2:
            x = F.pad(x, (0, x.shape[3] % 2, 0, 1))
        y = self.wide(x) if x.size(1) == 8 else x
        y = F.interpolate(y, size=(16, 16), mode="bilinear", align_corners=False)
        y = F.interpolate(y, scale_factor=0.5)
        y = self.out(y).view(y.shape[0], 5, -1).mean(-1)
        return y


class Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // 4, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = F.adaptive_avg_pool2d(x, 1).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class Excited(nn.Module):
    """Squeeze and excitation in residual blocks, with a trained slope and layer scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.se1, self.se2 = Squeeze(16), Squeeze(16)
        self.act = nn.PReLU(16)
        self.gamma = nn.Parameter(0.1 * torch.ones(16, 1, 1))
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 0.25
        x = self.act(self.stem(x))
        x = x + self.gamma * self.se1(x)
        x += 0.5 * self.se2(x)
        return self.fc(x.mean(3).mean(2))


class Down(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(2, o), nn.SiLU(),
            nn.Conv2d(o, o, 3, padding=1), nn.InstanceNorm2d(o, affine=True), nn.ReLU(True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class UNet(nn.Module):
    """Transposed convolutions, padding what does not fit, joining."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.down3 = Down(3, 8), Down(8, 16), Down(16, 32)
        self.up2 = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.dec2 = Down(32, 16)
        self.up1 = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1, bias=False)
        self.dec1 = Down(16, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.down3(F.max_pool2d(b, 2))
        u = self.up2(c)
        dy, dx = b.size(2) - u.size(2), b.size(3) - u.size(3)
        u = F.pad(u, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        u = self.dec2(torch.cat([b, u], dim=1))
        u = self.dec1(torch.cat((a, self.up1(u)), 1))
        return self.out(u)


class DenseLayer(nn.Sequential):
    def __init__(self, i: int, growth: int) -> None:
        super().__init__(
            nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, growth, 3, padding=1, bias=False)
        )


class Dense(nn.Module):
    """DenseNet by lists of features."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(DenseLayer(8 + 4 * i, 4) for i in range(4))
        self.last = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.first(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        x = torch.cat(features, dim=1)
        return self.last(F.avg_pool2d(F.relu(x), x.shape[-1]).reshape(len(x), -1))


class Separable(nn.Module):
    """Depthwise-separable convolutions with TensorFlow's padding; ReLU6; a subclass of Conv2d."""

    class SameConv(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            pads: list[int] = []
            for size, k, s in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]):  # noqa: B905
                total = max((math.ceil(size / s) - 1) * s + k - size, 0)
                pads += [total // 2, total - total // 2]
            return super().forward(F.pad(x, pads))

    def __init__(self) -> None:
        super().__init__()
        conv = self.SameConv
        self.blocks = nn.Sequential(
            conv(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU6(inplace=True),
            conv(8, 8, 5, 2, groups=8, bias=False), nn.BatchNorm2d(8, affine=False), nn.Mish(),
            conv(8, 16, 1), nn.BatchNorm2d(16, track_running_stats=False), nn.Hardsigmoid(),
        )  # fmt: skip
        self.classifier = nn.Conv2d(16, 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x).mean((-2, -1), keepdim=True)
        return torch.flatten(self.classifier(x), 1)


class Aux(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 1)
        self.fc = nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(F.adaptive_avg_pool2d(x, (4, 4))), inplace=True)
        return self.fc(F.dropout(torch.flatten(x, 1), 0.5, training=self.training))


class Heads(nn.Module):
    """GoogLeNet's manner: branches joined, and heads in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.b1 = nn.Conv2d(16, 8, 1)
        self.b2 = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1))
        self.b3 = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(16, 8, 1))
        self.aux = Aux(24)
        self.norm = nn.LocalResponseNorm(5)
        self.drop = nn.Dropout(0.4)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.stem(x)
        x = self.norm(torch.cat([F.relu(b(x)) for b in (self.b1, self.b2, self.b3)], 1))
        aux = self.aux(x) if self.training else None
        x = self.fc(self.drop(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        if self.training:
            return x, aux
        return x


class Shuffled(nn.Module):
    """ShuffleNet's shuffle and split, and option A's shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6),
        )  # fmt: skip
        self.wide = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.fc = nn.Linear(24, 4)

    @staticmethod
    def shuffle(x: Tensor, groups: int) -> Tensor:
        b, c, h, w = x.data.size()
        x = x.view(b, groups, c // groups, h, w).transpose(1, 2).contiguous()
        return x.view(b, -1, h, w)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        a, b = x.chunk(2, dim=1)
        x = self.shuffle(torch.cat((a, self.branch(b)), 1), 3)
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 6, 6), "constant", 0)
        x = F.relu(self.wide(x) + short)
        x = torch.cat([x[:, :10], x[:, 10:] * 2 - 1], 1)
        return self.fc(x.mean(dim=(2, 3)))


class Modern(nn.Module):
    """ConvNeXt's block: channels last for the norm and the fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.dw = nn.Conv2d(16, 16, 7, padding=3, groups=16)
        self.norm = nn.LayerNorm(16, eps=1e-6)
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)
        self.gamma = nn.Parameter(1e-1 * torch.ones(16))
        self.scale = nn.Parameter(torch.rand(16))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.dw(x).permute(0, 2, 3, 1)
        y = self.down(F.gelu(self.up(self.norm(y)))) * self.gamma
        x = x + y.permute(0, 3, 1, 2).mul(self.scale.reshape(1, -1, 1, 1))
        return self.head(x.mean([-2, -1]))


# Each with the input it is for.
STRANGERS: dict[str, tuple[type[nn.Module], tuple[int, int, int]]] = {
    "tutorial": (Tutorial, (3, 32, 32)),
    "one_relu": (OneReLU, (3, 37, 41)),
    "nested": (Nested, (3, 20, 24)),
    "two_heads": (TwoHeads, (3, 9, 9)),
    "tied": (Tied, (3, 12, 12)),
    "by_shape": (ByShape, (3, 33, 64)),
    "excited": (Excited, (3, 16, 16)),
    "unet": (UNet, (3, 36, 52)),
    "dense": (Dense, (3, 8, 8)),
    "separable": (Separable, (3, 31, 33)),
    "heads": (Heads, (3, 64, 64)),
    "shuffled": (Shuffled, (3, 16, 16)),
    "modern": (Modern, (3, 32, 32)),
}
