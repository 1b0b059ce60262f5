"""Memory on paper against what follows from who reads whom."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Network, Sketch, sheet
from striate.design.arithmetic import volume
from striate.design.memory import peak


def test_chain_and_shortcut() -> None:
    net = Sketch("t", (1, 10, 10))
    net.conv("a", 2, 3, padding=1)  # 100 in, 200 out
    net.relu("r")  # in place
    net.conv("b", 3, 3, padding=1)  # 200 in, 300 out
    assert peak(net.finish()) == 500
    net.conv("c", 3, 3, padding=1)  # 300 in, 300 out
    net.add("sum", "b", "c")  # and 300 more
    assert peak(net.finish()) == 900


def test_an_activation_whose_input_is_read_again_has_its_own_output() -> None:
    net = Sketch("t", (1, 10, 10))
    first = net.conv("a", 1, 1)
    net.relu("r")
    net.add("sum", "r", first)
    assert peak(net.finish()) == 300


def test_a_head_for_training_needs_nothing_forward() -> None:
    assert peak(zoo.network("googlenet")) < volume((64, 112, 112)) * 2


@pytest.mark.parametrize("name", zoo.names())
def test_the_peak_is_at_least_a_layer_and_at_most_everything(name: str) -> None:
    network = zoo.network(name)
    used, shapes = network.needed(train=False), network.shapes()
    most = 0
    for layer in network.layers:
        if layer.name in used and layer.stored(*network.input_shapes(layer)):
            inputs = sum(volume(shapes[each]) for each in set(layer.inputs))
            most = max(most, inputs + volume(shapes[layer.name]))
    assert most <= peak(network) <= _everything(network)


def _everything(network: Network) -> int:
    return volume(network.input_shape) + sum(
        volume(network.shapes()[x.name]) for x in network.layers
    )


def test_a_batch_multiplies_values_and_not_parameters() -> None:
    one, many = (sheet(zoo.network("vgg16"), batch=batch).memory for batch in (1, 32))
    pooled = 64 * 112**2 + 128 * 56**2 + 256 * 28**2 + 512 * 14**2 + 512 * 7**2
    copies = 25_088 + 4 * 4096 - 1000  # pooling to 7x7, dropout and its masks, not the logits
    assert one.forward == 4 * 2 * 64 * 224 * 224
    assert one.kept == 4 * (15_237_608 + copies) + 8 * pooled  # with the places of maxima
    assert (many.forward, many.kept) == (32 * one.forward, 32 * one.kept)
    assert many.parameters == one.parameters == 4 * 138_357_544
