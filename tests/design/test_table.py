"""Text and markdown of the sheet, and its folding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.networks import NAMES

from striate import zoo
from striate.design import Sketch, sheet
from striate.design.folding import fitting_depth, fold
from striate.design.table import ROWS, markdown, spell_bytes, summary, text
from striate.design.wiring import Opaque


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 120])
def test_every_table_fits_a_terminal(name: str, width: int) -> None:
    made = sheet(zoo.network(name))
    shown = text(made, width=width).splitlines()
    table = shown[: shown.index("")]
    assert max(map(len, table)) <= width
    assert str(made) == text(made)
    assert max(map(len, shown)) <= max(width, 100)
    assert len(table) <= ROWS + 2 or not any("." in row.name for row in made.layers)


@pytest.mark.parametrize("name", ["resnet152", "googlenet", "vgg16", "mobilenet_v1"])
@pytest.mark.parametrize("depth", [1, 2, 3, None])
def test_folding_keeps_every_row_and_sum(name: str, depth: int | None) -> None:
    rows = sheet(zoo.network(name)).layers
    folds = fold(rows, depth)
    assert [row for each in folds for row in each.every] == list(rows)
    for each in folds:
        assert len(each.every) == len(each.names) * len(each.rows)
        sums = [
            sum(row.macs for row in each.every[index :: len(each.rows)])
            for index in range(len(each.rows))
        ]
        assert sums == [len(each.names) * row.macs for row in each.rows]


def test_resnet152_in_blocks() -> None:
    made = sheet(zoo.network("resnet152"))
    lines = text(made).splitlines()
    assert any(line.startswith("layer3.1-35  x35: 3 conv, 3 norm, 1 add") for line in lines)
    assert "(515 layers, folded; --all shows each, --depth N fewer.)" in lines
    assert len(text(made, every=True).splitlines()) > 515
    assert fitting_depth(made.layers, 500) == 2 and fitting_depth(made.layers, 515) is None
    one = text(made, depth=1).splitlines()
    assert [line.split()[0] for line in one[1:10]] == [
        *("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    ]


def test_names_of_what_is_folded() -> None:
    """A layer's own, a scope's, or the first and last of those alike, what they share once."""

    def names(*scopes: str) -> list[str]:
        net = Sketch("t", (4, 8, 8))
        net.relu("before")
        for scope in scopes:  # each reads the one before it
            net.conv(f"{scope}.conv", 4, 3, padding=1)
            net.relu(f"{scope}.relu")
        folds = fold(sheet(net.finish()).layers, scopes[0].count(".") + 1)
        return [each.name for each in folds[1:]]

    assert names("s.0", "s.1", "s.2") == ["s.0-2"]
    assert names("a", "b") == ["a-b"]
    assert names("s.a", "t.b") == ["s.a-t.b"]
    assert names("only") == ["only"]


def test_a_layer_by_itself_is_like_no_other() -> None:
    net = Sketch("t", (4, 8, 8))
    for index in range(3):
        net.conv(f"s.{index}.conv", 4, 3, padding=1)
    folds = fold(sheet(net.finish()).layers, 2)
    assert [each.name for each in folds] == ["s.0.conv", "s.1.conv", "s.2.conv"]
    assert not any(each.folded for each in folds)


def test_alike_but_not_in_a_row_or_not_wanted() -> None:
    net = Sketch("t", (4, 8, 8))
    net.relu("before")
    for scope in ("a", "b", "other", "c"):
        net.conv(f"{scope}.conv", 5 if scope == "other" else 4, 3, padding=1)
        net.relu(f"{scope}.relu")
    rows = sheet(net.finish()).layers
    # c reads five channels, so that its parameters are others than those of a and b
    assert [each.name for each in fold(rows, 1)] == ["before", "a-b", "other", "c"]
    assert [x.name for x in fold(rows, 1, alike=False)] == ["before", "a", "b", "other", "c"]
    assert len(fold(rows)) == 9 and all(len(each.every) == 1 for each in fold(rows))


def test_a_depth_that_fits_is_the_greatest() -> None:
    net = Sketch("t", (4, 8, 8))
    for index in range(6):
        net.conv(f"stage{index // 3}.block{index % 3}.conv", 4 + index, 3, padding=1)
        net.relu(f"stage{index // 3}.block{index % 3}.relu")
    rows = sheet(net.finish()).layers
    depths = {most: fitting_depth(rows, most) for most in (12, 11, 6, 5, 2, 1)}
    assert depths == {12: None, 11: 2, 6: 2, 5: 1, 2: 1, 1: 1}


def test_alike_means_alike() -> None:
    """Blocks that differ in wiring alone are not one."""

    def made(skip: bool) -> int:
        net = Sketch("t", (4, 8, 8))
        first = net.conv("a", 4, 3, padding=1)
        for index in range(2):
            source = net.last
            net.conv(f"s.{index}.conv", 4, 3, padding=1)
            net.add(f"s.{index}.add", net.last, first if skip else source)
        return len(fold(sheet(net.finish()).layers, 2))

    assert (made(skip=False), made(skip=True)) == (2, 3)


def test_markdown_is_a_table() -> None:
    lines = markdown(sheet(zoo.network("lenet"))).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 12 and len({row.count("|") for row in rows}) == 1
    assert "| conv2 | conv 5x5 16 | 16x10x10 | 2,416 | 240,000 | 6.4 kB | 14 | 2 |" in rows


def test_a_table_letter_by_letter() -> None:
    """Numbers to the right, words to the left, two spaces between; what is nothing is empty."""
    net = Sketch("small", (3, 32, 32))
    net.conv("conv1", 10, 5, padding=2)
    net.relu("relu1")
    net.max_pool("pool1", 2)
    net.flatten()
    net.linear("fc", 7)
    made = sheet(net.finish())
    assert text(made).partition("\n  memory")[0].splitlines() == [
        "layer    what               output    parameters     MACs   memory  field  stride",
        "conv1    conv 5x5 10 pad 2  10x32x32         760  768,000  41.0 kB      5       1",
        "relu1    relu               10x32x32                                    5       1",
        "pool1    max pool 2x2 /2    10x16x16                       10.2 kB      6       2",
        "flatten  flatten            2560                                      all",
        "fc       fc 7               7             17,927   17,920     28 B    all",
        "",
        "small on 3x32x32",
        "  18,687 parameters, 74.7 kB in float32",
        "  785,920 multiply-adds (MACs) = 1,571,840 FLOPs an image",
        "  15,879 activations an image, 63.5 kB; 10,247 neurons (conv, fc)",
    ]
    short = text(made, width=99).splitlines()
    assert short[0].split() == "layer what output parameters MACs memory field".split()
    assert short[1].split()[-6:] == ["760", "768", "K", "41.0", "kB", "5"]
    assert "receptive field 6 px, stride 2, before global pooling or fc" in text(made)


def test_what_stands_below_a_table() -> None:
    shown = text(sheet(zoo.network("googlenet"), batch=1))
    assert "13,378,280 parameters (6,998,552 without heads for training)," in shown
    assert "memory for one image: forward" in shown
    assert "memory for 16 images: forward" in text(sheet(zoo.network("lenet"), batch=16))
    assert "receptive field: the whole image" in text(sheet(zoo.network("mlp")))
    uneven = Sketch("t", (1, 20, 30))
    left = uneven.conv("left", 1, (3, 5), padding=((0, 2), (0, 4)))
    uneven.add("sum", left, uneven.conv("right", 1, (3, 5), padding=(1, 2), of="x"))
    assert "receptive field 4x7 px, stride 1, before global pooling or fc (* branches not" in (
        text(sheet(uneven.finish()))
    )


def test_long_names_lose_their_middle_and_long_words_their_end() -> None:
    net = Sketch("t", (3, 8, 8))
    scope = "a_scope_with_a_name.and_another_one_inside_of_it"
    net.conv(f"{scope}.first", 4, 3)
    net.put(Opaque(name="op", inputs=(net.last,), op="a.function." * 6, shape=(4, 6, 6)))
    made = sheet(net.finish())
    wide, op = text(made, every=True, width=200).splitlines()[1:3]
    name = wide.split()[0]
    assert len(name) == 44 and name.startswith("a_scope_with") and name.endswith(".first")
    assert ".." in name and len(name.rpartition("..")[2]) == 28  # two thirds of what there is
    assert op[46:90] == ("opaque " + "a.function." * 6)[:42] + ".."
    for width in (70, 80, 100):
        assert max(map(len, text(made, every=True, width=width).splitlines()[:3])) <= width


def test_names_cannot_break_markdown() -> None:
    net = Sketch("t", (3, 8, 8))
    net.put(Opaque(name="op", inputs=("x",), op="a|b<i>*c*", shape=(3, 8, 8)))
    shown = markdown(sheet(net.finish()).replace(notes=("a | b",)))
    row = next(line for line in shown.splitlines() if line.startswith("| op"))
    assert row.startswith(r"| op | opaque a\|b&lt;i>\*c\* | 3x8x8 |")
    assert shown.startswith("# t\n\nt on 3x8x8\n\n- 0 parameters")
    assert shown.endswith("\n\n- a \\| b\n")
    head, rule = (line for line in shown.splitlines() if line.startswith(("| layer", "| ---")))
    assert head.count("|") == 9 and rule == "| --- | --- | --- |" + " ---: |" * 5


def test_what_a_folded_scope_holds() -> None:
    folds = {each.name: summary(each) for each in fold(sheet(zoo.network("resnet50")).layers, 2)}
    assert folds["layer1.0"] == "4 conv, 4 norm, 1 add"
    assert folds["layer1.1-2"] == "x2: 3 conv, 3 norm, 1 add"
    net = Sketch("t", (3, 8, 8))
    net.conv("one.conv", 4, 3)
    net.relu("one.relu")
    net.relu("none.relu")
    net.dropout("none.drop")
    found = {each.name: summary(each) for each in fold(sheet(net.finish()).layers, 1)}
    assert found == {"one": "conv 3x3 4", "none": "2 layers"}
    head = Sketch("t", (3, 8, 8))
    head.avg_pool("head.pool", 2)
    head.flatten("head.flat")
    head.linear("head.fc", 5)
    head.put(Opaque(name="head.op", inputs=("head.fc",), op="einsum", shape=(5,)))
    head.add("head.sum", "head.fc", "head.op")
    (only,) = fold(sheet(head.finish()).layers, 1)
    assert summary(only) == "1 fc, 1 pool, 1 add, 1 opaque"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (10**6 - 1, "1000.0 kB"), (10**6, "1.0 MB"),
        (10**9, "1.0 GB"), (15 * 10**8, "1.5 GB"),
    ],
)  # fmt: skip
def test_units_of_bytes(count: int, said: str) -> None:
    assert spell_bytes(count) == said


def test_large_numbers_are_short_on_a_narrow_terminal() -> None:
    lines = text(sheet(zoo.network("vgg16")), width=80).splitlines()
    first, dense = (next(x for x in lines if words in x) for words in ("conv 3x3 64", "fc 4096"))
    assert first.split()[-7:] == ["1.79", "K", "86.7", "M", "12.8", "MB", "3"]
    assert dense.split()[-7:] == ["103", "M", "103", "M", "16.4", "kB", "all"]
    assert "1.85 G" in next(line for line in lines if line.startswith("features.2 "))


@given(st.integers(0, 10**13))
def test_bytes_are_short(count: int) -> None:
    number, unit = spell_bytes(count).split()
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert abs(float(number) * scale - count) <= scale / 20 + 1e-6
