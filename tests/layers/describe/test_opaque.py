"""What no record fits: as little as possible opaque, counted, and said; nothing built."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from striate.design import Network, Opaque
from striate.errors import DesignError
from striate.layers import build, describe


class Gate(nn.Module):
    """Looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) if x.mean() < 1e9 else self.narrow(x)


class Gated(nn.Module):
    def __init__(self, gate: Callable[[], nn.Module] = Gate) -> None:
        super().__init__()
        self.stem, self.gate, self.head = nn.Conv2d(3, 8, 3), gate(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.gate(self.stem(x))).mean((2, 3)))


def opaque(network: Network) -> dict[str, Opaque]:
    return {layer.name: layer for layer in network.layers if isinstance(layer, Opaque)}


def counts(module: nn.Module, network: Network) -> None:
    assert network.parameter_count() == sum(p.numel() for p in module.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(1, *network.input_shape))
    assert network.macs() == counter.get_total_flops() // 2


def test_only_the_module_that_looks_at_values_is_opaque() -> None:
    module = Gated()
    network = describe(module, (3, 10, 10))
    assert [layer.name for layer in network.layers] == [
        *("stem", "gate", "relu", "avg_pool", "flatten", "head"),
    ]
    (gate,) = opaque(network).values()
    assert (gate.op, gate.shape) == ("Gate", (8, 8, 8))
    assert gate.note == "bool needs values, which shapes do not give"
    assert {each.name for each in network.parameters()} >= {"gate.weight", "gate.gate_narrow_bias"}
    counts(module, network)
    with pytest.raises(DesignError, match="gate: a layer of kind opaque can be counted, but not b"):
        build(network, parameters=module)
    assert "forward" not in vars(module.gate) and module.gate(torch.zeros(1, 8, 4, 4)).shape[1] == 8


def test_the_whole_where_the_whole_looks_at_values() -> None:
    class Whole(Gated):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum().item() < 1e9 else x

    module = Whole()
    network = describe(module, (3, 10, 10))
    assert [(each.op, each.note) for each in opaque(network).values()] == [
        ("Whole", "item needs values, which shapes do not give")
    ]
    assert len(network.layers) == 1
    counts(module, network)


def test_scripted_parts() -> None:
    def scripted() -> nn.Module:
        return torch.jit.script(nn.Sequential(nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 1)))

    with pytest.warns(DeprecationWarning):
        module = Gated(scripted)
    network = describe(module, (3, 10, 10))
    assert list(opaque(network)) == ["gate"]
    assert network.layer("gate").note == "there is no record for RecursiveScriptModule"
    counts(module, network)
    whole = describe(module.gate, (8, 9, 9))
    assert len(whole.layers) == 1
    counts(module.gate, whole)


def test_attention_is_one_thing() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            y = self.norm(x)
            return self.head((x + self.attention(y, y, y, need_weights=False)[0]).mean(1))

    module = Attends()
    network = describe(module, (3, 16, 16))
    assert list(opaque(network)) == ["attention"]
    assert network.parameter_count() == sum(p.numel() for p in module.parameters())
    assert network.layer("attention").cost >= 4 * 16 * 8 * 8  # its four projections at least


def test_a_weight_that_is_computed() -> None:
    module = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), nn.ReLU())
    network = describe(module, (3, 8, 8))
    (conv,) = opaque(network).values()
    assert (conv.op, conv.cost) == ("conv2d", 6 * 6 * 8 * 27)
    assert conv.note == "its weight is computed, not a parameter"
    counts(module, network)


def test_functions_without_a_record() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Unfold(2), nn.Flatten(), nn.Linear(400, 2))
    network = describe(module, (3, 8, 8))
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Conv", "Opaque", "Flatten", "Linear"),
    ]
    assert network.layers[1].note == "there is no record for it"
    counts(module, network)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda x: x.flip(0), "there is no record for it"),
        (lambda x: torch.cat([x, torch.zeros_like(x)], 1), "it works on a constant"),
        (lambda x: torch.cat([x, x], 2), "it does not join channels"),
        (lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), "it moves the batch"),
        (lambda x: x / x.mean(), "it goes over the whole batch, or changes the type"),
        (lambda x: F.max_pool2d(x, 2, dilation=2), "its window is dilated"),
        (lambda x: F.pad(x, (1, 1), value=3.0), "it pads with something else than zeros"),
        (lambda x: x.softmax(-1), "it does not go over channels"),
        (lambda x: x.sort(2)[0], "there is no record for it"),
    ],
)
def test_reasons(forward: Callable[[Tensor], Tensor], reason: str) -> None:
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return forward(self.conv(x))

    module = Module()
    network = describe(module, (3, 8, 8))
    assert any(reason in each.note for each in opaque(network).values())
    assert module(torch.zeros(2, 3, 8, 8)).shape[1:] == network.shapes()[network.outputs[0].source]


def test_writing_through_a_view_is_not_misread() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            x[:, :2].relu_()
            return x

    network = describe(Writes(), (3, 8, 8))
    assert "written through a view" in next(iter(opaque(network).values())).note


def test_an_opaque_part_within_another_is_part_of_it() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 16, 4, 4)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.patches(x).flatten(2).transpose(1, 2)).mean(1)

    module = Encoder()
    network = describe(module, (3, 16, 16))
    assert list(opaque(network)) == ["layer"]
    assert network.parameter_count() == sum(each.numel() for each in module.parameters())
