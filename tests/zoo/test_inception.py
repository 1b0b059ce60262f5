"""GoogLeNet and Inception-v3: sizes as the papers' tables print them, heads, forms."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import LRN, BatchNorm, Conv, Dropout
from striate.errors import DesignError

# Output size of each row of GoogLeNet's table 1.
TABLE = {
    "conv1": (64, 112),
    "maxpool1": (64, 56),
    "conv3": (192, 56),
    "maxpool2": (192, 28),
    "inception3a": (256, 28),
    "inception3b": (480, 28),
    "maxpool3": (480, 14),
    "inception4a": (512, 14),
    "inception4b": (512, 14),
    "inception4c": (512, 14),
    "inception4d": (528, 14),
    "inception4e": (832, 14),
    "maxpool4": (832, 7),
    "inception5a": (832, 7),
    "inception5b": (1024, 7),
    "avgpool": (1024, 1),
}


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_sizes_of_the_table(name: str) -> None:
    shapes = zoo.network(name).shapes()
    for row, (channels, size) in TABLE.items():
        last = [value for value in shapes if value == row or value.startswith(f"{row}.")][-1]
        assert shapes[last] == (channels, size, size), row


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_heads(name: str) -> None:
    """On 4a and 4d, pooled to 4x4, 128 1x1 filters, 1024 units, 70% dropout, weight 0.3."""
    network = zoo.network(name)
    assert [(each.name, each.train_only, each.loss_weight) for each in network.outputs] == [
        ("logits", False, 1.0),
        ("aux1", True, 0.3),
        ("aux2", True, 0.3),
    ]
    shapes = network.shapes()
    for head, source in (("aux1", "inception4a"), ("aux2", "inception4d")):
        assert network.layer(f"{head}.pool").inputs == (f"{source}.concat",)
        assert shapes[f"{head}.conv.conv"] == (128, 4, 4)
        assert shapes[f"{head}.fc1"] == (1024,)
        dropout = network.layer(f"{head}.dropout")
        assert isinstance(dropout, Dropout) and dropout.p == 0.7
    without = zoo.network(f"{name}(auxiliary=False)")
    assert len(without.outputs) == 1
    assert without.parameter_count() == network.parameter_count(train=False)


def test_the_printed_form_has_what_the_published_lacks() -> None:
    """Biases, 5x5 filters and response normalisation, for batch norm and 3x3."""
    printed, published = zoo.network("googlenet"), zoo.network("googlenet_bn")
    for network, kernel, bias in ((printed, 5, "channel"), (published, 3, "none")):
        convs = [each for each in network.layers if isinstance(each, Conv)]
        assert {each.bias for each in convs} == {bias}
        named = [each for each in convs if each.name.endswith("branch3.1.conv")]
        assert {each.kernel for each in named} == {(kernel, kernel)} and len(named) == 9
    kinds = [[type(each) for each in network.layers] for network in (printed, published)]
    assert [each.count(LRN) for each in kinds] == [2, 0]
    assert [each.count(BatchNorm) for each in kinds] == [0, 59]


def test_inception_v3_sizes() -> None:
    network = zoo.network("inception_v3")
    shapes = network.shapes()
    for value, shape in {
        "maxpool2": (192, 35, 35),
        "Mixed_5b.concat": (256, 35, 35),
        "Mixed_5d.concat": (288, 35, 35),
        "Mixed_6e.concat": (768, 17, 17),
        "Mixed_7a.concat": (1280, 8, 8),
        "Mixed_7c.concat": (2048, 8, 8),
        "AuxLogits.conv1.conv": (768, 1, 1),
    }.items():
        assert shapes[value] == shape
    assert network.outputs[1].loss_weight == 0.4


def test_smaller_images_without_the_head() -> None:
    with pytest.raises(DesignError, match="AuxLogits"):
        zoo.network("inception_v3", input=(3, 128, 128))
    small = zoo.network("inception_v3(auxiliary=False)", classes=7, input=(1, 75, 75))
    assert small.shapes()[small.outputs[0].source] == (7,)
    assert zoo.network("googlenet(auxiliary=False)", input=(3, 32, 32)).classes == 1000
