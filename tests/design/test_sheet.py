"""The sheet: the document's fixed fields, the lectures' totals, the table."""

from __future__ import annotations

import pytest

from striate import zoo
from striate.design import Sketch, sheet
from striate.design.drawing import drawing
from striate.design.sheet import part
from striate.design.table import text
from striate.errors import UsageError
from striate.records import to_json


def test_document_has_the_fixed_fields() -> None:
    document = sheet(zoo.network("lenet")).document()
    assert document.keys() >= {"network", "input", "layers", "totals", "notes"}
    keys = {"name", "kind", "inputs", "output", "parameters", "neurons", "macs", "flops"}
    keys |= {"activation_bytes", "receptive_field"}
    for row in document["layers"]:
        assert row.keys() >= keys
        assert row["receptive_field"].keys() >= {"size", "stride", "offset", "aligned"}
        assert row["flops"] == 2 * row["macs"]
    totals = {"parameters", "macs", "flops", "activations", "activation_bytes", "receptive_field"}
    assert document["totals"].keys() >= totals
    assert to_json(document)


def test_totals_of_the_lectures() -> None:
    assert sheet(zoo.network("vgg16")).totals.activations == 15_237_608
    alexnet = sheet(zoo.network("alexnet_onetower"))
    assert sum(row.neurons for row in alexnet.layers) == 659_272
    assert alexnet.layers[0].parameters == 34_944


def test_text_shows_every_layer_and_the_totals() -> None:
    shown = text(sheet(zoo.network("alexnet_onetower")))
    for words in ("256x6x6", "37,752,832", "62,378,344 parameters", "Most parameters: fc6, 61%"):
        assert words in shown
    assert max(map(len, shown.splitlines()[:24])) <= 100


def test_windows_that_leave_pixels_out_are_named() -> None:
    net = Sketch("t", (3, 224, 224))
    net.conv("conv1", 8, 11, stride=4)
    net.max_pool("pool1", 3, stride=2)
    first, second = (note for note in sheet(net.finish()).notes if "leaves out" in note)
    assert second.startswith("pool1: F=3, S=2, P=0 leaves out the last 1 of 54 pixels")
    assert first == (
        "conv1: F=11, S=4, P=0 leaves out the last 1 of 224 pixels, output 54; P=1+2 (55) or "
        "S=3 (72) would fit."
    )
    for name in ("vgg16", "resnet50", "alexnet", "googlenet", "inception_v3"):
        assert not any("leaves out" in note for note in sheet(zoo.network(name)).notes)


def test_more_than_three_are_counted() -> None:
    net = Sketch("t", (3, 300, 300))
    for index in range(5):
        net.max_pool(f"pool{index}", 2, stride=2)
        net.conv(f"conv{index}", 3, 3, padding="same")
    notes = [note for note in sheet(net.finish()).notes if "leaves out" in note or "more" in note]
    assert len(notes) == 2 and notes[0].startswith("pool2: F=2, S=2, P=0 leaves out the last 1")


def test_three_are_named_and_a_fourth_is_counted() -> None:
    def notes(count: int) -> list[str]:
        net = Sketch("t", (3, 255, 255))  # 127, 63, 31 ...: odd all the way
        for index in range(count):
            net.max_pool(f"pool{index}", 2)
        made = sheet(net.finish()).notes
        return [note for note in made if "leaves out" in note or "more layers" in note]

    assert len(notes(3)) == 3 and not any("more layers" in note for note in notes(3))
    assert len(notes(4)) == 4 and notes(4)[3] == "So do 1 more layers."


def test_pixels_left_out_along_the_second_axis_are_said_too() -> None:
    net = Sketch("t", (1, 9, 10))
    net.conv("c", 1, 3, stride=2)
    (note,) = [note for note in sheet(net.finish()).notes if "leaves out" in note]
    assert note.startswith("c: F=3, S=2, P=0 leaves out the last 1 of 10 pixels, output 4;")


def test_what_no_window_loses_is_not_said() -> None:
    net = Sketch("t", (1, 16, 16))
    net.conv("padded", 1, 3, stride=2, padding=1)  # the padding at the end is not reached
    net.max_pool("up", 3, stride=2, ceil=True)
    net.conv("skips", 1, 1, stride=2)  # on purpose: no window is as large as its step
    assert not any("leaves out" in note for note in sheet(net.finish()).notes)


def test_where_most_of_it_lies() -> None:
    """LeNet's and VGG's: most memory early, most parameters in the fully connected layers."""
    notes = sheet(zoo.network("vgg16")).notes
    assert notes[:4] == (
        "Most memory is in early conv layers (80%), most parameters in late fully connected layers "
        "(89%).",
        "Most parameters: classifier.0, 74% of all.",
        "Most multiply-adds: features.2, 12% of all.",
        "Most activation memory: features.0, 21% of all.",
    )
    few = Sketch("few", (3, 8, 8))
    few.conv("a", 4, 3)
    few.conv("b", 4, 3)
    assert not any("Most memory is in" in note for note in sheet(few.finish()).notes)


def test_connections_as_lenets_paper_counts_them() -> None:
    """C1, S2, C3, S4, C5 and F6 as section II.B has them; the classes' distances are ours."""
    made = sheet(zoo.network("lenet5_1998"))
    counted = {row.name.upper(): row.connections for row in made.layers if row.connections}
    assert list(counted.values())[:6] == [122_304, 5_880, 151_600, 2_000, 48_120, 10_164]
    total = sum(row.connections for row in made.layers)
    assert f"{total:,} connections, as LeNet's paper counts" in " ".join(made.notes)
    assert "connections, as" not in " ".join(sheet(zoo.network("lenet")).notes)


def test_rules_of_padding_by_name() -> None:
    net = Sketch("t", (1, 9, 9))
    for rule, size in (("same", 9), ("full", 11), ("valid", 9), ("zero", 7)):
        net.conv(rule, 1, 3, padding=rule)  # type: ignore[arg-type]
        assert net.finish().shapes()[rule] == (1, size, size)


def test_unaligned_branches_are_in_the_notes() -> None:
    net = Sketch("t", (1, 20, 20))
    left = net.conv("left", 1, 3, padding=((0, 2), (0, 2)))
    net.add("sum", left, net.conv("right", 1, 3, padding=1, of="x"))
    net.conv("after", 1, 3)
    made = sheet(net.finish())
    assert (
        "sum: its branches are not aligned; their fields are 3 from 0 and 3 from -1 (pixels)."
        in (made.notes)
    )
    assert sum("not aligned" in note for note in made.notes) == 1
    assert {"6*", "4*"} <= set(text(made).split())


def test_a_part() -> None:
    whole = sheet(zoo.network("resnet50"))
    block = part(whole, "layer1.0")
    assert block.inputs == {"maxpool": (64, 56, 56)} and len(block.layers) == 12
    assert block.notes[0] == (
        "layer1.0: 75,008 parameters (0.3% of all), 231,211,008 multiply-adds (5.7%)."
    )
    assert "downsample.0" in drawing(block)
    with pytest.raises(UsageError, match=r"no layer or scope 'layer1.3'. Did you mean layer1"):
        part(whole, "layer1.3")
