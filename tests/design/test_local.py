"""Locally connected layers on paper: the lectures' derivation, and where they refuse."""

from __future__ import annotations

import pytest

from striate.design import Conv, DesignError, Linear, Local


def local(**fields: object) -> Local:
    like: dict[str, object] = {"features": 1, "kernel": (10, 10), "stride": (1, 1)}
    like["padding"] = ((4, 5), (4, 5))
    return Local(name="l", inputs=("x",), **(like | fields))


def test_the_lectures_example() -> None:
    """1000x1000 pixels, a million units: 10^12 weights, 10^8 where each sees 10x10, 100 shared."""
    image = (1, 1000, 1000)
    whole = Linear(name="l", inputs=("x",), features=1_000_000, bias=False)
    shared = Conv(
        name="l",
        inputs=("x",),
        features=1,
        kernel=(10, 10),
        stride=(1, 1),
        padding=((4, 5), (4, 5)),
        dilation=(1, 1),
        bias="none",
    )
    layer = local(bias=False)
    assert layer.output(image) == shared.output(image) == image
    counts = [
        sum(each.size for each in one.parameters(shape))
        for one, shape in ((whole, (1_000_000,)), (layer, image), (shared, image))
    ]
    assert counts == [10**12, 10**8, 100]
    assert layer.macs(image) == shared.macs(image) == 10**8
    assert sum(each.size for each in local().parameters(image)) == 10**8 + 10**6


def test_a_window_that_does_not_fit() -> None:
    with pytest.raises(DesignError, match="l: its 10x10 window does not fit an input of 4x4"):
        local(padding=((0, 0), (0, 0))).output((1, 4, 4))


@pytest.mark.parametrize("wrong", [{"stride": (1,)}, {"kernel": (0, 3)}, {"features": 0}])
def test_values_that_make_no_layer(wrong: dict[str, object]) -> None:
    with pytest.raises(DesignError, match="l: expected"):
        local(**wrong)
