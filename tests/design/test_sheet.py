"""The sheet: the document's fixed fields, the lectures' totals, the table."""

from __future__ import annotations

from striate import zoo
from striate.design import sheet
from striate.design.table import text
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
    for part in ("256x6x6", "37,752,832", "62,378,344 parameters", "Most parameters: fc6, 61%"):
        assert part in shown
    assert max(map(len, shown.splitlines()[:24])) <= 100
