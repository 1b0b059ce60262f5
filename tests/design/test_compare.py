"""Networks side by side."""

from __future__ import annotations

from striate import zoo
from striate.design import sheet
from striate.design.compare import comparison, markdown, text
from striate.zoo.plot import published


def test_columns_and_ratios() -> None:
    sheets = [sheet(zoo.network(name)) for name in ("alexnet_onetower", "vgg16")]
    header, rows = comparison(sheets, [published(each.network) for each in sheets])
    assert header == ("", "alexnet_onetower", "vgg16")
    table = {row[0]: row[1:] for row in rows}
    assert table["parameters"] == ("62,378,344", "138,357,544 (2.22x)")
    assert table["MACs"][1] == "15,470,264,320 (13.6x)"
    assert table["receptive field"] == ("195x195", "212x212")
    assert table["published"] == ("", "71.6% top-1, 90.4% top-5 (imagenet)")
    lines = text((header, rows)).splitlines()
    assert len(lines) == len(rows) + 1 and max(map(len, lines)) <= 100
    assert markdown((header, rows)).splitlines()[1] == "| --- | ---: | ---: |"


def test_many_stand_in_rows() -> None:
    names = ["lenet", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19"]
    header, rows = comparison([sheet(zoo.network(name)) for name in names])
    assert header[0] == "network" and [row[0] for row in rows] == names
