"""Nets that compute batch-norm, sum and rectifier as one in training."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from torch import Tensor, nn

from striate import zoo
from striate.errors import TrainingError
from striate.layers import BatchNorm, Net, build, fuse
from striate.ops.native import available

pytestmark = pytest.mark.skipif(not available(), reason="no kernels on this system")


def resnet() -> Net:
    net = build(zoo.network("resnet20", classes=10)).to(memory_format=torch.channels_last)
    fuse(net)
    return net


def images(count: int = 4) -> Tensor:
    drawn = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=torch.channels_last)


def step(net: Net) -> list[Tensor]:
    """Return scores, gradients and running estimates of one step."""
    scores = net(images())
    assert isinstance(scores, Tensor)
    net.zero_grad()
    scores.square().sum().backward()
    slopes = [each.grad for each in net.parameters() if each.grad is not None]
    return [scores.detach(), *slopes, *(each.clone() for each in net.buffers())]


def same(one: list[Tensor], two: list[Tensor]) -> bool:
    return len(one) == len(two) and all(map(torch.equal, one, two))


def test_the_forward_says_what_is_computed_together() -> None:
    block = resnet().get_submodule("layer1.0")
    text = inspect.getsource(block.forward)
    assert "rectified(self.bn1, self.relu, conv1)" in text
    assert "rectified(self.bn2, self.relu1, conv2, self.add, relu)" in text


def test_values_are_those_of_a_net_that_is_not_fused() -> None:
    fused = resnet()
    plain = build(zoo.network("resnet20", classes=10)).to(memory_format=torch.channels_last)
    for one, two in zip(step(fused), step(plain), strict=True):
        assert float((one - two).abs().max()) < 1e-3 * float(two.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize("kind", [nn.ReLU, BatchNorm, nn.Module])
def test_hooks_see_every_value_and_change_no_bit(kind: type[nn.Module]) -> None:
    net = resnet()
    other = copy.deepcopy(net)
    seen: list[Tensor] = []
    asked = [each for each in other.modules() if isinstance(each, kind) and not [*each.children()]]
    for each in asked:
        each.register_forward_hook(lambda module, given, made: seen.append(made.detach().clone()))
    assert same(step(net), step(other))
    assert len(seen) == len(asked)


def test_a_hook_on_all_modules_is_called() -> None:
    net, names = resnet(), []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, given, made: names.append(type(module).__name__)
    )
    try:
        step(net)
    finally:
        handle.remove()
    assert names.count("BatchNorm") == 19


def test_copies_are_fused_as_well() -> None:
    net = resnet()
    expected = step(copy.deepcopy(net))
    assert same(step(pickle.loads(pickle.dumps(net))), expected)
    assert same(step(net), expected)


def test_evaluation_is_torchs() -> None:
    net = resnet().eval()
    plain = build(net.network).to(memory_format=torch.channels_last).eval()
    assert torch.equal(net(images()), plain(images()))


def test_other_precisions_and_orders_are_torchs() -> None:
    net = build(zoo.network("resnet20", classes=10))
    plain = copy.deepcopy(net)
    fuse(net)
    x = images().contiguous()
    assert torch.equal(net(x), plain(x))
    x = images().double()
    assert torch.equal(net.double()(x), plain.double()(x))


def test_a_batch_of_one_pixel_is_refused_in_the_same_words() -> None:
    norm = BatchNorm(4)
    norm.algorithm = "fused"
    with pytest.raises(TrainingError, match="at least two values a channel"):
        norm(torch.randn(1, 4, 1, 1))


def test_an_average_over_all_batches() -> None:
    found = []
    for algorithm in ("default", "fused"):
        norm = BatchNorm(16, momentum=None)
        norm.algorithm = algorithm
        for number in range(3):
            norm(
                images().repeat(1, 6, 1, 1)[:, :16].contiguous(memory_format=torch.channels_last)
                + number
            )
        assert norm.running_mean is not None and norm.num_batches_tracked is not None
        assert int(norm.num_batches_tracked) == 3
        found.append(norm.running_mean)
    assert torch.allclose(*found, atol=1e-5)


def test_a_shared_value_is_not_taken_in() -> None:
    """DenseNet's norms read values that others read too; what they give is read once."""
    net = build(zoo.network("densenet121", classes=10, input=(3, 32, 32)))
    fuse(net)
    texts = [inspect.getsource(each.forward) for each in net.modules() if hasattr(each, "source")]
    assert sum(text.count("rectified(") for text in texts) == 120


def slopes(net: Net, create_graph: bool) -> list[Tensor]:
    scores = net(images())
    assert isinstance(scores, Tensor)
    loss = scores.square().sum()
    return [*torch.autograd.grad(loss, [*net.parameters()], create_graph=create_graph)]


def test_gradients_that_have_gradients_are_the_same() -> None:
    """A block's input is its residual too: no way through the net may be counted twice."""
    fused = resnet()
    exact = build(zoo.network("resnet20", classes=10)).to(memory_format=torch.channels_last)
    penalties = []
    for net in (fused, exact):
        first = slopes(net, create_graph=True)
        for one, two in zip(first, slopes(copy.deepcopy(net), create_graph=False), strict=True):
            off = (one.detach() - two).norm()
            assert float(off) < 1e-3 * float(two.norm().clamp(min=1e-3))
        penalty = sum((each.square().sum() for each in first), torch.zeros(()))
        second = torch.autograd.grad(penalty, [*net.parameters()], allow_unused=True)
        penalties.append([each for each in second if each is not None])
    for one, two in zip(*penalties, strict=True):
        assert float((one - two).norm()) < 2e-2 * float(two.norm().clamp(min=1.0))


def test_what_is_replaced_afterwards_is_asked() -> None:
    net = resnet()
    plain = build(zoo.network("resnet20", classes=10)).to(memory_format=torch.channels_last)
    called: list[str] = []

    class Half(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            called.append("sum")
            return (one + other) / 2

    for each in (net, plain):
        block = each.get_submodule("layer2.1")
        block.relu, block.add = nn.LeakyReLU(0.2), Half()
        norm = each.get_submodule("layer1.0.bn1")
        forward = norm.forward
        norm.forward = lambda x, forward=forward: 2 * forward(x)  # type: ignore[method-assign]
    torch.testing.assert_close(net(images()), plain(images()), rtol=1e-3, atol=1e-3)
    assert len(called) == 2


def test_hooks_see_what_goes_into_a_rectifier() -> None:
    net = resnet()
    least: list[float] = []
    rectifier = net.get_submodule("layer1.0.relu")
    rectifier.register_forward_pre_hook(
        lambda module, given: least.append(float(given[0].detach().min()))
    )
    net(images())
    assert least[0] < -0.5


def test_a_norm_that_does_not_fit_is_torchs_to_refuse() -> None:
    norm = BatchNorm(8)
    norm.algorithm = "fused"
    with pytest.raises(RuntimeError, match="running_mean should contain 12"):
        norm(torch.randn(2, 12, 4, 4).contiguous(memory_format=torch.channels_last))
