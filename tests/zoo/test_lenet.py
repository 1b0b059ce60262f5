"""LeNet-5 of 1998: the paper's table of parameters and connections, its codes, its start."""

from __future__ import annotations

import pytest
import torch

from striate import zoo
from striate.design import Conv, sheet
from striate.layers import build
from striate.zoo.lenet import BITMAPS, TABLE, codes

# layer: maps and their size, trainable parameters, connections; section II.B of the paper.
PAPER = {
    "c1": ((6, 28, 28), 156, 122_304),
    "s2": ((6, 14, 14), 12, 5_880),
    "c3": ((16, 10, 10), 1_516, 151_600),
    "s4": ((16, 5, 5), 32, 2_000),
    "c5": ((120, 1, 1), 48_120, 48_120),
    "f6": ((84,), 10_164, 10_164),
    "output": ((10,), 0, 840),
}


def test_parameters_and_connections_of_each_layer() -> None:
    network = zoo.network("lenet5_1998")
    rows = {row.name: row for row in sheet(network).layers}
    found = {
        name: (rows[name].output, rows[name].parameters, rows[name].connections) for name in PAPER
    }
    assert found == PAPER
    assert network.parameter_count() == 60_000
    assert sum(row.connections for row in rows.values()) == 340_908
    net = build(network)
    assert sum(each.numel() for each in net.parameters()) == 60_000
    assert sum(each.numel() for each in net.buffers()) == 840


def test_the_table_of_c3() -> None:
    """Six maps see three neighbours in a ring, six see four, three see four apart, one all."""
    ring = [tuple(sorted((k + i) % 6 for i in range(3))) for k in range(6)]
    assert sorted(tuple(sorted(row)) for row in TABLE[:6]) == sorted(ring)
    ring = [tuple(sorted((k + i) % 6 for i in range(4))) for k in range(6)]
    assert sorted(tuple(sorted(row)) for row in TABLE[6:12]) == sorted(ring)
    assert all(len(row) == 4 and tuple(sorted(row)) not in ring for row in TABLE[12:15])
    assert TABLE[15] == tuple(range(6))
    uses = [sum(channel in row for row in TABLE) for channel in range(6)]
    assert uses == [10] * 6  # each map of S2 is seen equally often
    layer = zoo.network("lenet5_1998").layer("c3")
    assert isinstance(layer, Conv) and layer.connections == TABLE


def test_codes_are_pictures_of_digits() -> None:
    """84 pixels each, no two alike; the loop of 8 closed twice, the 1 narrow."""
    words = codes(10).words
    assert [len(word) for word in words] == [84] * 10 and len(set(words)) == 10
    assert set("".join(words)) == {"#", "."}
    assert len(BITMAPS.split()) == 120
    net = build(zoo.network("lenet5_1998"))
    weight = net.get_buffer("output.weight")
    assert set(weight.unique().tolist()) == {-1.0, 1.0}
    distances = torch.cdist(weight, weight).square()
    assert distances[~torch.eye(10, dtype=torch.bool)].min() >= 4 * 10
    assert net.get_buffer("output.weight")[8].reshape(12, 7)[0].tolist() == [-1, 1, 1, 1, 1, 1, -1]


@pytest.mark.parametrize("classes", [3, 26])
def test_other_class_counts_have_other_codes(classes: int) -> None:
    network = zoo.network("lenet5_1998", classes=classes)
    weight = build(network, seed=4).get_buffer("output.weight")
    assert weight.shape == (classes, 84) and len(weight.unique(dim=0)) == classes
    ten = build(zoo.network("lenet5_1998")).get_buffer("output.weight")
    least = min(classes, 10)
    assert torch.equal(weight[:least], ten[:least])
    edited, kept = zoo.network("lenet5_1998").with_classes(classes)
    assert edited.classes == classes and "f6.weight" in kept
    assert build(edited)(torch.zeros(1, 1, 32, 32)).shape == (1, classes)


def test_trained_codes_are_parameters() -> None:
    network = zoo.network("lenet5_1998(trained_codes=True)")
    assert network.parameter_count() == 60_840
    fixed = build(zoo.network("lenet5_1998")).get_buffer("output.weight")
    assert torch.equal(build(network).get_parameter("output.weight"), fixed)


def test_starts_within_the_papers_bounds() -> None:
    """U(-2.4 / F, 2.4 / F), F the inputs of a unit (appendix A)."""
    net = build(zoo.network("lenet5_1998"), seed=0)
    fans = {"c1": 25, "s2": 4, "c3": 75, "s4": 4, "c5": 400, "f6": 120}
    for name, fan in fans.items():
        weight = net.get_parameter(f"{name}.weight")
        assert weight.abs().max() <= 2.4 / fan
        assert net.get_parameter(f"{name}.bias").abs().max() <= 2.4 / fan
        if weight.numel() > 100:
            assert weight.abs().max() > 0.95 * 2.4 / fan


def test_the_answer_is_the_nearest_code() -> None:
    network = zoo.network("lenet5_1998")
    assert network.answer == "distances"
    assert zoo.network("lenet").answer == "logits"
    module = build(network).get_submodule("output")
    words = build(network).get_buffer("output.weight")
    assert module(words + 0.1).argmin(1).tolist() == list(range(10))
    assert module(words).diagonal().tolist() == [0.0] * 10
