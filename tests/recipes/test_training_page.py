"""docs/training.md names every kind of each family, and its settings are settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate import data, recipes
from striate.design.init import Init
from striate.train import Objective, Optimiser, Schedule

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def kinds(family: type) -> Iterator[str]:
    for each in family.__subclasses__():
        if each.__module__.startswith("striate."):
            yield from kinds(each)
            if not each.__subclasses__():
                yield str(each.__struct_config__.tag)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", [Optimiser, Schedule, Objective, Init])
def test_every_kind_is_named(family: type) -> None:
    own = set(kinds(family)) - {"climb"}  # the range test's own
    assert len(own) > 5 and not [each for each in own if f"`{each}`" not in PAGE]


def test_what_the_page_sets_can_be_set() -> None:
    digits = data.open("digits")
    lines = [line for line in PAGE.splitlines() if line.startswith("striate train")]
    assert len(lines) == 8
    for line in lines:
        words = shlex.split(line)
        settings = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
        assert recipes.make("auto", digits, network="conv3-8 relu FC", settings=settings)
