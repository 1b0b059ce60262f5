"""Batch normalisation that is not trainable on paper does not move in training either."""

from __future__ import annotations

import torch

from striate import zoo
from striate.design import BatchNorm
from striate.layers import build


def test_nothing_of_it_moves_and_it_answers_as_in_evaluation() -> None:
    network = zoo.network("convnet")
    frozen = network.replace(
        layers=tuple(
            each.replace(trainable=False) if isinstance(each, BatchNorm) else each
            for each in network.layers
        )
    )
    net = build(frozen, seed=0).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = 3 + torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    answer = net(x)
    answer.sum().backward()
    torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1).step()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) == (".bn." in name), name
    same = build(frozen, seed=0).eval()
    assert torch.equal(same(x), answer)
    moving = build(network, seed=0).train()
    assert not torch.allclose(moving(x), answer)
