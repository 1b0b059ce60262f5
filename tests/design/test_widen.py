"""Networks made wider on paper: every registered one, and what cannot be."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Conv, DesignError, widened


@pytest.mark.parametrize(
    "name", ["lenet", "resnet18", "resnet20", "vgg11", "mobilenet_v1", "densenet121"]
)
def test_twice_as_wide_has_about_four_times_the_parameters(name: str) -> None:
    network = zoo.read(name)
    wide = widened(network, 2.0)
    assert wide.classes == network.classes
    ratio = wide.parameter_count() / network.parameter_count()
    assert 2.5 < ratio < 4.1
    assert widened(network, 1.0).parameter_count() == network.parameter_count()


def test_a_convolution_of_a_group_a_channel_stays_one() -> None:
    wide = widened(zoo.read("mobilenet_v1"), 0.5)
    deep = [each for each in wide.layers if isinstance(each, Conv) and each.groups > 1]
    assert deep
    assert all(each.groups == wide.input_shapes(each)[0][0] == each.features for each in deep)


def test_what_has_no_width_says_so() -> None:
    with pytest.raises(DesignError, match="a table of connections has no width"):
        widened(zoo.read("lenet5_1998"), 2.0)
    with pytest.raises(DesignError, match="width factor above 0, received 0"):
        widened(zoo.read("lenet"), 0.0)
