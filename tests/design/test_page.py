"""The page: one well-formed file that asks the network for nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from striate import zoo
from striate.design import sheet
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
