"""Text and markdown of the sheet, and its folding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.networks import NAMES

from striate import zoo
from striate.design import Sketch, sheet
from striate.design.folding import fitting_depth, fold
from striate.design.table import ROWS, markdown, spell_bytes, text


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


@given(st.integers(0, 10**13))
def test_bytes_are_short(count: int) -> None:
    number, unit = spell_bytes(count).split()
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert abs(float(number) * scale - count) <= scale / 20 + 1e-6
