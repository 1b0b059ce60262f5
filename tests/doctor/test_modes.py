"""Training and evaluation mode: chance of a network's own is allowed, another computing is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.doctor import Subject
from striate.doctor.purity import modes_agree


class Small(nn.Module):
    """A convolution and a linear layer, with something between them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.classifier = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(128, 4)

    def features(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(self.conv(x).relu(), 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.classifier(self.between(self.features(x)).flatten(1))
        return answer

    def between(self, x: Tensor) -> Tensor:
        return x


class Dropped(Small):
    def between(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5, training=self.training)


class ChannelsDropped(Small):
    def between(self, x: Tensor) -> Tensor:
        return functional.dropout2d(x, 0.3, self.training)


class AlphaDropped(Small):
    def between(self, x: Tensor) -> Tensor:
        return functional.alpha_dropout(x, 0.3, self.training)


class Leaky(Small):
    def between(self, x: Tensor) -> Tensor:
        return functional.rrelu(x - 1, training=self.training)


class Depth(Small):
    """Stochastic depth, drawn as most write it."""

    def between(self, x: Tensor) -> Tensor:
        more = x.flip(1)
        if self.training:
            more = more * (torch.rand(len(x), 1, 1, 1) < 0.8) / 0.8
        return x + more


class Noisy(Small):
    def between(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn_like(x) if self.training else x


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(8, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.classifier = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.classifier(self.layer(self.embed(x[:, 0])).mean(1))
        return answer


class AlwaysDropped(Small):
    def between(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)


class DroppedAndFlipped(Dropped):
    def features(self, x: Tensor) -> Tensor:
        return super().features(x if self.training else x.flip(3))


class NotScaled(Small):
    def between(self, x: Tensor) -> Tensor:
        return x * torch.bernoulli(torch.full_like(x, 0.5)) if self.training else x


class NoisyAndTwice(Noisy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.training else 2) + (0 if self.training else 1)


def verdict(net: nn.Module) -> tuple[str, str]:
    images = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = modes_agree(Subject(net, images, torch.arange(32) % 4, 4))
    return found.verdict, found.meaning


@pytest.mark.parametrize(
    "net", [Small, Dropped, ChannelsDropped, AlphaDropped, Leaky, Depth, Noisy, Encoder]
)
def test_what_training_draws_is_no_difference(net: type[nn.Module]) -> None:
    made = net()
    state = torch.random.get_rng_state()
    assert verdict(made)[0] == "pass"
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("net", "meaning"),
    [
        (AlwaysDropped, "evaluation is random"),
        (DroppedAndFlipped, "something beside dropout"),
        (NotScaled, "something beside dropout"),
        (NoisyAndTwice, "something beside dropout"),
    ],
)
def test_another_computing_beside_chance_is_one(net: type[nn.Module], meaning: str) -> None:
    said, why = verdict(net())
    assert said == "fail" and why.startswith(meaning)


@pytest.mark.filterwarnings("error")
def test_an_answer_that_is_a_parameter_itself() -> None:
    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(4))

        def forward(self, x: Tensor) -> Tensor:
            return self.scores.expand(len(x), 4)

    assert verdict(Same())[0] == "pass"
