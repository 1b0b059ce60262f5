"""Printed figures: to the digits printed they are right, or the sheet says what is."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Output, Sketch, sheet
from striate.errors import UsageError
from striate.zoo import Figure


@pytest.mark.parametrize("name", zoo.names())
def test_printed_figures_agree_or_are_corrected(name: str) -> None:
    found, entry = sheet(zoo.network(name)), zoo.entry(name)
    for figure in entry.declared:
        computed = figure.computed(found)
        what = f"{name}, {figure.scope or 'all of it'}: {figure.what} computed {computed:,}"
        do = "take out why=" if figure.holds(found) else "correct it or give why="
        assert figure.holds(found) == (not figure.why), f"{what}, printed {figure.printed}: {do}"
        if figure.why:
            said = [note for note in zoo.notes(found) if figure.printed in note]
            assert any(f"{computed:,}" in note and figure.why[1:] in note for note in said)


@pytest.mark.parametrize("name", zoo.names())
def test_accuracies_are_percent_of_known_sets(name: str) -> None:
    for each in zoo.entry(name).accuracy:
        assert each.data in ("imagenet", "cifar10", "cifar100", "mnist", "kgs")
        assert each.top1 is not None or each.top5 is not None
        assert 1 < (each.top1 or each.top5 or 0) <= (each.top5 or 100)


def _sheet() -> object:
    net = Sketch("t", (3, 10, 10))
    net.conv("a.conv", 4, 3)  # 3x3x3x4 + 4 = 112 parameters, 108 x 64 = 6,912 multiply-adds
    net.conv("a.next", 1, 1)
    net.conv("head", 2, 1, of="a.conv")
    net.last = "a.next"
    return sheet(net.finish(Output(name="aux", source="head", train_only=True)))


@pytest.mark.parametrize(
    ("figure", "computed", "holds"),
    [
        (Figure(what="parameters", printed="117"), 117, True),  # without the head
        (Figure(what="parameters", printed="118"), 117, False),
        (Figure(what="parameters", printed="112", scope="a.conv"), 112, True),
        (Figure(what="parameters", printed="117", scope="a"), 117, True),
        (Figure(what="macs", printed="6.9K", scope="a.conv"), 6912, True),
        (Figure(what="macs", printed="7K", scope="a.conv"), 6912, True),  # rounded
        (Figure(what="macs", printed="6K", scope="a.conv"), 6912, True),  # cut
        (Figure(what="macs", printed="6.7K", scope="a.conv"), 6912, False),
        (Figure(what="macs", printed="6.7K", scope="a.conv", kilo=1024), 6912, True),
        (Figure(what="flops", printed="13,824", scope="a.conv"), 13_824, True),
        (Figure(what="flops", printed="14,000", scope="a.conv"), 13_824, True),
        (Figure(what="neurons", printed="448"), 448, True),
        (Figure(what="activations", printed="748"), 748, True),
    ],
)
def test_figures_are_read_as_printed(figure: Figure, computed: int, holds: bool) -> None:
    found = _sheet()
    assert (figure.computed(found), figure.holds(found)) == (computed, holds)


@pytest.mark.parametrize("printed", ["", "12x", "K", "1.2.3", "3 M"])
def test_figures_have_digits(printed: str) -> None:
    with pytest.raises(UsageError, match="Expected a figure such as"):
        Figure(what="macs", printed=printed)


def test_figures_name_layers_that_exist() -> None:
    with pytest.raises(UsageError, match="there are no macs of 'b'"):
        Figure(what="macs", printed="1", scope="b").computed(_sheet())


def test_corrections_are_of_the_network_as_registered() -> None:
    """The paper says nothing of other inputs and knobs, nor of networks that are not its own."""
    said = zoo.notes(sheet(zoo.network("vgg16")))
    told = "Does not agree with the lectures' table: 24M activations (computed 15,237,608). "
    assert any(note.startswith(told) for note in said)
    other = zoo.notes(sheet(zoo.network("vgg16", input=(3, 64, 64))))
    assert other == tuple(note for note in said if note.startswith("Deviation"))
    assert zoo.notes(_sheet()) == ()


@pytest.mark.parametrize(
    ("spec", "classes"),
    [
        ("plain18(width=16)", None),  # whose multiply-adds are known from nowhere else
        ("resnet18(average=True)", None),  # of the same counts
        ("googlenet", 10),
    ],
)
def test_nothing_printed_is_held_against_other_knobs_and_classes(
    spec: str, classes: int | None
) -> None:
    said = zoo.notes(sheet(zoo.network(spec, classes=classes)))
    assert all(note.startswith("Deviation") for note in said)


def test_what_agrees_is_said_in_one_line_with_its_source() -> None:
    def agreeing(name: str) -> list[str]:
        said = zoo.notes(sheet(zoo.network(name)))
        return [note for note in said if note.startswith("Agrees")]

    assert agreeing("plain18") == [
        "Agrees with the paper's table 1, as FLOPs: 1.8G multiply-adds.",
    ]
    assert agreeing("lenet5_1998") == [
        "Agrees with the paper: 60,000 parameters, 340,908 connections, 10 figures of its layers.",
    ]
    (both,) = agreeing("googlenet")
    assert "table 1: 12 figures of its layers; with the paper: 1.5G multiply-adds." in both
    assert agreeing("mlp") == []
