"""From paper to module: readable forwards, keys as published, starts that have an address."""

from __future__ import annotations

import copy
import inspect
import pickle
import weakref

import pytest
import torch
from torch import Tensor, nn

from striate import zoo
from striate.design import Output, Sketch
from striate.errors import DesignError, WeightsError
from striate.layers import Net, build, placement, undisturbed


def images(network: object, rows: int = 2) -> Tensor:
    shape = network.input_shape  # type: ignore[attr-defined]
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def resnet20() -> Net:
    return build(zoo.network("resnet20"), seed=3)


def test_forward_can_be_read(resnet20: Net) -> None:
    source = inspect.getsource(type(resnet20).forward)
    assert "def forward(self, x):" in source
    assert "layer2 = self.layer2(layer1)\n        del layer1" in source
    block = inspect.getsource(type(resnet20.get_submodule("layer2.0")).forward)
    assert "add = self.add(bn2, shortcut)" in block


def test_torchvision_keys() -> None:
    keys = list(build(zoo.network("resnet18"), seed=None).state_dict())
    bn = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    start = ["conv1.weight", *(f"bn1.{each}" for each in bn), "layer1.0.conv1.weight"]
    assert keys[: len(start)] == start
    down = [f"layer2.0.downsample.1.{each}" for each in bn]
    assert ["layer2.0.downsample.0.weight", *down] == keys[keys.index(down[0]) - 1 :][:6]
    assert keys[-2:] == ["fc.weight", "fc.bias"]
    assert len(keys) == 122
    assert len(build(zoo.network("resnet50"), seed=None).state_dict()) == 320
    vgg = list(build(zoo.network("vgg16"), seed=None).state_dict())
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    parts = [f"features.{n}" for n in numbers] + [f"classifier.{n}" for n in (0, 3, 6)]
    assert vgg == [f"{part}.{each}" for part in parts for each in ("weight", "bias")]
    alexnet = list(build(zoo.network("alexnet"), seed=None).state_dict())
    parts = [f"features.{n}" for n in (0, 3, 6, 8, 10)] + [f"classifier.{n}" for n in (1, 4, 6)]
    assert alexnet == [f"{part}.{each}" for part in parts for each in ("weight", "bias")]


def test_copies_answer_alike(resnet20: Net) -> None:
    x = images(resnet20.network)
    with undisturbed(resnet20) as net:
        expected = net.eval()(x)
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert torch.equal(other(x), expected)
            assert other.network == net.network
    assert resnet20.training


@pytest.mark.parametrize("how", ["export", "compile"])
def test_traced_answers_alike(resnet20: Net, how: str) -> None:
    x = images(resnet20.network)
    with undisturbed(resnet20) as net, torch.no_grad():
        expected = net.eval()(x)
        if how == "export":
            traced = torch.export.export(net, (x,)).module()
        else:
            traced = torch.compile(net, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(traced(x), expected, rtol=1e-4, atol=1e-5)


def test_training_step_compiles_whole() -> None:
    network = zoo.network("resnet20(width=4)", input=(3, 16, 16))
    ours, eager = build(network, seed=1), build(network, seed=1)
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    x = images(network, 4)
    for net in (compiled, eager):
        net(x).square().sum().backward()
    for name, parameter in eager.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, msg=name)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(eager.named_buffers()))


@pytest.mark.parametrize("training", [True, False])
def test_export_takes_any_batch(training: bool) -> None:
    net = build(zoo.network("resnet20(width=4)", input=(3, 16, 16)), seed=1).train(training)
    rows = torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(net, (images(net.network),), dynamic_shapes=({0: rows},))
    x = images(net.network, 7)
    torch.testing.assert_close(program.module()(x), net(x), rtol=1e-4, atol=1e-5)


def test_placed_dropout_is_the_same_when_compiled() -> None:
    net = build(zoo.network("mlp(hidden=(20,), dropout=0.5)", input=(1, 4, 4)), seed=1)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    x = images(net.network, 6)
    for step in range(3):
        with placement(seed=0, step=step, total=6):
            masked = compiled(x)
            masked.sum().backward()
        with placement(seed=0, step=step, total=6):
            assert torch.equal(masked, net(x))


def test_hooks_on_scopes_fire(resnet20: Net) -> None:
    seen: list[str] = []
    with undisturbed(resnet20) as net:
        for name in ("layer1", "layer1.0", "layer1.0.add"):
            net.get_submodule(name).register_forward_hook(lambda *_, n=name: seen.append(n))
        net(images(net.network))
    assert seen == ["layer1.0.add", "layer1.0", "layer1"]
    assert not resnet20.get_submodule("layer1")._forward_hooks


def test_starts_have_an_address() -> None:
    network = zoo.network("lenet")
    state = torch.random.get_rng_state()
    first, again, other = (build(network, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["fc1.weight"], other["fc1.weight"])
    deeper = zoo.network("lenet", classes=4)
    assert torch.equal(build(deeper, seed=5).state_dict()["fc1.weight"], first["fc1.weight"])


def test_he_keeps_the_scale() -> None:
    weight = build(zoo.network("vgg11"), seed=0).get_parameter("features.8.weight").detach()
    assert float(weight.std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


def test_shared_tensors_and_meta() -> None:
    network = zoo.network("lenet")
    owner = build(network, seed=1)
    user = build(network, parameters=owner)
    assert user.get_parameter("fc1.weight") is owner.get_parameter("fc1.weight")
    empty = build(network, seed=None)
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    empty.load_state_dict(owner.state_dict(), assign=True)
    x = images(network)
    assert torch.equal(empty(x), owner(x))
    small = build(zoo.network("lenet", classes=3), seed=0)
    with pytest.raises(
        WeightsError, match=r"Misshapen: fc3.weight \(expected \(10, 84\), received"
    ):
        build(network, parameters=small)


def test_shared_layers() -> None:
    net = Sketch("tied", (1, 6, 6))
    net.conv("a", 1, 3, padding=1)
    net.put(net.layers[0].replace(name="b", inputs=("a",), shares="a"))
    network = net.finish()
    built = build(network)
    assert network.parameter_count() == sum(p.numel() for p in built.parameters()) == 10
    empty = build(network, seed=None)
    empty.load_state_dict(built.state_dict(), assign=True)
    for each in (built, empty, copy.deepcopy(built), build(network, parameters=built)):
        assert each.get_parameter("a.weight") is each.get_parameter("b.weight")
        assert torch.equal(each(images(network)), built(images(network)))


def test_frozen_parameters_get_no_gradient() -> None:
    net = Sketch("frozen", (1, 6, 6))
    net.conv("a", 2, 3)
    net.layers[0] = net.layers[0].replace(trainable=False)
    net.conv("b", 2, 3)
    for seed in (0, None):
        built = build(net.finish(), seed=seed)
        wanted = [name for name, each in built.named_parameters() if each.requires_grad]
        assert wanted == ["b.weight", "b.bias"]


def test_train_only_outputs() -> None:
    sketch = Sketch("heads", (1, 6, 6))
    sketch.flatten()
    main = sketch.linear("fc", 3)
    sketch.linear("aux.fc", 3, of="flatten")
    sketch.last = main
    aux = Output(name="aux", source="aux.fc", train_only=True, loss_weight=0.3)
    net = build(sketch.finish(aux))
    x = images(net.network)
    trained = net(x)
    assert isinstance(trained, dict) and list(trained) == ["logits", "aux"]
    calls: list[int] = []
    net.get_submodule("aux").register_forward_hook(lambda *_: calls.append(1))
    assert torch.equal(net.eval()(x), trained["logits"])
    assert not calls


@pytest.mark.parametrize("name", ["2\u00b2 nets\nimport os", "Base", "", "class", "a.b"])
def test_a_network_may_be_called_anything(name: str) -> None:
    sketch = Sketch(name, (1, 6, 6))
    sketch.flatten("head.flatten")
    sketch.linear("head.fc", 3)
    net = build(sketch.finish())
    assert net(images(net.network)).shape == (2, 3)
    assert pickle.loads(pickle.dumps(net)).network.name == name


def test_uneven_padding_connections_and_position_bias() -> None:
    net = Sketch("odd", (4, 7, 7))
    net.conv("uneven", 5, 2, padding=((0, 1), (0, 1)))
    record = net.layers[0]
    connections = ((0, 1), (2,), (0, 1, 2, 3, 4))
    net.put(record.replace(name="table", inputs=("uneven",), features=3, connections=connections))
    net.conv("position", 1, 1, bias="position")
    network = net.finish()
    assert {p.name: p.shape for p in network.parameters()} == {
        "uneven.weight": (5, 4, 2, 2),
        "uneven.bias": (5,),
        "table.weight": (8, 2, 2),
        "table.bias": (3,),
        "position.weight": (1, 3, 1, 1),
        "position.bias": (1, 7, 7),
    }
    built = build(network, seed=2)
    x = images(network)
    dense = torch.zeros(3, 5, 2, 2)
    rows = [(k, c) for k, row in enumerate(connections) for c in row]
    for (k, c), kernel in zip(rows, built.get_parameter("table.weight"), strict=True):
        dense[k, c] = kernel
    y = nn.functional.pad(x, (0, 1, 0, 1))
    y = nn.functional.conv2d(y, built.uneven.weight, built.uneven.bias)  # type: ignore[union-attr]
    y = nn.functional.conv2d(nn.functional.pad(y, (0, 1, 0, 1)), dense, built.table.bias)  # type: ignore[union-attr, arg-type]
    y = nn.functional.conv2d(y, built.get_parameter("position.weight"))
    torch.testing.assert_close(built(x), y + built.get_parameter("position.bias"))


def test_undisturbed_after_an_exception() -> None:
    net = build(zoo.network("resnet20"))
    net.layer1.eval()  # type: ignore[operator]
    modes = [m.training for m in net.modules()]
    with pytest.raises(DesignError), undisturbed(net):
        net.eval().requires_grad_(False)
        raise DesignError("stop")
    assert [m.training for m in net.modules()] == modes
    assert all(p.requires_grad for p in net.parameters())


def test_last_use_drops_values_where_nothing_else_holds_them() -> None:
    """In evaluation a chain holds at most the value being read and the one being written."""
    net = build(zoo.network("lenet"), seed=0).eval()
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(weakref.ref(output))
        alive.append(sum(each() is not None for each in seen))

    for module in net.children():
        module.register_forward_hook(watch)
    with torch.inference_mode():  # where a view does not hold what it was taken from
        net(torch.zeros(1, 1, 28, 28))
    assert max(alive) <= 2
