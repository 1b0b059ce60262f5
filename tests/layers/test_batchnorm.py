"""Batch-norm over several processes equals torch's over the whole batch."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from striate import zoo
from striate.design import prototxt
from striate.errors import TrainingError
from striate.layers import BatchNorm, Net, build

CHANNELS = 5
SHARES = [(4, 3), (7, 0), (1, 6)]  # rows that each of two processes holds
CASES = [(rows, dtype) for rows in SHARES for dtype in (torch.float32, torch.float64)]
CASES.append(((5, 2), torch.bfloat16))


def whole_batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(7, CHANNELS, 4, 3, generator=generator, dtype=torch.float64) * 3 + 100
    grad = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x.to(dtype), grad.to(dtype)


def run(module: nn.Module, x: Tensor, grad: Tensor) -> dict[str, Tensor]:
    module.train()
    with torch.no_grad():
        module.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        module.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(grad)
    out = {"y": y.detach(), "dx": x.grad, "dw": module.weight.grad, "db": module.bias.grad}
    return out | dict(module.named_buffers())


def precision(dtype: torch.dtype) -> torch.dtype:
    """The parameters' dtype beside images of `dtype`, as under autocast."""
    return dtype if dtype == torch.float64 else torch.float32


def together(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = []
    for rows, dtype in CASES:
        x, grad = whole_batch(dtype)
        mine = slice(sum(rows[:rank]), sum(rows[: rank + 1]))
        module = BatchNorm(CHANNELS).to(precision(dtype))
        results.append(run(module, x[mine], grad[mine]))
    state = twenty_steps(build(zoo.network("resnet20(width=8)"), seed=1), rank, 2).state_dict()
    torch.save((results, state), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def twenty_steps(net: Net, rank: int = 0, world: int = 1) -> Net:
    """Train on 13 images, of which the processes hold 7 and 6.

    In float64: in float32 the order of one process's rows alone moves the weights by 1e-4 at a rate
    of 1e-3 and by 1e-1 at 0.1, since 20 steps of ResNet-20 multiply a rounding a million times.
    """
    net = net.double()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for step in range(20):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(13, 3, 16, 16, generator=generator).double().chunk(world)[rank]
        labels = torch.randint(10, (13,), generator=generator).chunk(world)[rank]
        optimiser.zero_grad()
        (functional.cross_entropy(net(images), labels, reduction="sum") / 13).backward()
        for parameter in net.parameters() if world > 1 else ():
            dist.all_reduce(parameter.grad)
        optimiser.step()
    return net


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> list:
    """What two processes saved, one start for all cases."""
    folder = tmp_path_factory.mktemp("together")
    torch.multiprocessing.spawn(together, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_one_process_is_torch_bit_for_bit() -> None:
    x, grad = whole_batch()
    ours, theirs = run(BatchNorm(CHANNELS), x, grad), run(nn.BatchNorm2d(CHANNELS), x, grad)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.distributed
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{r}-{d}" for r, d in CASES])
def test_processes_agree_with_one(case: int, joined: list) -> None:
    _, dtype = CASES[case]
    parts = [results[case] for results, _ in joined]
    x, grad = whole_batch(dtype)
    expected = run(nn.BatchNorm2d(CHANNELS).to(precision(dtype)), x, grad)
    cut = {name: torch.cat([part[name] for part in parts]) for name in ("y", "dx")}
    cut |= {name: sum(part[name] for part in parts) for name in ("dw", "db")}
    loose = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}[dtype]
    for name, value in cut.items():
        assert value.dtype == expected[name].dtype
        torch.testing.assert_close(value, expected[name], rtol=loose, atol=loose, msg=name)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        for part in parts:
            torch.testing.assert_close(
                part[name], expected[name], rtol=1e-6, atol=0, msg=name, check_dtype=True
            )


@pytest.mark.distributed
def test_two_processes_train_resnet20_as_one(joined: list) -> None:
    (_, ours), (_, others) = joined
    expected = twenty_steps(build(zoo.network("resnet20(width=8)"), seed=1)).state_dict()
    for name, value in expected.items():
        assert torch.equal(ours[name], others[name]), name
        distance = (ours[name] - value).double().norm() / value.double().norm()
        assert distance < 1e-8, f"{name} {distance}"


def test_one_value_a_channel_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"received one: input \(1, 5, 1, 1\)"):
        BatchNorm(CHANNELS).train()(torch.ones(1, CHANNELS, 1, 1))


def test_evaluation_uses_running_estimates() -> None:
    ours, theirs = BatchNorm(CHANNELS).eval(), nn.BatchNorm2d(CHANNELS).eval()
    x, _ = whole_batch()
    assert torch.equal(ours(x), theirs(x))


def _summed(batches: list[torch.Tensor], fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Caffe's rule: sums that fade, divided by the weight that they were summed with."""
    weight, mean, variance = 0.0, torch.zeros(CHANNELS), torch.zeros(CHANNELS)
    for batch in batches:
        weight = weight * fraction + 1
        mean = mean * fraction + batch.mean((0, 2, 3))
        variance = variance * fraction + batch.var((0, 2, 3), correction=1)
    return mean / weight, variance / weight


@pytest.mark.parametrize("fraction", [0.999, 0.9, 0.0, 1.0])
@pytest.mark.parametrize("algorithm", ["default", "fused"])
def test_corrected_estimates_are_caffes(fraction: float, algorithm: str) -> None:
    norm = BatchNorm(CHANNELS, momentum=1 - fraction).train()
    norm.corrected, norm.algorithm = True, algorithm
    plain = BatchNorm(CHANNELS).train()
    batches = [3 + 2 * torch.randn(6, CHANNELS, 8, 8).contiguous() for _ in range(5)]
    for count, batch in enumerate(batches, start=1):
        torch.testing.assert_close(norm(batch), plain(batch))
        mean, variance = _summed(batches[:count], fraction)
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, variance)
        assert norm.num_batches_tracked == count


def test_a_prototxts_batch_norm_answers_in_evaluation_after_one_step() -> None:
    """Nothing said of moving_average_fraction is 0.999: a thousandth of the batch, uncorrected."""
    text = """input: "data" input_dim: 1 input_dim: 2 input_dim: 6 input_dim: 6
    layer { name: "n" type: "BatchNorm" bottom: "data" top: "n" }
    layer { name: "s" type: "Scale" bottom: "n" top: "s" scale_param { bias_term: true } }"""
    net = build(prototxt.parse(text), seed=0)
    images = 5 + 3 * torch.randn(40, 2, 6, 6)
    torch.testing.assert_close(net.train()(images), net.eval()(images), rtol=1e-3, atol=1e-3)
