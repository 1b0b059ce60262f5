"""The guards say when a table cannot be trusted: each sign of masked gradients is caught."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.explain.nets import contract_for
from torch import Tensor, nn

from striate import attack
from striate.contract import Contract
from striate.errors import UsageError
from striate.inference import PixelNet

SHAPE = (1, 8, 8)


class Sides(nn.Module):
    """Tells which half of a picture is brighter; takes normalised pixels."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = x[:, 0, :, :4].mean((1, 2)), x[:, 0, :, 4:].mean((1, 2))
        return 4 * torch.stack([left, right], 1)


class Flat(Sides):
    """The same answers, with no gradient: rounded."""

    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) * 2).round()


class Shaky(Sides):
    """The same answers, a little different every time."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found + 0.1 * torch.randn_like(found)


class Bright(nn.Module):
    """Tells bright pictures from dark ones, about the mean it was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        return 4 * torch.stack([-mean, mean], 1)


class Wrapped(Bright):
    """In a normalisation of its own, though the contract normalises already."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - 0.45) / 0.22)


@pytest.fixture
def contract() -> Contract:
    return contract_for(SHAPE, 2)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(100, 156, (60, *SHAPE), generator=generator).float()
    labels = torch.arange(60) % 2
    images[labels == 0, :, :, :4] += 60
    images[labels == 1, :, :, 4:] += 60
    return images / 255, labels


def table(net: nn.Module, contract: Contract, batch: Any, **more: Any) -> attack.Robustness:
    return attack.robustness(net, contract, *batch, eps=[0.05, 0.3], steps=10, **more)


def failed(found: attack.Robustness) -> set[str]:
    return {guard.name for guard in found.guards if not guard.passed}


def test_an_honest_net_passes(contract: Contract, batch: tuple[Tensor, Tensor]) -> None:
    inputs = PixelNet(Sides(), contract).normalise(batch[0])
    found = table(Sides(), contract, batch, inputs=inputs, expected=(60, 60))
    assert found.trusted, failed(found)
    assert [(row.attack, row.eps) for row in found.rows[:4]] == [
        ("clean", 0.0),
        ("noise", 0.05),
        ("FGSM", 0.05),
        ("PGD-10", 0.05),
    ]
    assert found.rows[0].accuracy == 1.0
    assert found.rows[-1].accuracy == 0.0


def test_a_wrapped_normalisation_is_caught(contract: Contract) -> None:
    generator = torch.Generator().manual_seed(1)
    images = 0.45 + 0.15 * (torch.rand(60, 1, 1, 1, generator=generator) - 0.5).expand(60, *SHAPE)
    labels = (images[:, 0, 0, 0] > 0.45).long()
    honest = table(Bright(), contract, (images, labels), expected=(60, 60))
    assert honest.trusted, failed(honest)
    found = table(Wrapped(), contract, (images, labels), expected=(60, 60))
    assert "clean accuracy is the recorded one" in failed(found)
    guard = next(each for each in found.guards if each.name.startswith("clean accuracy"))
    assert "normalised twice, or not at all" in guard.meaning


def test_another_preparation_than_the_loaders_is_caught(
    contract: Contract, batch: tuple[Tensor, Tensor]
) -> None:
    found = table(Sides(), contract, batch, inputs=batch[0] * 255)
    assert "eps = 0 equals clean" in failed(found)


def test_a_net_without_gradient_is_caught(contract: Contract, batch: tuple[Tensor, Tensor]) -> None:
    found = table(Flat(), contract, batch)
    assert {"gradients are there", "no network survives eps = 1"} <= failed(found)
    said = next(each for each in found.guards if each.name == "gradients are there").meaning
    assert said.startswith("Masked gradients suspected")


def test_a_random_net_is_caught(contract: Contract, batch: tuple[Tensor, Tensor]) -> None:
    assert "the same image gets the same answer" in failed(table(Shaky(), contract, batch))


def test_accuracy_that_rises_is_caught(contract: Contract, batch: tuple[Tensor, Tensor]) -> None:
    clean = [attack.fgsm(Sides(), contract, *batch, eps=0.0)]
    guards = attack.inspect(
        Sides(),
        contract,
        *batch,
        clean=clean,
        table=[
            ("clean", 0.0, 0, 1.0),
            ("noise", 0.1, 0, 0.5),
            ("FGSM", 0.1, 1, 0.6),
            ("PGD-40", 0.1, 40, 0.8),
            ("FGSM", 0.2, 1, 0.7),
        ],
    )
    names = {guard.name for guard in guards if not guard.passed}
    assert names == {"accuracy falls with eps", "accuracy falls with steps", "attacks beat noise"}


def test_units_that_cannot_be_are_refused(contract: Contract, batch: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match="8/255 is eight grey levels"):
        attack.robustness(Sides(), contract, *batch, eps=[8.0])
