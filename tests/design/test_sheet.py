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
    assert "6*" in text(made) and "4*" in text(made)


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
