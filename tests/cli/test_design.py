"""`striate design`: every form of the sheet, questions, spellings, errors that teach."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def test_vgg16_as_the_house_says_it(run: Run) -> None:
    document = json.loads(run("design", "vgg16", "--json").out)
    assert document["totals"]["activations"] == 15_237_608
    assert document["totals"]["flops"] == 2 * document["totals"]["macs"] == 30_940_528_640
    assert document["totals"]["receptive_field"]["size"] == [212, 212]
    assert any("24M" in note and "15,237,608" in note for note in document["notes"])
    assert document["network"] == "vgg16" and document["input"] == [3, 224, 224]


def test_terminal(run: Run) -> None:
    shown = run("design", "resnet152").out
    assert "layer3.1-35" in shown and "receptive field 1451 px" in shown
    assert "layer3.7.conv2" in run("design", "resnet152", "--all").out
    assert "layer3.1-35" not in run("design", "resnet152", "--depth", 1).out
    assert "layer4.1.conv1" in run("design", "resnet50", "--layer", "layer4.1").out
    assert "32 images" in run("design", "lenet", "--batch", 32).out


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [(".md", "# lenet"), (".html", "<!doctype html>"), (".svg", "<svg "), (".txt", "layer")],
)
def test_files_by_their_name(run: Run, tmp_path: Path, suffix: str, begins: str) -> None:
    path = tmp_path / f"sheet{suffix}"
    ended = run("design", "lenet", "--out", path)
    assert (ended.code, ended.out) == (0, f"Wrote {path}.\n")
    written = path.read_text(encoding="utf-8")
    assert written.startswith(begins)
    option = {".md": ["--markdown"], ".html": ["--html"], ".svg": ["--svg"], ".txt": []}[suffix]
    assert run("design", "lenet", *option).out.rstrip("\n") == written.rstrip("\n")


def test_json_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sheet.json"
    run("design", "lenet", "--out", path)
    assert json.loads(path.read_text()) == json.loads(run("design", "lenet", "--json").out)


def test_several_are_compared(run: Run) -> None:
    assert "13.6x" in run("design", "alexnet_onetower", "vgg16").out
    assert run("design", "lenet", "vgg16", "--markdown").out.startswith("|  | lenet | vgg16 |")
    both = json.loads(run("design", "lenet", "vgg16", "--json").out)
    assert [each["network"] for each in both] == ["lenet", "vgg16"]


def test_networks_of_one_name_are_numbered_as_they_were_given(run: Run) -> None:
    two = ("conv3-16 relu FC-10", "conv5-16 relu FC-10", "lenet")
    shown = run("design", *two, "--input", "1x28x28").out.splitlines()
    assert shown[0].split() == ["notation", "1", "notation", "2", "lenet"]
    assert shown[3].split()[:3] == ["parameters", "125,610", "125,866"]


def test_plot(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "zoo.png"
    assert run("design", "--plot", path).out == f"Wrote {path}.\n"
    with Image.open(path) as image:
        assert image.width > 1000


def test_questions_and_spellings(run: Run) -> None:
    assert "S=2 P=1+2: output 16" in run("design", "W=32", "F=5", "S=2", "P=?").out
    answer = json.loads(run("design", "W=7 F=3 S=2 P=0", "--json").out)
    assert (answer["output"], answer["exact"]) == (3, True)
    lasagne = run("design", "vgg16", "--layer", "features.0", "--as", "lasagne").out
    assert "features_0 = Conv2DLayer(x, num_filters=64" in lasagne and "# flip_filters" in lasagne
    spelled = json.loads(run("design", "lenet", "--as", "torch", "--json").out)
    assert spelled["code"].startswith("net = nn.Sequential()")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected a network, for example: striate design vgg16"),
        (["lenet", "--layer", "conv9"], "lenet has no layer or scope 'conv9'. Did you mean conv"),
        (["lenet", "--as", "keras"], "Expected --as torch, lasagne, caffe, pytorch"),
        (["lenet", "--html", "--svg"], "Expected one of --markdown, --html, --svg, --json"),
        (["lenet", "vgg16", "--svg"], "Expected one network for --svg, received 2: --markdown"),
        (["lenet", "--out", "x.doc"], "Expected --out to end in .html, .svg, .md, .json, .txt"),
        (["--plot", "x.gif"], "Expected --plot FILE to end in .svg or .png"),
        (["F=5", "Q=1"], "received Q=1"),
        (["F=5", "W=32", "--svg"], "Expected a question about a lone layer with --json or no form"),
        (["F=5", "W=32", "vgg16"], "F=5 asks about a lone layer, and such a question stands by"),
        (["lenet", "--memory", "8GB"], "--memory is about training: add --train or --find-batch"),
        (["lenet", "--optimizer", "foo"], "--optimiser is about training"),
        (["lenet", "--train", "--svg"], "--svg has no place for a forecast"),
        (["googlenet", "--layer", "inception3"], "Did you mean inception3a, inception3b or"),
        ([""], "There is no network named ''"),
        (["."], ". is not a run folder: it has no run.json. A network is a registered name"),
        (["conv3-0"], "received features=0"),
    ],
)
def test_mistakes(run: Run, arguments: list[str], message: str) -> None:
    ended = run("design", *arguments)
    assert ended.code == 2 and message in ended.err and ended.out == ""


def test_an_image_too_small_shows_the_table_up_to_there(run: Run) -> None:
    ended = run("design", "lenet", "--input", "1x8x8")
    *table, sentence = ended.err.splitlines()
    assert (ended.code, ended.out) == (2, "")
    assert [line.split()[0] for line in table] == ["x", "conv1", "relu1", "pool1", "conv2"]
    assert table[-1].endswith("<- received 6x4x4")
    assert sentence.startswith("striate: lenet takes images of 12x12 and larger, received 8x8: ")
    fixes = "set padding=1 for an output of 2x2 or choose images of at least 12x12 (--input 12x12)."
    assert sentence.endswith(fixes)
    ended = run("design", "conv3-8 maxpool conv5-8p0 FC-3", "--input", "1x8x8")
    first, *shown = [line for line in ended.err.splitlines() if "<- " not in line][-3:]
    assert first.endswith("2x2 or choose images of at least 10x10 (--input 10x10).")
    assert shown[1].strip() == "^"
