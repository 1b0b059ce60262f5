"""What strangers write, described: equal to torch's own counts, hooks and outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.layers.describe.strangers import STRANGERS, Heads, Nested, Tied, Tutorial, TwoHeads
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import zoo
from striate.design import Network, Opaque, Tanh, receptive_fields, sheet
from striate.errors import DesignError, UsageError
from striate.layers import build, describe, prove
from striate.records import from_json, to_json

# torch says so of an even kernel with padding="same"
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def made(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    kind, shape = STRANGERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(), shape


@pytest.fixture(scope="module", params=sorted(STRANGERS))
def stranger(request: pytest.FixtureRequest) -> tuple[nn.Module, Network]:
    module, shape = made(request.param)
    return module, describe(module, shape)


def test_parameters_are_counted_once(stranger: tuple[nn.Module, Network]) -> None:
    module, network = stranger
    assert network.parameter_count() == sum(p.numel() for p in module.parameters())
    there = dict(network.renamed)
    names = {there.get(each.name, each.name) for each in network.parameters()}
    assert names == {name for name, _ in module.named_parameters()}


def test_macs_are_torchs(stranger: tuple[nn.Module, Network]) -> None:
    """FlopCounterMode counts two for each multiply-add of convolutions and matrix products."""
    module, network = stranger
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(module).eval()(torch.zeros(1, *network.input_shape))
    assert 2 * network.macs() == counter.get_total_flops()


def test_shapes_are_those_that_hooks_see(stranger: tuple[nn.Module, Network]) -> None:
    module, network = stranger
    module = copy.deepcopy(module).eval()
    there = {ours.rpartition(".")[0]: n.rpartition(".")[0] for ours, n in network.renamed}
    seen: dict[str, list[tuple[int, ...]]] = {}
    for path, part in module.named_modules():
        if not list(part.children()):

            def see(_: nn.Module, x: Any, y: Tensor, path: str = path) -> None:
                seen.setdefault(path, []).append(tuple(y.shape[1:]))

            part.register_forward_hook(see)
    with torch.no_grad():
        module(torch.zeros(2, *network.input_shape))
    compared = 0
    for name, shape in network.shapes().items():
        path = there.get(name, name)
        if path in seen:
            assert shape in seen[path], name
            compared += 1
    assert compared >= 3


def test_it_is_the_same_with_the_same_tensors(stranger: tuple[nn.Module, Network]) -> None:
    module, network = stranger
    proof = prove(network, module)
    assert proof.equal
    assert proof.evaluation < 1e-5 and proof.training is not None and proof.training < 1e-5
    own, there = build(network, parameters=module), dict(network.renamed)
    for name, parameter in own.named_parameters():
        assert parameter is module.get_parameter(there.get(name, name))


def test_its_sheet_and_fields_and_file_come_out(stranger: tuple[nn.Module, Network]) -> None:
    _, network = stranger
    document = sheet(network).document()
    assert len(document["layers"]) == len(network.layers)
    assert set(receptive_fields(network)) == set(network.shapes())
    assert from_json(Network, to_json(network)) == network


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    def state() -> list[object]:
        return [
            *((name, id(p), p.requires_grad, p._version) for name, p in module.named_parameters()),
            *((name, id(b), b.clone(), b._version) for name, b in module.named_buffers()),
            *((name, m.training, sorted(vars(m))) for name, m in module.named_modules()),
            *(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()),
        ]

    before = state()
    random = torch.random.get_rng_state()
    yield
    assert str(before) == str(state())
    assert torch.equal(random, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ["nested", "heads", "tied"])
def test_the_module_is_left_as_it_was(name: str) -> None:
    module, shape = made(name)
    parts = list(module.modules())
    parts[-1].eval()
    next(module.parameters()).requires_grad_(False)
    parts[2].register_forward_hook(lambda *_: None)
    with unchanged(module):
        describe(module, shape, prove=True)
        with pytest.raises(DesignError):
            describe(module, (5, *shape[1:]))


def test_what_a_forward_keeps_is_put_back() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.seen, self.calls = nn.Conv2d(3, 4, 3), [], 0

        def forward(self, x: Tensor) -> Tensor:
            self.last = self.conv(x)
            self.calls += 1
            self.seen.append(self.last)
            return self.last.relu()

    module = Keeps()
    describe(module, (3, 8, 8))
    assert (module.calls, module.seen, hasattr(module, "last")) == (0, [], False)


def test_nothing_is_allocated() -> None:
    """A module on the meta device has no values; a hundred gigabytes of weights are none."""
    with torch.device("meta"):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 512 * 512, 40_000), nn.ReLU())
    network = describe(module, (3, 512, 512))
    assert network.parameter_count() == 786432 * 40_000 + 40_000
    with pytest.raises(DesignError, match="Sequential has no values to compare"):
        prove(network, module)


def test_names_are_paths_and_what_is_not_allowed_is_said() -> None:
    module, shape = made("nested")
    network = describe(module, shape)
    names = [layer.name for layer in network.layers]
    assert names[:3] == ["stem.0.conv", "stem.0.norm", "stem.0.act"]
    assert names[-1] == "head.half_" and "body.0.2.0" in names
    assert dict(network.renamed)["stem.0.conv.weight"] == "_stem.0.conv.weight"
    by_turns = describe(TwoHeads(), (3, 8, 8))
    assert [layer.name for layer in by_turns.layers][:4] == [
        "convs_0",
        "norms_0",
        "relu",
        "convs_1",
    ]
    assert dict(by_turns.renamed)["norms_2.running_var"] == "norms.2.running_var"


def test_what_is_called_again_shares() -> None:
    network = describe(Tied(), (3, 12, 12))
    shares = {layer.name: layer.shares for layer in network.layers if layer.shares}
    assert shares == {
        **{f"block{n}.{i}": f"block.{i}" for n in (2, 3) for i in (0, 1)},
        "twin": "block.0",
    }
    one = describe(STRANGERS["one_relu"][0](), (3, 37, 41))
    assert [layer.name for layer in one.layers if "relu" in layer.name] == [
        "relu",
        "relu2",
        "relu3",
    ]


def test_outputs_have_the_names_that_the_module_gives() -> None:
    network = describe(TwoHeads(), (3, 8, 8))
    shapes = network.shapes()
    found = {each.name: shapes[each.source] for each in network.outputs}
    assert found == {"logits": (5,), "more_coarse": (8,), "more_fine": (4, 8, 8)}


def test_heads_of_training_are_for_training_only() -> None:
    module = Heads()
    network = describe(module, (3, 64, 64))
    assert [(each.name, each.source, each.train_only) for each in network.outputs] == [
        ("logits", "fc", False),
        ("output2", "aux.fc", True),
    ]
    head = sum(p.numel() for p in module.aux.parameters())
    assert network.parameter_count() - network.parameter_count(train=False) == head
    built = build(network, parameters=module)
    assert list(built.train()(torch.zeros(2, 3, 64, 64))) == ["logits", "output2"]


def test_dropout_and_softmax_of_one_mode_only() -> None:
    class Modes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            if self.training:
                x = nn.functional.dropout(x, 0.1)
            x = self.fc(x.mean((2, 3)))
            return x if self.training else x.softmax(-1)

    network = describe(Modes(), (3, 8, 8), prove=True)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv", "Dropout", "AdaptiveAvgPool", "Flatten", "Linear", "Softmax"]
    assert [(each.source, each.train_only) for each in network.outputs] == [
        ("softmax", False),
        ("fc", True),
    ]


def test_frozen_parameters() -> None:
    module = Tutorial()
    module.conv1.requires_grad_(False)
    module.fc1.weight.requires_grad_(False)
    network = describe(module, (3, 32, 32))
    assert not network.layer("conv1").trainable
    assert network.layer("fc1").rates == (0.0, 1.0)
    assert network.layer("conv2").trainable


def test_parameters_that_nothing_reads_are_said() -> None:
    class Spare(Tutorial):
        def forward(self, x: Tensor) -> Tensor:
            return self.conv1(x)

    network = describe(Spare(), (3, 32, 32))
    assert (
        "parameters that nothing reads: conv2.weight, conv2.bias, fc1.w" in network.layers[-1].note
    )
    assert "conv2.weight" in " ".join(sheet(network).notes)


def test_lazy_modules_stay_lazy() -> None:
    module = nn.Sequential(
        nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5)
    )
    network = describe(module, (3, 8, 8))
    assert network.parameter_count() == 8 * 27 + 8 + 16 + 288 * 5 + 5
    assert module[0].has_uninitialized_params()


class Odd(nn.Module):
    """A blur by a fixed filter, a scale and shift in one call, a batch that is folded and back."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("blur", torch.ones(4, 1, 3, 3) / 9)
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(36, 36)
        self.alpha, self.beta = nn.Parameter(torch.rand(4, 1, 1)), nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addcmul(self.beta, self.alpha, self.conv(x))
        return nn.functional.conv2d(x, self.blur, stride=2, groups=4)


def test_a_filter_that_is_a_buffer_is_frozen_and_said() -> None:
    module = Odd()
    network = describe(module, (3, 9, 9), prove=True)
    (blur,) = (layer for layer in network.layers if layer.note.startswith("its weight is a buffer"))
    assert not blur.trainable and network.macs() == 49 * 4 * 27 + 9 * 4 * 9
    assert dict(network.renamed)[f"{blur.name}.weight"] == "blur"


def test_a_batch_that_is_folded_is_no_mistake_of_its_writer() -> None:
    class Folds(Odd):
        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)  # 4x7x7
            x = x[:, :, :6, :6].reshape(-1, 36)
            return self.fc(x).view(-1, 4, 6, 6)

    network = describe(Folds(), (3, 9, 9))
    opaque = [layer.op for layer in network.layers if isinstance(layer, Opaque)]
    assert opaque == ["reshape", "linear", "view"]
    assert network.macs() == 49 * 4 * 27 + 4 * 36 * 36
    assert network.shapes()[network.outputs[0].source] == (4, 6, 6)


def test_an_example_says_the_shape() -> None:
    module, shape = made("tutorial")
    assert describe(module, torch.zeros(5, *shape)) == describe(module, shape)


def test_several_inputs_by_name() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(5, 4)

        def forward(self, image: Tensor, facts: Tensor, scale: float = 2.0) -> Tensor:
            return self.a(image) * self.b(facts)[:, :, None, None] * scale

    module = Two()
    network = describe(module, {"image": (3, 6, 6), "facts": (5,)}, prove=True)
    assert [each.name for each in network.inputs] == ["image", "facts"]
    assert describe(module, [(3, 6, 6), (5,)]) == network
    assert describe(module, (torch.zeros(7, 3, 6, 6), (5,))) == network
    with pytest.raises(UsageError, match="arguments image, facts, scale in this order, received"):
        describe(module, {"facts": (5,), "image": (3, 6, 6)})


@pytest.mark.parametrize("name", ["resnet18", "googlenet_bn", "squeezenet1_1", "alexnet_grouped"])
def test_what_we_build_ourselves_comes_back(name: str) -> None:
    """Paper to module to paper: the same layers by the same names."""
    network = zoo.network(name)
    net = build(network, seed=None)
    back = describe(net, network.input_shape)
    assert back.parameter_count() == network.parameter_count()
    assert back.macs() == network.macs()
    names = {layer.name for layer in back.layers if layer.parameters(*back.input_shapes(layer))}
    assert names == {
        layer.name for layer in network.layers if layer.parameters(*network.input_shapes(layer))
    }
    assert not back.renamed
    assert {each.name for each in back.parameters()} == {each.name for each in network.parameters()}
    assert not any(isinstance(layer, Opaque) for layer in back.layers)


def test_it_is_public() -> None:
    assert striate.describe is describe
    with pytest.raises(UsageError, match="Expected an nn.Module, received int"):
        describe(3)  # type: ignore[arg-type]
    assert describe(Nested(), (3, 20, 24), name="mine").name == "mine"


def test_a_description_that_is_wrong_is_found_out() -> None:
    module, shape = made("tutorial")
    network = describe(module, shape)
    wrong = network.replace(
        layers=tuple(
            Tanh(name=each.name, inputs=each.inputs) if each.name == "relu2" else each
            for each in network.layers
        )
    )
    with pytest.raises(DesignError, match="expected outputs alike to 0.0001, received differences"):
        prove(wrong, module)
