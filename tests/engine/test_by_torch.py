"""What no layer on paper describes is computed by torch, between convolutions of ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from tests.layers.describe.strangers import STRANGERS
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_flatten

from striate import engine
from striate.engine import Program
from striate.errors import DesignError, UsageError

Forward = Callable[["Two", Tensor], object]


class Two(nn.Module):
    """A convolution, whatever a test wants, a convolution."""

    def __init__(self, forward: Forward, *parts: nn.Module) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.parts, self.way = nn.ModuleList(parts), forward

    def forward(self, x: Tensor) -> object:
        return self.way(self, x)

    def begin(self, x: Tensor) -> Tensor:
        return F.relu(self.one(x))


class Gate(nn.Module):
    """Looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.mean() < 1e9 else x


def accelerate(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> Program:
    return engine.accelerate(module.eval(), shape, plan="default")


def accelerated(module: nn.Module) -> Program:
    """Return a program that gave the module's answers."""
    fast = accelerate(module)
    assert differences(module, fast) == []
    return fast


def differences(module: nn.Module, fast: Program, shape: tuple[int, ...] = (3, 8, 8)) -> list[str]:
    """Return where a program answers otherwise than its module, for several numbers of images."""
    found = []
    for images in (1, 2, 13, 13, 13):  # from the third call on steps are made as one
        x = torch.randn(images, *shape)
        wanted, spec = tree_flatten(answer(module, x))
        given, ours = tree_flatten(answer(fast, x))
        if ours != spec:
            found.append(f"{images} images: {ours}, not {spec}")
            continue
        for at, (theirs, mine) in enumerate(zip(wanted, given, strict=True)):
            if not alike(theirs, mine):
                found.append(f"{images} images, output {at}: {mine}, not {theirs}")
    return found


def answer(module: Callable[[Tensor], object], x: Tensor) -> object:
    """Return what a module gives, its draws those of one seed."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        return module(x)


def alike(theirs: object, mine: object) -> bool:
    if not (isinstance(theirs, Tensor) and isinstance(mine, Tensor)):
        return type(theirs) is type(mine) and theirs == mine
    same = (theirs.shape, theirs.dtype) == (mine.shape, mine.dtype)
    return same and torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def kernels(fast: Program) -> list[str]:
    return [type(step.kernel).__name__ for step in fast._steps]


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: ({"class": net.begin(x), "map": net.two(net.begin(x))}, x),
        lambda net, x: (y := net.one(x), y.relu()),
        lambda net, x: {"logits": net.begin(x)},
        lambda net, x: [net.begin(x)],
        lambda net, x: (net.begin(x), None),
        lambda net, x: (net.begin(x).mean((1, 2, 3)), x.shape[0], torch.ones(2), x.mean()),
        lambda net, x: (net.begin(x), torch.arange(len(x.shape)), torch.arange(x.shape[0])),
        lambda net, x: (y := net.begin(x), y, [y.flatten(1)]),
    ],
)
def test_what_is_returned_has_the_modules_structure(forward: Forward) -> None:
    module = Two(forward)
    assert differences(module, accelerate(module)) == []


def attention(net: Two, x: Tensor) -> Tensor:
    y = net.begin(x)
    rows = y.flatten(2).transpose(1, 2).unsqueeze(1)
    mixed = F.scaled_dot_product_attention(rows, rows, rows)
    return net.two(mixed.squeeze(1).transpose(1, 2).reshape(y.shape))


def windows(net: Two, x: Tensor) -> Tensor:
    """Move windows to the batch and back."""
    y = net.begin(x)
    b, c, h, w = y.shape
    cut = y.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
    back = F.layer_norm(cut, (c,)).view(b, h // 4, w // 4, 4, 4, c)
    return net.two(back.permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w))


def masked(net: Two, x: Tensor) -> Tensor:
    """Write into tensors, of its own and of values."""
    y, mask = net.begin(x).clone(), torch.zeros(x.shape[0], 1, 8, 8)
    mask[:, :, 1:3] = 1
    y[:, :2] = 0.5
    return net.two(y * mask)


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.two(F.normalize(net.begin(x))),
        lambda net, x: (y := net.begin(x).flatten(2)) @ y.transpose(1, 2),
        lambda net, x: net.two(torch.stack([net.begin(x), net.one(x)]).sum(0)),
        lambda net, x: net.two(torch.where((y := net.one(x)) > 0, y, y * 0.1)),
        lambda net, x: net.two(net.begin(x).flip(3)),
        lambda net, x: net.two(net.begin(x).flip(0)),
        lambda net, x: net.two(F.pad(net.begin(x), (-1, 1, 2, -1))),
        lambda net, x: net.two((y := net.begin(x)) + y.mean((2, 3), keepdim=True)),
        lambda net, x: net.two(F.max_pool2d(net.begin(x), 3, 2, 1, dilation=2)),
        lambda net, x: net.two(torch.cat([net.begin(x), net.one(x)], 0)),
        lambda net, x: net.two(torch.cat([net.begin(x), net.one(x)], 2)),
        lambda net, x: net.two(net.begin(x).double().softmax(-1).float()),
        lambda net, x: net.two(net.begin(x) / net.begin(x).mean()),
        lambda net, x: net.begin(x).flatten(1).topk(3),
        lambda net, x: net.two(net.begin(x) * 3 / x.shape[0]),
        lambda net, x: net.two(torch.cat([net.begin(x), x.new_ones(len(x), 8, 1, 8)], 2)),
        attention,
        windows,
        masked,
    ],
)
def test_functions_without_a_record(forward: Forward) -> None:
    fast = accelerated(Two(forward))
    assert "ByTorch" in kernels(fast) and "Convolution" in kernels(fast)


def recurrent(net: Two, x: Tensor) -> Tensor:
    y = net.begin(x)
    rows, _ = net.parts[0](y.flatten(2).transpose(1, 2))
    return net.two(rows.transpose(1, 2).reshape(y.shape))


@pytest.mark.parametrize(
    ("forward", "part"),
    [
        (recurrent, nn.LSTM(8, 8, batch_first=True)),
        (lambda net, x: net.two(net.parts[0](x)), parametrizations.weight_norm(nn.Conv2d(3, 8, 3))),
        (
            lambda net, x: net.two(net.parts[0](x)),
            nn.Conv2d(3, 8, 3, 1, 1, padding_mode="circular"),
        ),
        (lambda net, x: net.two(net.parts[0](net.begin(x))), Gate()),
        (
            lambda net, x: net.parts[0](*[net.begin(x).flatten(2).transpose(1, 2)] * 3),
            nn.MultiheadAttention(8, 2, batch_first=True),
        ),
    ],
)
def test_modules_without_a_record(forward: Forward, part: nn.Module) -> None:
    assert "ByTorch" in kernels(accelerated(Two(forward, part)))


def test_a_spectral_norm() -> None:
    part = parametrizations.spectral_norm(nn.Conv2d(3, 8, 3))
    module = Two(lambda net, x: net.two(F.relu(net.parts[0](x))), part)
    assert differences(module, accelerate(module)) == []


def test_dropout_that_is_always_on_stays() -> None:
    fast = accelerated(Two(lambda net, x: net.two(F.dropout(net.begin(x), 0.5, True))))
    x = torch.randn(1, 3, 8, 8)
    assert not torch.equal(fast(x), fast(x))


def test_a_program_is_a_part_like_any_other() -> None:
    inner = engine.accelerate(nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU()), (8, 8, 8))
    fast = accelerated(Two(lambda net, x: net.parts[0](net.begin(x)), inner))
    assert engine.accelerate(fast, (3, 8, 8)) is fast
    with pytest.raises(UsageError, match=r"accelerated already: expected an example of shape \(3"):
        engine.accelerate(fast, (3, 9, 9))


def test_where_shapes_do_not_lead_the_remedy_is_said() -> None:
    looks = Two(lambda net, x: net.begin(x) if x.sum().item() < 1e9 else x)
    with pytest.raises(DesignError, match=r"item needs values.*into a submodule of its own"):
        accelerated(looks)
    written = Two(lambda net, x: [y := net.begin(x), y[:, 0].zero_(), net.two(y)][-1])
    with pytest.raises(DesignError, match=r"through a view of it\. Put that into a submodule"):
        accelerated(written)
    roots = Two(lambda net, x: net.two(net.begin(x) * math.sqrt(x.shape[0])))
    with pytest.raises(DesignError, match=r"3 images output 1 is .* off\..*submodule"):
        accelerated(roots)
    loops = Two(lambda net, x: torch.stack([net.begin(x)[i] for i in range(x.shape[0])]))
    with pytest.raises(DesignError, match="3 images index 3 is out of bounds.*submodule"):
        accelerated(loops)


def test_a_container_that_torch_does_not_know_is_named() -> None:
    @dataclass
    class Answer:
        logits: Tensor

    with pytest.raises(DesignError, match="received a Answer: register it there"):
        accelerated(Two(lambda net, x: Answer(net.begin(x))))


@pytest.mark.parametrize("name", sorted(STRANGERS))
def test_what_strangers_return(name: str) -> None:
    kind, shape = STRANGERS[name]
    module = kind()
    assert differences(module, accelerate(module, shape), shape) == []


def test_the_module_stays_as_it_was() -> None:
    net = Two(lambda net, x: net.two(net.parts[0](net.begin(x))), Gate()).train()
    before = {name: each.clone() for name, each in net.state_dict().items()}
    engine.accelerate(net, (3, 8, 8), plan="default")
    assert net.training and net.parts[0].training
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())
