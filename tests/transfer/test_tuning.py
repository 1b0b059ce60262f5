"""What moves and how fast is on paper, and training obeys it."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import BatchNorm
from striate.design.centred import WHITENING, centred
from striate.errors import UsageError
from striate.layers import build
from striate.transfer import blocks, cut_at, probe_layers, tuned

NETWORKS = ["mobilenet_v1(width=0.25)", "resnet20", "resnet18", "vgg11", "googlenet_bn",
            "densenet121", "convnet", "lenet", "squeezenet1_0", "alexnet"]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_are_every_layer_once(name: str) -> None:
    network = zoo.network(name)
    found = blocks(network)
    every = [layer for group in found for layer in group]
    assert len(every) == len(set(every))
    anew = {layer.name for layer in network.layers} - set(every)
    lost = network.parameter_count() - sum(
        each.size for each in network.parameters() if each.name.rpartition(".")[0] in set(every)
    )
    assert lost == sum(
        each.size for each in network.parameters() if each.name.rpartition(".")[0] in anew
    )
    for group in found:  # no block without weights
        assert any(network.layer(n).parameters(*network.input_shapes(network.layer(n)))
                   for n in group), group  # fmt: skip
    for layer in probe_layers(network):
        assert layer in every


def test_blocks_of_residual_networks_are_their_blocks() -> None:
    found = blocks(zoo.network("resnet18"))
    assert len(found) == 9
    assert found[-1][0] == "layer4.1.conv1"
    assert found[-1][-1] == "flatten"
    assert len(blocks(zoo.network("googlenet_bn"))) < 20


def test_rates_fall_with_depth() -> None:
    network, anew = tuned(zoo.network("resnet18"), 5, None)
    rate = {each.name: each.rate for each in network.parameters() if each.trainable}
    assert anew == ("fc",)
    assert network.classes == 5
    assert rate["fc.weight"] == 1.0
    assert rate["layer4.1.conv1.weight"] == pytest.approx(0.1)
    assert rate["conv1.weight"] == pytest.approx(0.01)
    assert not any("bn" in name for name in rate)
    decayed, _ = tuned(zoo.network("resnet18"), 5, None, layer_decay=0.5)
    rate = {each.name: each.rate for each in decayed.parameters() if each.trainable}
    assert rate["layer4.1.conv1.weight"] == 0.5
    assert rate["layer4.0.conv1.weight"] == 0.25


def test_what_stood_still_for_one_transfer_moves_in_the_next() -> None:
    first, _ = tuned(zoo.network("resnet20"), 3, 0)
    again, _ = tuned(first, 5, None, freeze_norm=False)
    fresh, _ = tuned(zoo.network("resnet20"), 5, None, freeze_norm=False)
    assert [(e.name, e.trainable, e.rate) for e in again.parameters()] == [
        (e.name, e.trainable, e.rate) for e in fresh.parameters()
    ]
    whitened, _ = tuned(centred(zoo.network("lenet"), "zca"), 5, None)
    moving = {each.name for each in whitened.parameters() if each.trainable}
    assert "conv1.weight" in moving
    assert WHITENING not in moving


def test_only_the_last_blocks_move() -> None:
    network, _ = tuned(zoo.network("resnet20"), 3, 1, freeze_norm=False)
    moving = {each.name for each in network.parameters() if each.trainable}
    assert moving == {
        "layer3.2.conv1.weight", "layer3.2.bn1.weight", "layer3.2.bn1.bias",
        "layer3.2.conv2.weight", "layer3.2.bn2.weight", "layer3.2.bn2.bias",
        "linear.weight", "linear.bias",
    }  # fmt: skip
    head, _ = tuned(zoo.network("resnet20"), 3, 0)
    assert sum(each.size for each in head.parameters() if each.trainable) == 3 * 65
    assert all(not layer.trainable for layer in head.layers if isinstance(layer, BatchNorm))
    with pytest.raises(UsageError, match="0 to 10 last blocks, received 11"):
        tuned(zoo.network("resnet20"), 3, 11)


def test_a_network_cut_at_a_layer() -> None:
    network = cut_at(zoo.network("resnet20"), "layer2.0.relu1", 4)
    build(network, seed=0)
    assert network.classes == 4
    assert [each.name for each in network.parameters() if each.trainable] == [
        "transfer_head.weight", "transfer_head.bias"
    ]  # fmt: skip
    with pytest.raises(UsageError, match="Did you mean layer2"):
        cut_at(zoo.network("resnet20"), "layer2.0.relu9", 4)
