"""One place that reads any NET: names, notation, prototxt, network.json, runs, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate import runs, zoo
from striate.contract import Class, Contract, Resize
from striate.design import sheet
from striate.design.prototxt import to_prototxt
from striate.errors import (
    DesignError,
    NotationError,
    RecordError,
    RunError,
    UnknownName,
    UsageError,
)
from striate.records import to_json

NOTATION = "conv3-8 maxpool FC-12 FC"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_with_and_without_knobs() -> None:
    assert zoo.read(" lenet ") == zoo.network("lenet")
    spec = "mlp(hidden=(30, 20))"
    assert zoo.read(spec, classes=7, input=(1, 9, 9)) == zoo.network(
        spec, classes=7, input=(1, 9, 9)
    )


def test_notation_takes_classes_and_input() -> None:
    network = zoo.read(NOTATION, classes=7, input=(1, 28, 28))
    assert (network.classes, network.input_shape) == (7, (1, 28, 28))
    written = zoo.read("conv3-8 maxpool FC-1000 soft-max", classes=7, input=(1, 28, 28))
    assert written.classes == 7  # the number of classes is the data's, as for a registered name


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("conv3-8 FC-12", "written for 12 classes (fc1); it is given 7, as many as the data has."),
        ("conv3-8 maxpool conv1-12 gap", "written for 12 classes (conv2); it is given 7"),
        ("FC-12 relu FC-7", None),
        ("FC-12 FC", None),
        ("FC-12 relu softmax", None),
        ("FC-7", None),
        ("lenet", None),
        ("mlp(hidden=(30, 20))", None),
    ],
)
def test_another_number_of_classes_is_said(spec: str, said: str | None) -> None:
    network = zoo.read(spec, classes=7, input=(1, 32, 32))
    assert network.classes == 7
    sentence = zoo.other_classes(network)
    assert sentence == "" if said is None else said in sentence


@pytest.mark.parametrize("name", ["net.prototxt", "net.txt", "net"])
def test_a_prototxt_by_its_name_or_what_is_in_it(folder: Path, name: str) -> None:
    known = zoo.network("lenet")
    Path(name).write_text(to_prototxt(known))
    assert zoo.read(name) == known
    other = zoo.read(str(folder / name), classes=7, input=(1, 40, 40))
    last = other.layers[-1]
    assert last.note.endswith("written for 10 classes, given 7")
    before = (*other.layers[:-1], last.replace(note=known.layers[-1].note))
    assert other.replace(layers=before) == zoo.network("lenet", classes=7, input=(1, 40, 40))


def test_a_lone_layer_is_read_with_an_input(folder: Path) -> None:
    text = 'layer { type: "Convolution" bottom: "data" top: "c" convolution_param {'
    Path("layer.prototxt").write_text(text + " num_output: 96 kernel_size: 11 stride: 4 } }")
    assert zoo.read("layer.prototxt", input=(3, 227, 227)).parameter_count() == 34_944
    with pytest.raises(NotationError, match=r"layer.prototxt, line 1, .* --input CxHxW"):
        zoo.read("layer.prototxt")


@pytest.mark.parametrize("name", ["network.json", "plain"])
def test_a_network_json(folder: Path, name: str) -> None:
    known = zoo.network("lenet")
    Path(name).write_bytes(to_json(known))
    assert zoo.read(name) == known
    assert zoo.read(name, classes=5, input=(1, 32, 32)).classes == 5
    Path(name).write_text('{"name": 3}')
    with pytest.raises(RecordError, match=name):
        zoo.read(name)


def test_a_network_is_saved_with_one_call_and_taken_as_it_is(folder: Path) -> None:
    known = zoo.network("resnet20")
    known.save("made/own.json")
    assert zoo.read("made/own.json") == known == zoo.read(known)
    assert zoo.read(known, classes=7, input=(3, 16, 16)) == zoo.read(
        "made/own.json", classes=7, input=(3, 16, 16)
    )


def test_a_sheet_is_no_network_and_is_said_to_be_one(folder: Path) -> None:
    document = sheet(zoo.network("lenet")).document()
    for written in (document, [document, document]):
        Path("lenet.json").write_bytes(to_json(written))
        with pytest.raises(RecordError, match=r"lenet.json is the sheet of .*network\.save\("):
            zoo.read("lenet.json")
    for other in ("[]", "[1]", '{"network": 1}', "{" * 9):
        Path("lenet.json").write_text(other)
        with pytest.raises(RecordError) as caught:
            zoo.read("lenet.json")
        assert "sheet" not in str(caught.value)


def test_no_python_file_is_run_and_what_writes_a_network_is_said(folder: Path) -> None:
    Path("mynet.py").write_text("raise SystemExit('run')")
    with pytest.raises(DesignError, match=r"mynet.py: no Python file is run.*network\.save\("):
        zoo.read("mynet.py")
    with pytest.raises(DesignError, match="There is no file or folder 'none.py'"):
        zoo.read("none.py")


def test_neither_text_nor_a_network_is_told_what_would_be() -> None:
    with pytest.raises(UsageError, match=r"received a Foreign: striate.describe\(module, "):
        zoo.read(Foreign())  # type: ignore[arg-type]


class Foreign:
    """A module of somebody's."""


def test_a_run(folder: Path) -> None:
    known = zoo.network("softmax", classes=2, input=(1, 8, 8))
    contract = Contract(
        classes=(Class(id="0", label="0"), Class(id="1", label="1")),
        channels="grey",
        size=(8, 8),
        resize=Resize(rule="exact", size=(8, 8)),
        mean=(0.5,),
        std=(0.5,),
    )
    runs.create(Path("run"), network=known, contract=contract, recipe={}, data={}, env={}, plan={})
    assert zoo.read("run") == known
    assert zoo.read("run", classes=5).classes == 5
    with pytest.raises(RunError, match="is not a run folder"):
        zoo.read(str(folder))


def test_notation_in_a_file(folder: Path) -> None:
    Path("mine.txt").write_text("# my network\nconv3-8\nmaxpool\nFC-3\n")
    assert zoo.read("mine.txt").classes == 3
    Path("mine.txt").write_text("conv3-8\nmaxpol\n")
    with pytest.raises(NotationError, match=r"mine.txt, line 2, column 1: .* maxpool"):
        zoo.read("mine.txt")


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("darknet19.txt", "conv3-8 FC-3", "darknet19"),
        ("my net (2).txt", "conv3-8 FC-3", "my_net_2"),
        ("resnext.prototxt", "{}", "resnext"),
        ("resnext.prototxt", 'name: "ResNeXt-tiny" {}', "ResNeXt-tiny"),
        ("_.txt", "conv3-8 FC-3", "notation"),
    ],
)
def test_a_file_names_the_network_that_does_not(
    folder: Path, file: str, text: str, name: str
) -> None:
    layer = (
        'layer { type: "InnerProduct" bottom: "data" top: "f" inner_product_param { num_output: 3 }'
    )
    shape = "input_dim: 1 input_dim: 1 input_dim: 8 input_dim: 8"
    Path(file).write_text(text.replace("{}", f'input: "data" {shape} {layer} }}'))
    assert zoo.read(file).name == name


def test_a_name_means_the_same_in_every_folder(folder: Path) -> None:
    Path("lenet").write_text("FC-3")
    assert zoo.read("lenet") == zoo.network("lenet")
    assert zoo.read("./lenet").classes == 3


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("resnt20", "resnet20"),
        ("vgg-16", "vgg16"),
        ("mlpp(hidden=(3,))", "mlp"),
        ("", None),
        ("  ", None),
        ("unheard", None),
        ("x" * 5000, None),
        ("\0", None),
    ],
)
def test_unknown_says_what_is_near_and_what_is_accepted(spec: str, nearest: str | None) -> None:
    with pytest.raises((UnknownName, NotationError)) as caught:
        zoo.read(spec)
    if isinstance(caught.value, UnknownName):
        assert "paper notation" in str(caught.value) and "run folder" in str(caught.value)
        assert nearest is None or nearest in caught.value.nearest
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("spec", ["./none", "../none", "~/none/x", "none.prototxt", "a/none.json"])
def test_a_missing_file_is_said_to_be_missing(folder: Path, spec: str) -> None:
    with pytest.raises(DesignError, match="There is no file or folder .*registered name"):
        zoo.read(spec)


@pytest.mark.parametrize("spec", ["covn3-64 maxpool", "conv3-64 maxpol", "[(CONV-RELU)*N]"])
def test_a_mistake_in_notation_is_pointed_at(spec: str) -> None:
    with pytest.raises(NotationError, match="line 1, column"):
        zoo.read(spec)


def test_a_byte_order_mark_is_no_name(folder: Path) -> None:
    Path("net.prototxt").write_text(to_prototxt(zoo.network("lenet")), encoding="utf-8-sig")
    assert zoo.read("net.prototxt") == zoo.network("lenet")


def test_binary_files_are_refused(folder: Path) -> None:
    Path("image.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DesignError, match="received binary data"):
        zoo.read("image.png")


def test_classes_that_cannot_be_set(folder: Path) -> None:
    with pytest.raises(DesignError, match="received .pool1., which has none of its own"):
        zoo.read("input 8x8 relu maxpool", classes=3)
