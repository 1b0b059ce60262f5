"""Batch-norm over several processes equals torch's over the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from striate.errors import TrainingError
from striate.layers.batchnorm import BatchNorm

CHANNELS = 5


def whole_batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(7, CHANNELS, 4, 3, generator=generator, dtype=dtype) * 3 + 100
    return x, torch.randn(x.shape, generator=generator, dtype=dtype)


def run(module: nn.Module, x: Tensor, grad: Tensor) -> dict[str, Tensor]:
    module.train()
    with torch.no_grad():
        module.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        module.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(grad)
    out = {"y": y.detach(), "dx": x.grad, "dw": module.weight.grad, "db": module.bias.grad}
    return out | {name: buffer for name, buffer in module.named_buffers()}


def worker(rank: int, world: int, rows: tuple[int, ...], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    x, grad = whole_batch()
    start = sum(rows[:rank])
    mine = slice(start, start + rows[rank])
    torch.save(run(BatchNorm(CHANNELS), x[mine], grad[mine]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_one_process_is_torch_bit_for_bit() -> None:
    x, grad = whole_batch()
    ours, theirs = run(BatchNorm(CHANNELS), x, grad), run(nn.BatchNorm2d(CHANNELS), x, grad)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("rows", [(4, 3), (7, 0), (1, 6)])
def test_processes_agree_with_one(rows: tuple[int, ...], tmp_path: Path) -> None:
    torch.multiprocessing.spawn(worker, (len(rows), rows, str(tmp_path)), nprocs=len(rows))
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(len(rows))]
    x, grad = whole_batch()
    expected = run(nn.BatchNorm2d(CHANNELS), x, grad)
    joined = {name: torch.cat([part[name] for part in parts]) for name in ("y", "dx")}
    joined |= {name: sum(part[name] for part in parts) for name in ("dw", "db")}
    for name, value in joined.items():
        torch.testing.assert_close(value, expected[name], rtol=2e-5, atol=2e-5, msg=name)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        for part in parts:
            torch.testing.assert_close(part[name], expected[name], rtol=1e-6, atol=0, msg=name)


def test_one_value_a_channel_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"received one: input \(1, 5, 1, 1\)"):
        BatchNorm(CHANNELS).train()(torch.ones(1, CHANNELS, 1, 1))


def test_evaluation_uses_running_estimates() -> None:
    ours, theirs = BatchNorm(CHANNELS).eval(), nn.BatchNorm2d(CHANNELS).eval()
    x, _ = whole_batch()
    assert torch.equal(ours(x), theirs(x))
