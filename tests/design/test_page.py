"""The page: one well-formed file that asks the network for nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from striate import zoo
from striate.design import Sketch, sheet
from striate.design.page import html

_VOID = {"meta", "br", "rect", "path"}


class Balance(HTMLParser):
    """Checks that every tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["lenet", "resnet50", "googlenet"])
def test_page(name: str) -> None:
    made = sheet(zoo.network(name))
    page = html(made.replace(notes=("a note with <b> & more",)))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert "a note with &lt;b&gt; &amp; more" in page
    assert f"{made.totals.parameters:,}" in page and "prefers-color-scheme" in page
    assert not re.search(r'(src|href)="|url\(|@import|<script', page)
    shown = page.partition("<details>")[2]
    assert shown.count("<tr>") == (len(made.layers) + 1 if shown else 0)


def cells(page: str) -> list[list[str]]:
    """Return the first table's rows, each cell as written."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<td.*?</td>", row) for row in body.split("<tr>")[1:]]


def test_a_row_has_bars_as_long_as_their_share_of_the_largest() -> None:
    net = Sketch("t", (1, 8, 8))
    net.conv("less", 2, 3, padding=1, bias="none")  # 18 weights
    net.conv("most", 2, 3, padding=1, bias="none")  # 36
    net.relu("none")
    rows = cells(html(sheet(net.finish())))
    assert rows[0][:4] == [
        "<td>less</td>",
        "<td>conv 3x3 2 pad 1</td>",
        "<td>2x8x8</td>",
        '<td class="n bar" style="--share:50.0%">18</td>',
    ]
    assert rows[0][4] == '<td class="n bar" style="--share:50.0%">1,152</td>'
    assert rows[1][3] == '<td class="n bar" style="--share:100.0%">36</td>'
    assert rows[1][5] == '<td class="n bar" style="--share:100.0%">512 B</td>'
    assert rows[2][3:6] == ['<td class="n"></td>'] * 3
    assert rows[0][6:] == ['<td class="n">3</td>', '<td class="n">1</td>']


def test_a_page_says_the_totals_of_one_image_or_many() -> None:
    def cards(page: str) -> dict[str, str]:
        found = re.findall(r"<b>(.*?)</b><span>(.*?)</span>", page)
        return {words: number for number, words in found}

    one = cards(html(sheet(zoo.network("lenet"))))
    assert one["parameters, 246.8 kB"] == "61,706"
    assert one["multiply-adds an image"] == "416,520"
    assert one["FLOPs an image"] == "833,040"
    assert one["pixels of receptive field"] == "16x16"
    assert "at once forward, one image" in one and "without heads for training" not in one
    many = cards(html(sheet(zoo.network("googlenet"), batch=8)))
    assert "kept in training, 8 images" in many
    assert many["without heads for training"] == "6,998,552"
    assert list(many)[1] == "without heads for training"
    assert cards(html(sheet(zoo.network("mlp"))))["pixels of receptive field"] == "everything"


def test_folded_layers_are_there_in_full_below() -> None:
    deep, flat = (html(sheet(zoo.network(name))) for name in ("resnet50", "lenet"))
    rows = len(zoo.network("resnet50").layers)
    assert f"<summary>All {rows} layers</summary>" in deep and "<details>" not in flat
    assert len(cells(deep)) < rows
    assert "<details>" not in html(sheet(zoo.network("resnet50")), every=True)
    head = flat.partition("<thead>")[2].partition("</thead>")[0]
    assert head.count("<th>") == 3 and head.count('<th class="n">') == 5
    assert "<h1>lenet</h1>" in flat and "on an input of 1x28x28" in flat
