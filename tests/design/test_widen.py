"""Networks made wider on paper: every registered one, and what cannot be."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Conv, DesignError, Sketch, widened


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


def test_filters_of_each_channel_stay_as_many() -> None:
    """Four filters a channel of the image, which does not get wider; and eight groups as eight."""
    pen = Sketch("t", (3, 8, 8))
    pen.conv("each", 12, 3, groups=3)
    pen.conv("grouped", 24, 3, groups=4)
    pen.conv("after", 10, 3)
    pen.flatten()
    pen.linear("hidden", 9)
    pen.linear("fc", 5)
    wide = widened(pen.finish(), 0.5)
    made = {each.name: (each.features, getattr(each, "groups", 1)) for each in wide.layers
            if hasattr(each, "features")}  # fmt: skip
    assert made == {
        "each": (12, 3), "grouped": (12, 4), "after": (5, 1), "hidden": (4, 1), "fc": (5, 1),
    }  # fmt: skip
    thin = widened(pen.finish(), 0.01)
    assert [each.features for each in thin.layers if hasattr(each, "features")] == [12, 4, 1, 1, 5]


def test_sizes_that_were_declared_are_read_off_again() -> None:
    pen = Sketch("t", (3, 8, 8))
    pen.conv("a", 4, 3)
    pen.conv("b", 4, 3)
    pen.flatten()
    pen.linear("fc", 5)
    layers = [
        each.replace(in_channels=4) if each.name == "b" else each.replace(in_features=64)
        if each.name == "fc" else each
        for each in pen.layers
    ]  # fmt: skip
    wide = widened(pen.finish().replace(layers=tuple(layers)), 2.0)
    assert wide.shapes()["flatten"] == (128,) and wide.classes == 5
