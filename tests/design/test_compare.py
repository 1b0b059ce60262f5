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


def test_five_stand_in_columns_and_six_in_rows() -> None:
    made = sheet(zoo.network("lenet"))
    assert comparison([made] * 5)[0] == ("", *["lenet"] * 5)
    header, rows = comparison([made] * 6)
    assert header[0] == "network" and len(rows) == 6


def test_words_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert text((("", "one", "two"), [("input", "3x4", "5x6x7"), ("MACs", "12", "3")])) == (
        "       one    two\ninput  3x4  5x6x7\nMACs    12      3"
    )


def test_ratios_are_short() -> None:
    base = sheet(zoo.network("lenet"))

    def ratio(macs: int) -> str:
        other = base.replace(totals=base.totals.replace(macs=macs))
        return {row[0]: row[2] for row in comparison([base, other])[1]}["MACs"].partition(" ")[2]

    macs = base.totals.macs
    assert [ratio(macs * times) for times in (1, 2, 99, 100, 12345)] == [
        "", "(2x)", "(99x)", "(100x)", "(12,345x)",
    ]  # fmt: skip
    assert ratio(macs * 1001 // 10) == "(100x)"


def test_weighty_layers_are_convolutions_and_fully_connected_ones() -> None:
    sheets = [sheet(zoo.network(name)) for name in ("alexnet_onetower", "vgg16", "mlp")]
    table = {row[0]: row[1:] for row in comparison(sheets)[1]}
    assert table["weighty layers"][:2] == ("8", "16")
    assert table["receptive field"][2] == "all"
