"""Network in Network, All-CNN, SqueezeNet and MobileNet: maps, variants, the papers' tables."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import AvgPool, Conv, Dropout, MaxPool, sheet
from striate.errors import DesignError, RecordError, UsageError
from striate.zoo import Figure


def test_maps_of_nin() -> None:
    cifar, imagenet = (zoo.network(name).shapes() for name in ("nin_cifar", "nin_imagenet"))
    assert [cifar[f"pool{i}"] for i in (1, 2, 3)] == [(96, 16, 16), (192, 8, 8), (10, 1, 1)]
    assert [imagenet[f"pool{i}"][1] for i in (1, 2, 3, 4)] == [27, 13, 6, 1]
    assert imagenet["cccp8"] == (1000, 6, 6)
    pools = [each for each in zoo.network("nin_cifar").layers if "pool" in each.name]
    assert isinstance(pools[0], MaxPool) and isinstance(pools[1], AvgPool)


@pytest.mark.parametrize("column", ["a", "b", "c"])
def test_ways_to_halve_in_all_cnn(column: str) -> None:
    """Table 2: a stride or pooling costs no parameter, the convolution in its place as many."""
    ways = ("conv", "pool", "stride", "conv_pool")
    conv, pool, stride, both = (zoo.network(f"allcnn_{column}(reduce='{way}')") for way in ways)
    assert pool.parameter_count() == stride.parameter_count()
    assert both.parameter_count() == conv.parameter_count()
    assert conv.parameter_count() - pool.parameter_count() == 9 * (96**2 + 192**2) + 96 + 192
    for network in (conv, pool, stride, both):
        assert network.shapes()["relu3_3"] == (10, 8, 8)
    assert all(isinstance(each, Conv) or "conv" not in each.name for each in conv.layers)
    assert not any(isinstance(each, MaxPool) for each in conv.layers)


def test_dropout_of_all_cnn() -> None:
    """20% of the input, 50% after each reduction."""
    layers = zoo.network("allcnn_c").layers
    assert [each.p for each in layers if isinstance(each, Dropout)] == [0.2, 0.5, 0.5]
    layers = zoo.network("allcnn_c(dropout=0)").layers
    assert not any(isinstance(each, Dropout) for each in layers)


# The paper's tables 6 and 7: width, image, millions of multiply-adds and of parameters.
@pytest.mark.parametrize(
    ("width", "size", "macs", "parameters"),
    [
        (1.0, 224, "569M", "4.2M"),
        (0.75, 224, "325M", "2.6M"),
        (0.5, 224, "149M", "1.3M"),
        (0.25, 224, "41M", "0.5M"),
        (1.0, 192, "418M", "4.2M"),
        (1.0, 160, "290M", "4.2M"),
        (1.0, 128, "186M", "4.2M"),
    ],
)
def test_mobilenet_of_other_widths_and_sizes(
    width: float, size: int, macs: str, parameters: str
) -> None:
    found = sheet(zoo.network(f"mobilenet_v1(width={width})", input=(3, size, size)))
    assert Figure(what="macs", printed=macs).holds(found)
    assert Figure(what="parameters", printed=parameters).holds(found)


def test_squeezenet_pads_its_classifier_where_the_authors_do() -> None:
    shapes = [
        zoo.network(spec, input=(3, 227, 227)).shapes()["classifier.1"]
        for spec in ("squeezenet1_0", "squeezenet1_0(last_padding=1)")
    ]
    assert shapes == [(1000, 13, 13), (1000, 15, 15)]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("mobilenet_v1(width=0.01)", UsageError, r"leaves channels, received width=0\.01"),
        ("allcnn_a(reduce='mean')", RecordError, "expected one of 'conv', 'pool', 'stride'"),
        ("squeezenet1_0(last_padding=-1)", UsageError, "at least 0, received -1"),
        ("allcnn_c(dropout=1.0)", DesignError, "expected 0 <= p < 1, received p=1.0"),
    ],
)
def test_knobs_out_of_range(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        zoo.network(spec)
