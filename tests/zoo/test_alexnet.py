"""AlexNet and ZFNet: volumes as the lectures and papers print them, norms, starts."""

from __future__ import annotations

import pytest
import torch

from striate import zoo
from striate.design import LRN, Constant, Conv, MaxPool, Normal
from striate.layers.modules import module


@pytest.mark.parametrize("name", ["alexnet_onetower", "alexnet_grouped"])
def test_volumes_of_the_lectures(name: str) -> None:
    shapes = zoo.network(name).shapes()
    printed = {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    assert {each: shapes[each] for each in printed} == printed


def test_the_paper_normalises_first_and_the_lectures_pool_first() -> None:
    for name, order in (("alexnet_grouped", (LRN, MaxPool)), ("alexnet_onetower", (MaxPool, LRN))):
        kinds = [type(each) for each in zoo.network(name).layers]
        found = [kind for kind in kinds if kind in (LRN, MaxPool)]
        assert found == [*order, *order, MaxPool]


def test_parameters_of_the_two_groups() -> None:
    """Section 1.2's per-layer counts, and half the channels in conv2, 4 and 5."""
    network = zoo.network("alexnet_grouped")
    counts: dict[str, int] = {}
    for parameter in network.parameters():
        layer = parameter.name.partition(".")[0]
        counts[layer] = counts.get(layer, 0) + parameter.size
    assert list(counts.values()) == [
        *(34_944, 307_456, 885_120, 663_936, 442_624),
        *(37_752_832, 16_781_312, 4_097_000),
    ]
    groups = [layer.groups for layer in network.layers if isinstance(layer, Conv)]
    assert groups == [1, 2, 1, 2, 2]


def test_starts_as_in_the_paper() -> None:
    """Section 5: N(0, 0.01^2); biases of 1 in conv2, 4, 5 and the hidden layers, 0 elsewhere."""
    parameters = {each.name: each for each in zoo.network("alexnet_grouped").parameters()}
    for name, each in parameters.items():
        if name.endswith("weight"):
            assert each.init == Normal(std=0.01)
        else:
            one = name.partition(".")[0] in ("conv2", "conv4", "conv5", "fc6", "fc7")
            assert each.init == Constant(value=float(one)), name


@pytest.mark.parametrize("name", ["alexnet_grouped", "vgg11_lrn", "zfnet", "zfnet_paper"])
def test_response_normalisation_has_the_papers_constants(name: str) -> None:
    """b_i = a_i / (k + alpha sum of a_j^2 over 5 neighbours)^beta; k = 2, alpha = 1e-4, 0.75."""
    layer = next(each for each in zoo.network(name).layers if isinstance(each, LRN))
    a = 100 * torch.rand(1, 12, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    expected = torch.empty_like(a)
    for i in range(12):
        near = a[:, max(i - 2, 0) : i + 3].square().sum(1)
        expected[:, i] = a[:, i] / (2 + 1e-4 * near) ** 0.75
    torch.testing.assert_close(module(layer, (12, 3, 3))(a), expected)


@pytest.mark.parametrize("name", ["zfnet", "zfnet_paper"])
def test_maps_of_zfnet(name: str) -> None:
    network = zoo.network(name)
    values = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    sizes = [network.shapes()[value][1] for value in values]
    assert sizes == [110, 55, 26, 13, 13, 13, 13, 6]


def test_zfnet_in_both_readings() -> None:
    lectures, paper = (zoo.network(name).shapes() for name in ("zfnet", "zfnet_paper"))
    assert [lectures[f"conv{i}"][0] for i in (1, 2, 3, 4, 5)] == [96, 256, 512, 1024, 512]
    assert [paper[f"conv{i}"][0] for i in (1, 2, 3, 4, 5)] == [96, 256, 384, 384, 256]
