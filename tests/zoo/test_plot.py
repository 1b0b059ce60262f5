"""The plot of the zoo: what is published, and only that."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.errors import UnknownName, UsageError
from striate.zoo.plot import plot, published, spell


def test_networks_with_a_published_accuracy_are_on_it() -> None:
    svg = plot().svg()
    for name in zoo.names():
        known = any(
            each.top1 is not None and each.data in ("imagenet", "cifar10")
            for each in zoo.entry(name).accuracy
        )
        assert (f">{name}</text>" in svg) == known, name


def test_some_of_them() -> None:
    svg = plot(["vgg16", "vgg19"]).svg()
    assert ">vgg16</text>" in svg and ">alexnet</text>" not in svg
    with pytest.raises(UsageError, match="No accuracy is published for softmax"):
        plot(["softmax"])
    with pytest.raises(UnknownName):
        plot(["vgg61"])


def test_words() -> None:
    assert published("softmax") == published("mine") == ""
    assert [spell(each) for each in (999, 1500, 2.5e7, 1.8e9)] == ["999", "1.5K", "25M", "1.8G"]
