"""ResNeXt: the maps of the paper's table 1, torchvision's names, knobs that make a ResNet of it."""

from __future__ import annotations

import pytest

from striate import weights, zoo
from striate.design import Conv
from striate.errors import UsageError


def test_maps_of_table_1() -> None:
    network = zoo.network("resnext50_32x4d")
    shapes = network.shapes()
    for stage, (inner, outer, side) in enumerate(
        ((128, 256, 56), (256, 512, 28), (512, 1024, 14), (1024, 2048, 7)), start=1
    ):
        assert shapes[f"layer{stage}.1.conv1"] == (inner, side, side)
        grouped = network.layer(f"layer{stage}.1.conv2")
        assert isinstance(grouped, Conv) and (grouped.features, grouped.groups) == (inner, 32)
        assert shapes[f"layer{stage}.1.relu2"] == (outer, side, side)


def test_one_group_of_64_channels_is_a_resnet() -> None:
    one = zoo.network("resnext50_32x4d(groups=1, group_width=64)")
    assert one.layers == zoo.network("resnet50").layers


def test_images_of_cifar_keep_their_size_in_the_first_stage() -> None:
    shapes = zoo.network("resnext29_8x64d").shapes()
    assert shapes["layer1.2.relu2"] == (256, 32, 32)
    assert shapes["layer3.2.conv2"] == (2048, 8, 8)
    assert shapes["layer3.2.relu2"] == (1024, 8, 8)


@pytest.mark.parametrize("knob", ["groups=0", "group_width=0"])
def test_groups_have_channels(knob: str) -> None:
    with pytest.raises(UsageError, match=f"Expected at least one group and channel, .*{knob}"):
        zoo.network(f"resnext50_32x4d({knob})")


def test_torchvisions_weights_are_known_for_each_of_its_networks() -> None:
    known = {weights.entry(name).network for name in weights.names() if "resnext" in name}
    assert known == {"resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"}
