"""The fused net against the net it came from, on every network that is small enough."""

from __future__ import annotations

import threading
from functools import partial
from typing import Literal

import pytest
import torch
from torch import nn

from striate import design, engine, zoo
from striate.engine import Program
from striate.engine.simplify import ACTIVATIONS
from striate.errors import UsageError, WeightsError
from striate.layers import Net, build

# One of each family of the zoo, and what each has that others lack.
SMALL = (
    "lenet",
    "lenet5_1998",  # connections, subsampling, distances
    "neocognitron",
    "allcnn_c",
    "nin_cifar",
    "resnet20",  # shortcuts without parameters
    "resnet18",
    "densenet_bc_100_12",
    "mobilenet_v1",
    "squeezenet1_1",
    "googlenet_bn",
    "alphago_policy_128",
    "wrn_16_8",
    "mlp",
)
LARGEST = 60_000_000  # parameters
accelerate = partial(engine.accelerate, plan="default")


def shaken(network: design.Network, seed: int = 0) -> Net:
    """Build a network whose batch-norms are not idle."""
    net = build(network, seed=seed)
    source = torch.Generator().manual_seed(seed)
    for part in net.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1, generator=source)
            part.running_var.uniform_(0.5, 2, generator=source)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5, generator=source)
                nn.init.normal_(part.bias, 0, 0.1, generator=source)
    return net.eval()


def small(name: str) -> design.Network:
    network = zoo.network(name)
    if zoo.entry(name).per_position:
        return network
    fitting = network.minimum_input()
    try:
        return network.with_input((network.input_shape[0], *fitting[1:]))
    except design.DesignError:
        return network


def assert_same(fast: nn.Module, net: Net, images: torch.Tensor) -> None:
    with torch.no_grad():
        expected = net(images)
    received = fast(images)
    assert received.shape == expected.shape and received.dtype == expected.dtype
    assert (received - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", SMALL)
def test_the_same_answers_as_the_net(name: str) -> None:
    net = shaken(small(name))
    images = torch.randn(3, *net.network.input_shape)
    fast = accelerate(net, images)
    assert_same(fast, net, images)
    for rows in (1, 5):  # any batch, also a larger one than the example
        assert_same(fast, net, torch.randn(rows, *net.network.input_shape))
    assert fast(images[:0]).shape == (0, *fast(images).shape[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(zoo.names()) - set(SMALL)))
def test_every_network_of_the_zoo(name: str) -> None:
    network = small(name)
    if network.parameter_count() > LARGEST * 3:
        pytest.skip("too large")
    net = shaken(network)
    images = torch.randn(2, *net.network.input_shape)
    assert_same(accelerate(net, images), net, images)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("plan", ["default", "measure"])
def test_any_function_after_a_convolution_and_after_a_sum(
    kind: type[design.Layer], plan: Literal["default", "measure"]
) -> None:
    pen = design.Sketch("summed", (8, 12, 12))
    pen.conv("one", 8, 3, padding=1)
    pen.put(kind(name="first", inputs=("one",)))
    pen.conv("two", 8, 3, padding=1)
    pen.add("sum", "two", "first")
    pen.put(kind(name="second", inputs=("sum",)))
    net, images = shaken(pen.finish()), torch.randn(2, 8, 12, 12)
    assert_same(engine.accelerate(net, images, plan=plan), net, images)


def test_layers_are_folded_into_convolutions() -> None:
    fast = accelerate(shaken(small("resnet18")), torch.zeros(2, 3, 32, 32))
    kinds = [type(step.kernel).__name__ for step in fast._steps]
    assert kinds.count("Convolution") == 20
    assert len(kinds) == 20 + 3  # max pooling, flattening, the linear layer; no mean of one pixel


def test_pooling_to_the_size_that_is_there_is_nothing() -> None:
    pen = design.Sketch("pooled", (4, 6, 5))
    pen.conv("conv", 8, 3, padding=1)
    pen.adaptive_avg_pool("mean", (6, 5))
    pen.adaptive_max_pool("largest", (6, 5))
    pen.adaptive_avg_pool("less", (3, 5))
    net, images = shaken(pen.finish()), torch.randn(2, 4, 6, 5)
    fast = accelerate(net, images)
    assert [step.layers for step in fast._steps] == [("conv",), ("less",)]
    assert_same(fast, net, images)


def test_an_image_does_not_depend_on_the_others() -> None:
    net = shaken(small("densenet_bc_100_12"))
    images = torch.randn(4, 3, 32, 32)
    fast = accelerate(net, images)
    clean = fast(images)
    spoilt = images.clone()
    spoilt[1], spoilt[3, 0, 5, 5] = float("nan"), float("inf")
    received = fast(spoilt)
    assert torch.equal(received[0], clean[0]) and torch.equal(received[2], clean[2])
    assert received[1].isnan().all() and not received[3].isfinite().any()
    assert torch.equal(fast(images), clean)  # nothing is left in the memory that is reused


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads: int) -> None:
    net = shaken(small("squeezenet1_1"))
    before = torch.get_num_threads()
    images = torch.randn(2, *net.network.input_shape)
    torch.set_num_threads(threads)
    try:
        assert_same(accelerate(net, images), net, images)
    finally:
        torch.set_num_threads(before)


def test_calls_from_several_threads_do_not_meet() -> None:
    net = shaken(small("densenet_bc_100_12"))
    batches = [torch.randn(2, 3, 32, 32) for _ in range(4)]
    fast = accelerate(net, batches[0])
    alone = [fast(batch) for batch in batches]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(3):
            if not torch.equal(fast(batches[index]), alone[index]):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


class Stranger(nn.Module):
    """In-place and reused activations, a functional call, a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.one(x)))
        y = nn.functional.leaky_relu(self.two(x), 0.2)
        y = self.relu(y + x)
        joined = torch.cat([y, torch.sigmoid(y)], 1)
        return self.last(joined[:, 4:12].mean((2, 3)))


def test_anybody_s_module() -> None:
    module = Stranger().eval()
    images = torch.randn(2, 3, 16, 16)
    fast = accelerate(module, images)
    assert isinstance(fast, nn.Module)
    assert torch.allclose(fast(images), module(images), atol=1e-6)
    assert not fast(images).requires_grad
    with pytest.raises(UsageError, match="Expected an example"):
        accelerate(module)


def test_training_the_net_afterwards_changes_nothing() -> None:
    net = shaken(small("neocognitron"))
    images = torch.rand(2, *net.network.input_shape)
    fast = accelerate(net, images)
    before = fast(images)
    net.train()
    assert torch.equal(fast(images), before)
    assert net.training is not False


def test_an_exchanged_module_is_refused() -> None:
    net = shaken(small("resnet20"))
    net.get_submodule("layer1.0").add_module("conv1", nn.Conv2d(16, 16, 5, padding=2))
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1 of resnet20 is no longer"):
        accelerate(net)


def test_a_batch_norm_calibrated_by_another_momentum_is_the_records_own() -> None:
    net = small("resnet20")
    built = build(net, seed=0)
    for part in built.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = None
    images = torch.randn(8, *net.input_shape)
    with torch.no_grad():
        built.train()(images)
    assert_same(accelerate(built.eval(), images), built, images)


def test_inputs_that_do_not_fit_are_named() -> None:
    fast = accelerate(shaken(zoo.network("lenet")))
    with pytest.raises(UsageError, match=r"expected x of shape \(batch, 1, 28, 28\)"):
        fast(torch.zeros(2, 1, 32, 32))
    with pytest.raises(UsageError, match=r"as torch\.float32 on cpu, received torch\.float64"):
        fast(torch.zeros(2, 1, 28, 28, dtype=torch.float64))


def test_double_precision_goes_through_torch() -> None:
    net = shaken(small("googlenet_bn")).double()
    images = torch.randn(2, *net.network.input_shape, dtype=torch.float64)
    with torch.no_grad():
        expected = net(images)
    received = accelerate(net, images)(images)
    assert (received - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_values_share_memory() -> None:
    fast = accelerate(shaken(small("densenet_bc_100_12")))
    assert isinstance(fast, Program)
    places = [step for step in fast._steps if step.place is not None]
    assert len(fast._sizes) <= 3 < len(places)
    joins = [step for step in fast._steps if step.kernel is None]
    inner = [step for step in joins if step.place and step.place.channels < step.place.whole[0]]
    assert len(inner) == len(joins) - 3  # each block grows in one value's memory
