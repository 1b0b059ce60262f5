"""Errors that teach: the layer, what it got, the fix with numbers, and the table up to there."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import DesignError, Linear, Network, Sketch
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
    assert len(lines) == 41 and lines[0].startswith("...") and lines[-1].startswith("conv49 ")
