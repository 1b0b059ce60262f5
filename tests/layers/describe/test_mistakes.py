"""Modules that cannot work: which layer, what it got, and the fix with numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.layers.describe.strangers import Tutorial
from torch import Tensor, nn

from striate.errors import DesignError
from striate.layers import describe


def test_the_first_fully_connected_layer() -> None:
    with pytest.raises(DesignError) as caught:
        describe(Tutorial(), (3, 28, 28))
    assert str(caught.value) == (
        "fc1 expects 400 features, received 256 = 16x4x4: set in_features=256 or feed 32x32."
    )
    assert caught.value.layer == "fc1"
    assert [line.split() for line in caught.value.table.splitlines()[-2:]] == [
        ["flatten", "flatten", "256"],
        ["fc1", "linear", "<-", "received", "256"],
    ]


def test_a_view_that_does_not_fit() -> None:
    class Viewed(Tutorial):
        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            return self.fc1(x.view(-1, 16 * 5 * 5))

    with pytest.raises(
        DesignError, match="expects 400 features, received 256 = 16x4x4: .* feed 32x32"
    ):
        describe(Viewed(), (3, 28, 28))


def chain(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(*parts)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (
            chain(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(16)),
            (3, 9, 9),
            r"^1 expects 16 channels, received 8 \(8x7x7\): set num_features to 8\.$",
        ),
        (
            chain(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 8, 3)),
            (3, 9, 9),
            r"^1 expects 16 channels, received 8: set in_channels=8\.$",
        ),
        (chain(nn.Conv2d(3, 8, 3)), (1, 9, 9), "0 expects 3 channels, received 1"),
        (
            chain(nn.Conv2d(3, 8, 5), nn.MaxPool2d(2), nn.Conv2d(8, 8, 5)),
            (3, 9, 9),
            r"takes images of 14x14 and larger, received 9x9: 2: its 5x5 window does not fit",
        ),
        (
            chain(nn.ConvTranspose2d(4, 8, 2, 2)),
            (3, 9, 9),
            "0 expects 4 channels, received 3: set in_channels=3",
        ),
    ],
)
def test_chains(module: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DesignError, match=message) as caught:
        describe(module, shape)
    assert "<- received" in caught.value.table.splitlines()[-1]


class Branches(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.b = how, nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        if self.how == "cat":
            return torch.cat([a, b], 1)
        if self.how == "add":
            return a + b
        if self.how == "own":
            raise ValueError("no such head\nmore")
        return a.nonsense


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cat", r"concat: expected inputs of one height and width, received a \(4, 7, 7\), b"),
        ("add", r"add: expected inputs of one shape, received a \(4, 7, 7\), b \(4, 4, 4\)"),
        ("own", r"^the forward raises ValueError: no such head\.$"),
        (
            "slip",
            r"^the forward raises AttributeError: 'Tensor' object has no attribute 'nonsense'",
        ),
    ],
)
def test_branches(how: str, message: str) -> None:
    with pytest.raises(DesignError, match=message) as caught:
        describe(Branches(how), (3, 9, 9))
    table = caught.value.table.splitlines()
    assert [line.split()[0] for line in table[:3]] == ["x", "a", "b"]


def test_torchs_own_words_where_paper_has_no_objection() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bchw,bcd->bhwd", self.a(x), torch.zeros(5, 4, 2))

    with pytest.raises(DesignError, match="^einsum: .*") as caught:
        describe(Half(), (3, 9, 9))
    assert caught.value.table.splitlines()[1].split() == ["a", "conv", "4x7x7"]


def test_nothing_comes_out() -> None:
    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    with pytest.raises(DesignError, match="Nothing returns no tensor that depends on its input"):
        describe(Nothing(), (3, 4, 4))
