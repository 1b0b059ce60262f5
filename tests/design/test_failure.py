"""Errors that teach: the layer, what it got, the fix with numbers, and the table up to there."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import DesignError, Linear, Network, Sketch
from striate.design.failure import explain
from striate.records import from_json, to_json


def lenet5(size: int) -> Sketch:
    net = Sketch("lenet5", (1, size, size))
    net.conv("conv1", 6, 5)
    net.max_pool("pool1", 2)
    net.conv("conv2", 16, 5)
    net.max_pool("pool2", 2)
    net.flatten()
    net.put(Linear(name="fc1", inputs=("flatten",), features=120, in_features=400))
    return net


def test_features_as_declared() -> None:
    with pytest.raises(DesignError) as caught:
        lenet5(28).finish()
    assert str(caught.value) == (
        "fc1 expects 400 features, received 256 = 16x4x4: set in_features=256 or feed 32x32."
    )
    assert caught.value.layer == "fc1"
    lines = caught.value.table.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("x", "conv1", "pool1", "conv2", "pool2", "flatten", "fc1")
    ]
    assert lines[4].endswith("16x4x4") and lines[6].endswith("<- received 256")
    fits = lenet5(32).finish()
    assert from_json(Network, to_json(fits)) == fits
    with pytest.raises(DesignError, match="received 576 = 16x6x6: .* or feed 32x32"):
        fits.with_input((1, 36, 36))


def test_features_that_no_image_gives() -> None:
    net = lenet5(28)
    net.layers[-1] = net.layers[-1].replace(in_features=401)
    with pytest.raises(DesignError, match=r"401 features, .*: set in_features=256\.$"):
        net.finish()


def test_channels_as_declared() -> None:
    net = Sketch("t", (3, 8, 8))
    net.conv("a", 4, 3)
    net.conv("b", 4, 3)
    net.layers[-1] = net.layers[-1].replace(in_channels=6)
    with pytest.raises(DesignError, match=r"^b expects 6 channels, received 4: set in_channels=4"):
        net.finish()


@pytest.mark.parametrize("size", [1, 4, 8, 11])
def test_the_padding_it_names_would_fit(size: int) -> None:
    with pytest.raises(DesignError) as caught:
        zoo.network("lenet", input=(1, size, size))
    at, fix = caught.value.layer, str(caught.value)
    given = int(fix.split("set padding=")[1].split(" ")[0])
    net = zoo.network("lenet")
    layers = tuple(
        each.replace(padding=((given, given),) * 2) if each.name == at else each
        for each in net.layers
    )
    try:
        net.replace(layers=layers).with_input((1, size, size))
    except DesignError as error:
        assert error.layer != at


def test_long_tables_show_their_end() -> None:
    net = Sketch("deep", (1, 100, 100))
    for index in range(60):
        net.conv(f"conv{index}", 1, 3)
    with pytest.raises(DesignError) as caught:
        net.finish()
    lines = caught.value.table.splitlines()
    assert len(lines) == 41 and lines[-1].startswith("conv49 ")
    assert lines[0].split() == ["...", "11", "rows"]  # the input and conv0 to conv9
    assert lines[1].split() == ["conv10", "conv", "1x78x78"]


def test_a_table_of_forty_rows_is_shown_whole() -> None:
    net = Sketch("deep", (1, 77, 77))
    for index in range(39):
        net.conv(f"conv{index}", 1, 3)
    with pytest.raises(DesignError) as caught:
        net.finish()
    lines = caught.value.table.splitlines()
    assert len(lines) == 40 and lines[0].split() == ["x", "input", "1x77x77"]
    assert lines[-1].split()[-3:] == ["<-", "received", "1x1x1"]
    column = {line.index(f" {line.split()[1]} ") for line in lines[:-1]}
    assert len(column) == 1  # words stand below each other


@pytest.mark.parametrize("size", [1024, 512, 299, 256, 227, 224, 128, 64, 32])
def test_sizes_that_networks_are_made_for_are_tried(size: int) -> None:
    """A vector of declared length fits at one size only, which no search from below would meet."""
    net = Sketch("exact", (1, 2, 2))
    net.conv("window", 1, 3, padding=0)
    net.conv("back", 1, 3, padding=2)
    net.flatten()
    net.put(Linear(name="fc", inputs=("flatten",), features=2, in_features=size**2))
    with pytest.raises(DesignError, match=f"exact takes images of {size}x{size} and larger, rec"):
        net.finish()


def test_an_image_too_small_along_one_axis_is_said_too() -> None:
    net = Sketch("wide", (1, 3, 40))
    net.conv("window", 1, 5)
    with pytest.raises(DesignError, match="wide takes images of 5x5 and larger, received 3x40"):
        net.finish()


def test_where_no_image_fits_none_is_named() -> None:
    net = Sketch("never", (1, 8, 8))
    net.max_pool("huge", 2000)
    with pytest.raises(DesignError) as caught:
        net.finish()
    assert str(caught.value).startswith("huge: its 2000x2000 window does not fit")


def test_what_somebody_else_says_of_a_layer_gets_the_table_too() -> None:
    network = lenet5(32).finish()
    inputs = {"x": (1, 32, 32)}
    error = explain("it", network.layers, inputs, DesignError("pool1: not here", "pool1"))
    assert str(error) == "pool1: not here." and error.layer == "pool1"
    assert [line.split()[0] for line in error.table.splitlines()] == ["x", "conv1", "pool1"]
    assert error.table.endswith("<- received 6x28x28")
    for nobody in ("elsewhere", None):
        other = DesignError("not here", nobody)
        assert explain("it", network.layers, inputs, other) is other


def test_where_a_vector_comes_from_is_said_through_what_keeps_its_length() -> None:
    net = lenet5(28)
    net.layers.pop()
    net.last = "flatten"
    net.dropout("drop")
    net.relu("relu")
    net.put(Linear(name="fc1", inputs=("relu",), features=120, in_features=400))
    with pytest.raises(DesignError, match=r"received 256 = 16x4x4: .* or feed 32x32\.$"):
        net.finish()
    net = lenet5(32)
    net.put(Linear(name="fc2", inputs=("fc1",), features=10, in_features=84))
    with pytest.raises(DesignError, match=r"^fc2 expects 84 features, received 120: set in_f"):
        net.finish()
