"""Networks made deeper on paper: against their families' own depths, and what has none."""

from __future__ import annotations

import pytest
import torch

from striate import design, zoo
from striate.design import Conv, DesignError, deepened
from striate.design.deepen import stages
from striate.layers import build


@pytest.mark.parametrize(
    ("name", "more", "same"),
    [
        ("resnet20", 2, "resnet32"),
        ("resnet32", -2, "resnet20"),
        ("plain20", 2, "plain32"),
        ("convnet", 1, "convnet(depths=(3, 3, 3))"),
        ("convnet", -5, "convnet(depths=(1, 1, 1))"),
    ],
)
def test_a_family_goes_on_as_it_is_written(name: str, more: int, same: str) -> None:
    network = zoo.read(name)
    assert deepened(network, more) == zoo.read(same).replace(name=network.name)


def test_a_stage_may_lose_all_its_blocks_and_the_next_one_still_fits() -> None:
    flat = deepened(zoo.read("resnet18"), -1)
    assert [layer.name for layer in flat.members("layer1")][-1] == "layer1.0.relu1"
    assert not any(layer.name.startswith("layer2.1") for layer in flat.layers)
    least = deepened(zoo.read("resnet18"), -9)
    assert not any(layer.name.startswith("layer1.") for layer in least.layers)
    assert least.shapes()["layer4.0.relu1"] == (512, 7, 7)
    bare = deepened(zoo.read("vgg16_c"), -9)
    kernels = [each.kernel for each in bare.layers if isinstance(each, Conv)]
    assert len(kernels) < 13 and bare.classes == 1000


def test_a_depthwise_convolution_and_the_one_behind_it_go_together() -> None:
    deeper = deepened(zoo.read("mobilenet_v1"), 1)
    groups = [each.groups > 1 for each in deeper.layers if isinstance(each, Conv)][1:]
    assert groups == [True, False] * (len(groups) // 2)
    assert len(groups) // 2 == 13 + 4  # and a stage ends where the size or the width changes


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_has_a_depth_or_says_that_it_has_none(name: str) -> None:
    network = zoo.read(name)
    if not stages(network):
        assert network.name.startswith(("densenet", "lenet", "mlp", "neo", "softmax", "zfnet"))
        with pytest.raises(DesignError, match=f"{network.name} has no depth to change"):
            deepened(network, 1)
        return
    deeper = deepened(network, 1)
    assert deeper.classes == network.classes
    assert deepened(deeper, -1).parameter_count() == network.parameter_count()


@pytest.mark.parametrize("name", ["convnet", "resnet20", "conv3-4 relu conv3-4 relu maxpool FC"])
def test_what_was_made_deeper_can_be_built_and_computes(name: str) -> None:
    network = deepened(zoo.read(name, classes=10, input=(3, 16, 16)), 2)
    net = build(network, seed=0)
    outputs = net(torch.randn(2, 3, 16, 16))
    assert outputs.shape == (2, 10)
    outputs.sum().backward()
    assert all(bool(each.grad.any()) for n, each in net.named_parameters() if n.endswith("weight"))


def test_new_layers_take_the_next_free_numbers() -> None:
    pen = design.Sketch("named", (4, 8, 8))
    pen.conv("conv", 4, 3, padding=1)
    pen.relu("relu9")
    pen.conv("conv_2", 2, 3)
    deeper = deepened(pen.finish(), 2)
    assert [layer.name for layer in deeper.layers] == [
        *("conv", "relu9", "conv_1", "relu10", "conv_3", "relu11", "conv_2"),
    ]
    assert deeper.layer("conv_1").inputs == ("relu9",)
    assert deeper.layer("conv_2").inputs == ("relu11",)


def test_a_scope_is_repeated_whole_and_its_readers_follow() -> None:
    pen = design.Sketch("scopes", (4, 8, 8))
    pen.conv("stem", 4, 3)
    source = pen.last
    pen.conv("block.0.conv", 4, 3, padding=1)
    pen.add("block.0.add", pen.last, source)
    pen.conv("late", 4, 3)
    whole = pen.finish(design.Output(name="early", source="block.0.add", train_only=True))
    deeper = deepened(whole, 1)
    names = [layer.name for layer in deeper.layers]
    assert names == ["stem", "block.0.conv", "block.0.add", "block.1.conv", "block.1.add", "late"]
    assert deeper.layer("block.1.add").inputs == ("block.1.conv", "block.0.add")
    assert deeper.layer("late").inputs == ("block.1.add",)
    assert deeper.outputs[1].source == "block.1.add"
    assert deepened(deeper, -1) == whole
    assert deepened(whole, 0) is whole


def test_what_is_read_from_inside_is_no_block() -> None:
    pen = design.Sketch("t", (4, 8, 8))
    pen.conv("a", 4, 3, padding=1)
    inner = pen.conv("s.conv", 4, 3, padding=1)
    pen.relu("s.relu")
    assert [block.value for block in stages(pen.finish())[0]] == ["s.relu"]
    pen.add("sum", "s.relu", inner)
    assert not any(block.value == "s.relu" for stage in stages(pen.finish()) for block in stage)


def test_branches_that_are_joined_have_no_convolutions_to_repeat() -> None:
    pen = design.Sketch("t", (4, 8, 8))
    left = pen.conv("left", 4, 3, padding=1)
    right = pen.conv("right", 4, 3, padding=1, of="x")
    pen.concat("both", left, right)
    pen.conv("after", 8, 3, padding=1)
    pen.relu("relu")
    assert stages(pen.finish()) == []


def test_linear_layers_are_repeated_only_without_convolutions() -> None:
    pen = design.Sketch("t", (16,))
    pen.linear("fc1", 16)
    pen.relu("relu1")
    pen.linear("fc2", 3)
    assert [block.value for block in stages(pen.finish())[0]] == ["relu1"]
    pen = design.Sketch("t", (4, 2, 2))
    pen.conv("conv", 4, 1, stride=2)
    pen.flatten()
    pen.linear("fc1", 4)
    pen.relu("relu1")
    assert stages(pen.finish()) == []


def test_a_lone_convolution_of_one_channel_is_not_depthwise() -> None:
    """One group for one channel is a plain convolution, which ends where the next begins."""
    pen = design.Sketch("t", (1, 8, 8))
    pen.conv("a", 1, 3, padding=1)
    pen.relu("r")
    pen.conv("b", 1, 3, padding=1)
    pen.relu("s")
    assert [block.value for block in stages(pen.finish())[0]] == ["r", "s"]


def test_nothing_is_left_to_take_away() -> None:
    pen = design.Sketch("least", (4, 8, 8))
    source = pen.conv("stem", 4, 3)
    pen.conv("block.conv", 4, 3, padding=1)
    pen.relu("block.relu")
    pen.add("sum", pen.last, source)
    with pytest.raises(DesignError, match="least cannot be made shallower: received -1 blocks a"):
        deepened(pen.finish(), -1)


def test_layers_that_share_their_weights_are_not_repeated() -> None:
    pen = design.Sketch("shared", (4, 8, 8))
    pen.conv("first", 4, 3, padding=1)
    pen.relu("relu1")
    again = pen.conv("second", 4, 3, padding=1)
    pen.relu("relu2")
    pen.flatten()
    pen.linear("fc", 10)
    network = pen.finish()
    layers = tuple(
        each.replace(shares="first") if each.name == again else each for each in network.layers
    )
    assert len(stages(network)[0]) == 2
    assert stages(network.replace(layers=layers)) == []
