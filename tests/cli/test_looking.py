"""`striate explain` and `striate attack` on a run of random weights: files, documents, mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from tests.explain.nets import contract_for
from tests.explain.planted import SHAPE, planted
from tests.explain.planted import trained as trained_on_planted
from torch import Tensor

from striate import data, explain, runs
from striate.cli import explain as command
from striate.contract import Contract
from striate.design import Network, Sketch
from striate.errors import DataError, UnknownName
from striate.explain.visualise import STYLES
from striate.inference import to_picture
from striate.layers import build
from striate.weights import Weights


def make_run(
    folder: Path, network: Network, contract: Contract, weights: dict[str, Tensor]
) -> runs.Run:
    """Write a run on the digits, as if training had ended in these weights."""
    digits = data.open("digits")
    choice = {"split_seed": 0, "validation": 0.1, "validation_most": 5000, "test": 0.2}
    split = data.split(digits, seed=0, validation=0.1, validation_most=5000, test=0.2)
    made = runs.create(
        folder,
        network=network,
        contract=contract,
        recipe={"data": {"path": "digits", "strict": False, **choice}},
        data=split.document(),
        env={},
        plan={},
    )
    save_file(weights, made.weights, {"run": made.identity})
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """A small convolutional net on the digits, as it was initialised."""
    contract = Contract(
        classes=data.open("digits").classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.3,)
    )
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 6, 3, padding=1)
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    pen.conv("conv2", 8, 3, padding=1)
    pen.relu("relu2")
    pen.flatten()
    pen.linear("fc", 10)
    network = pen.finish()
    weights = build(network, seed=5).state_dict()
    return make_run(tmp_path_factory.mktemp("looking") / "run", network, contract, weights)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "three <3>.png"
    samples = data.open("digits").parts["all"]
    Image.fromarray(samples.images[3][..., 0]).save(path)  # type: ignore[attr-defined]
    return path


class Page(HTMLParser):
    """Collects what a page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, Any]] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_explain_writes_a_page_that_opens_from_disk(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "explained"
    arguments = ("explain", trained.path, image, "--out", out, "--search", 60, "--json")
    ended = run(*arguments, "--part", "maps", "--part", "filters", "--part", "units",
                "--unit", "relu2:3", "--part", "shift", "--part", "layers")  # fmt: skip
    assert ended.code == 0, ended.err
    first, *rest = ended.err.splitlines()
    assert first == (
        "Making maps, filters, units, layers, shift of 1 image. Most time goes to units, shift; "
        "--part maps alone takes seconds an image."
    )
    told = [each.rpartition(": ")[0] for each in rest if re.search(r": [\d.]+ s$", each)]
    assert told == ["maps of three <3>.png", "filters", "units", "layers", "shift"]
    report = json.loads(ended.out)
    assert [each["name"] for each in report["sections"]] == [
        "image1", "filters", "units", "layers", "shift"
    ]  # fmt: skip
    maps = {each["title"]: each for each in report["sections"][0]["pictures"]}
    assert (
        "grad cam at relu2" in maps
        and "completeness_gap" in maps["integrated gradients"]["measures"]
    )
    html = (out / "index.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    shown = [each["src"] for each in page.images]
    assert shown and all((out / each).is_file() for each in shown)
    assert all(each["alt"] for each in page.images)
    assert "script" not in page.tags and "link" not in page.tags and "http" not in html
    assert "three <3>.png" in "".join(page.text)
    for term in (" sensitivity ", " beats chance by ", " gap "):  # the terminal's own words
        assert f",{term}" in maps["integrated gradients"]["note"]
    listed = [each["file"] for section in report["sections"] for each in section["pictures"]]
    assert shown == listed
    for each in listed:
        with Image.open(out / each) as picture:
            assert min(picture.size) > 40 and np.asarray(picture.convert("L")).std() > 0.5
    assert json.loads((out / "report.json").read_text()) == report


def test_explain_names_its_parts_and_is_quick_without_a_word(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    helped = " ".join(run("explain", "--help").out.split())
    assert ", ".join(explain.PARTS) in helped
    options = ("--part=maps", "--method=saliency", "--out", tmp_path)
    ended = run("explain", trained.path, image, *options)
    assert ended.code == 0 and ended.err == ""
    assert "sensitivity  beats chance by" in ended.out


def test_explain_looks_at_the_layers_that_are_named(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    parts = [f"--part={each}" for each in ("maps", "filters", "inversion", "dream", "units")]
    parts += ["--layer=relu1", "--layer=conv2", "--method=grad_cam", "--style=simonyan"]
    parts += ["--unit=relu2:3", "--search=20"]
    ended = run("explain", trained.path, image, *parts, "--out", tmp_path, "--json")
    assert ended.code == 0, ended.err
    maps, filters, units, inversion, dream = json.loads(ended.out)["sections"]
    assert maps["pictures"][1]["title"] == "grad cam at conv2"
    assert [each["title"] for each in filters["pictures"]] == [
        "filters of conv2",
        "classical filters",
    ]
    assert set(inversion["pictures"][0]["measures"]) == {"error_relu1", "error_conv2"}
    assert inversion["pictures"][0]["measures"]["error_relu1"] < 0.5
    assert set(dream["pictures"][0]["measures"]) == {"strength_relu1", "strength_conv2"}
    assert [each["title"] for each in units["pictures"]] == ["relu2:3"]


def test_explain_shows_the_mark_in_the_corner_that_decides(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """A net that has learnt nothing but a spurious mark: every map's strongest pixel is in it."""
    contract = contract_for(SHAPE, 3)
    net = trained_on_planted(contract, corner=True, steps=60)
    made = make_run(tmp_path / "run", net.network, contract, net.state_dict())
    images, labels, _ = planted(4, 3000, corner=True)
    marked = []
    for index in np.flatnonzero(labels.numpy()):
        marked.append(tmp_path / f"{index}.png")
        Image.fromarray(to_picture(images[index], contract)[..., 0]).save(marked[-1])
    methods = ("occlusion", "integrated_gradients", "grad_cam")
    asked = [f"--method={each}" for each in methods]
    ended = run("explain", made.path, *marked, "--part", "maps", *asked,
                "--out", tmp_path / "out", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    for section in json.loads(ended.out)["sections"]:
        shown = {each["file"].partition("/")[2]: each for each in section["pictures"]}
        for method in methods:
            measured = shown[f"{method}.png"]["measures"]
            assert measured["strongest_row"] < 6 and measured["strongest_column"] < 6, method
        assert not shown["occlusion.png"]["reasons"]
        with Image.open(tmp_path / "out" / shown["occlusion.png"]["file"]) as picture:
            red, _, blue = np.asarray(picture.convert("RGB"), float).transpose(2, 0, 1)
        warm = (red - blue).reshape(24, picture.height // 24, 24, picture.width // 24).mean((1, 3))
        row, column = np.unravel_index(warm.argmax(), warm.shape)
        assert row < 6 and column < 6


def test_explain_leaves_out_what_a_net_without_places_has_not(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    pen = Sketch("perceptron", (1, 8, 8))
    pen.flatten()
    pen.linear("fc1", 12)
    pen.relu("relu1")
    pen.linear("fc2", 10)
    network = pen.finish()
    weights = build(network, seed=0).state_dict()
    made = make_run(tmp_path / "run", network, trained.contract(), weights)
    parts = [f"--part={each}" for each in explain.PARTS if each not in ("classes", "neighbours")]
    methods = [f"--method={each}" for each in ("grad_cam", "saliency", "guided_backprop")]
    ended = run("explain", made.path, image, *parts, *methods, "--search", 20, "--json")
    assert ended.code == 0, ended.err
    sections = {each["name"]: each for each in json.loads(ended.out)["sections"]}
    shown = {name for name, each in sections.items() if each["pictures"]}
    assert shown == {"image1", "activations", "units", "inversion", "layers", "shift"}
    left_out = {name: each["text"] for name, each in sections.items() if name not in shown}
    assert left_out == {
        "filters": "Not shown: perceptron has no convolution of images.",
        "dream": "Not shown: no places to dream at in relu1.",
    }
    assert "Not possible for this network: grad_cam" in sections["image1"]["text"]
    assert len(sections["units"]["pictures"]) == 3


def test_explain_leaves_the_run_otherwise_as_it_is(
    run: Callable[..., Any], trained: runs.Run, image: Path
) -> None:
    before = {path: path.read_bytes() for path in trained.path.iterdir() if path.is_file()}
    ended = run("explain", trained.path, image, "--part", "maps", "--method", "saliency",
                "--class", "7")  # fmt: skip
    assert ended.code == 0 and "saliency" in ended.out and "grad cam" not in ended.out
    assert (trained.figures / "explain" / "index.html").is_file()
    assert before == {path: path.read_bytes() for path in trained.path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "salience"), "'salience' is not one of 'saliency', 'smooth_grad', "),
        (("--part", "map"), "'map' is not one of 'maps', 'filters', "),
        (("--class", "eleven"), "There is no class named 'eleven'."),
        (("--unit", "conv2"), "Expected a unit as layer:channel (conv2:17), received 'conv2'."),
        (("--unit", "conv2:99"), "conv2: expected a channel of 0 to 7, received 99."),
        (("--unit", "conv7:1"), "small has no layer or scope 'conv7'. Did you mean"),
        (("--layer", "conv7"), "small has no layer or scope 'conv7'. Did you mean"),
        (("--style", "oil"), "'oil' is not one of 'fourier', 'simonyan', 'yosinski'"),
        (("--data", "absent", "--part", "units"), "absent"),
    ],
)
def test_explain_refuses_in_one_sentence(
    options: tuple[str, ...], said: str, run: Callable[..., Any], trained: runs.Run, image: Path
) -> None:
    ended = run("explain", trained.path, image, *options)
    assert ended.code == 2 and said in ended.err and ended.err.count("\n") == 1


def test_names_that_are_none_are_refused_before_torch_is_waited_for(tmp_path: Path) -> None:
    """And are those that the room knows: parts, methods, styles."""
    asked = "import sys; from striate.cli.main import main\ntry: main(sys.argv[1:])\n"
    asked += "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    for option in ("--part", "--method", "--style"):
        words = ("explain", str(tmp_path), option, "filtres")
        ended = subprocess.run(
            [sys.executable, "-c", asked, *words], capture_output=True, text=True, check=True
        )
        assert ended.stdout.split() == ["2", "False"] and "'filtres' is not one of" in ended.stderr
    assert tuple(command.Part) == explain.PARTS and tuple(command.Method) == (*explain.METHODS,)
    assert tuple(command.Style) == STYLES
    for look in (explain.Look(parts=("filtres",)), explain.Look(methods=("salience",))):
        with pytest.raises(UnknownName, match="Did you mean"):
            look.check()


def test_explain_without_an_image_takes_one_held_out_and_says_which(
    run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    held = trained.data_document()["test"]["ids"][0]
    label = trained.contract().classes[int(data.open("digits").parts["all"].labels[
        list(data.open("digits").parts["all"].ids).index(held)])].label  # fmt: skip
    asked = ("--part", "maps", "--method", "saliency", "--out", tmp_path, "--json")
    ended = run("explain", trained.path, *asked)
    assert ended.code == 0, ended.err
    (section,) = json.loads(ended.out)["sections"]
    assert section["title"] == f"{held} of digits, test part ({label})"
    assert f"no image was named; taken is {held} of digits" in ended.err
    named = tmp_path / "named.png"
    samples = data.open("digits").parts["all"]
    place = list(samples.ids).index(held)
    Image.fromarray(samples.stored(place)[..., 0]).save(named)
    again = json.loads(run("explain", trained.path, named, *asked).out)["sections"][0]
    assert again["pictures"] == section["pictures"]


@pytest.mark.parametrize(
    "parts", [("filters",), ("shift", "layers"), ("units", "--unit=relu2:3", "--search=20")]
)
def test_explain_takes_no_image_where_no_part_is_about_one(
    parts: tuple[str, ...], run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    asked = [f"--part={each}" if not each.startswith("--") else each for each in parts]
    ended = run("explain", trained.path, *asked, "--out", tmp_path, "--json")
    assert ended.code == 0 and "no image was named" not in ended.err, ended.err
    pictures = [each for one in json.loads(ended.out)["sections"] for each in one["pictures"]]
    assert pictures and "classical filters" not in {each["title"] for each in pictures}


def test_explain_prints_what_it_found_of_filters(
    run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    ended = run("explain", trained.path, "--part=filters", "--layer=conv2", "--out", tmp_path)
    assert ended.code == 0, ended.err
    found, where, more, _, page = ended.out.splitlines()
    assert re.fullmatch(
        r"Filters of conv2: mean cosine with the nearest classical filter 0\.\d\d \(of random 3x3 "
        r"filters 0\.52, 95th percentile 0\.78\); \d+ of \d+ are nearer than that percentile, and "
        r"named",
        found,
    )
    assert where == f"  {tmp_path / 'filters_conv2.png'}" and Path(where.strip()).is_file()
    assert "--layer NAME" in more and page == f"page  {tmp_path / 'index.html'}"


def test_a_module_has_no_images_of_its_own_and_the_report_says_so(
    trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    model = Weights.of(build(trained.network(), seed=0), trained.contract())
    parts = ("units", "filters", "shift")
    report = explain.look_inside(
        model, [image], out=tmp_path, look=explain.Look(parts=parts, units=("relu2:3",))
    )
    texts = {each.name: each.text for each in report.sections}
    assert [*texts] == ["filters", "units", "shift"]
    for part in ("units", "shift"):
        assert texts[part] == "Not shown: small has no data of its own; name some, --data DATA."
    with pytest.raises(DataError, match="Expected an image, which maps need, as none is held out"):
        explain.look_inside(model, out=tmp_path, look=explain.Look(parts=("maps",)))
    only = explain.look_inside(model, out=tmp_path, look=explain.Look(parts=("filters",)))
    assert [each.name for each in only.sections] == ["filters"]


def test_maps_that_are_the_gradient_for_want_of_a_rectifier_say_so(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    """Guided backprop and the deconvnet differ from the gradient at ReLUs alone."""
    pen = Sketch("swish", (1, 8, 8))
    pen.conv("conv1", 6, 3, padding=1)
    pen.silu("silu1")
    pen.flatten()
    pen.linear("fc", 10)
    network = pen.finish()
    weights = build(network, seed=5).state_dict()
    made = make_run(tmp_path / "run", network, trained.contract(), weights)
    said = " (no rectifier here: the same as the gradient)"
    methods = [f"--method={each}" for each in ("saliency", "guided_backprop", "deconvolution")]
    for path, note in ((made.path, said), (trained.path, "")):
        asked = ("--part", "maps", *methods, "--out", tmp_path / "out", "--json")
        sections = json.loads(run("explain", path, image, *asked).out)["sections"]
        titles = [each["title"] for each in sections[0]["pictures"][1:]]
        assert titles == ["saliency", f"guided backprop{note}", f"deconvolution{note}"]


def test_explain_needs_an_image_that_is_one(
    run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    text = tmp_path / "note.png"
    text.write_text("no image")
    ended = run("explain", trained.path, text)
    assert ended.code == 2 and "note.png" in ended.err and "Traceback" not in ended.err
    assert run("explain", trained.path, tmp_path / "absent.png").code == 2


def test_attack_writes_a_table_and_pictures(
    run: Callable[..., Any], trained: runs.Run, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "attacked"
    ended = run("attack", trained.path, "--eps", "8/255,0.2", "--count", 40, "--steps", 5,
                "--image", image, "--class", "7", "--out", out, "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    rows = [(each["attack"], round(each["eps"], 4)) for each in found["table"]["rows"]]
    assert rows == [
        ("clean", 0.0),
        *[(name, eps) for eps in (0.0314, 0.2) for name in ("noise", "FGSM", "PGD-5")],
    ]
    assert found["table"]["n"] == 40 and all(each["passed"] for each in found["table"]["guards"])
    assert "own1" in found["files"]
    page = Page()
    page.feed(Path(found["files"]["page"]).read_text(encoding="utf-8"))
    said = "".join(page.text)
    assert all((out / each["src"]).is_file() and each["alt"] for each in page.images)
    assert {"accuracy.png", "own1.png"} <= {each["src"] for each in page.images}
    assert "script" not in page.tags and "three <3>.png" in said
    assert all(guard["name"] in said for guard in found["table"]["guards"])
    assert found["nearest"][0]["attack"] == "DeepFool"
    assert all(Path(each).is_file() for each in found["files"].values())
    assert json.loads((out / "attack.json").read_text()) == found
    again = run("attack", trained.path, "--eps", "8/255,0.2", "--count", 40, "--steps", 5,
                "--image", image, "--class", "7", "--out", out, "--json")  # fmt: skip
    assert json.loads(again.out) == found


def test_a_guard_that_fails_is_a_verdict(
    run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    trained.write_results({"test": {"accuracy": 0.99, "n": 360, "loss": 0.1}})
    try:
        ended = run("attack", trained.path, "--count", 40, "--steps", 3, "--eps", "0.1",
                    "--out", tmp_path)  # fmt: skip
    finally:
        (trained.path / "results.json").unlink()
    assert ended.code == 1
    assert "FAIL  clean accuracy is the recorded one" in ended.out
    assert "normalised twice, or not at all" in ended.out


@pytest.mark.parametrize("eps", ["8", "eight", "1/0", ""])
def test_attack_says_what_eps_is(eps: str, run: Callable[..., Any], trained: runs.Run) -> None:
    ended = run("attack", trained.path, "--eps", eps)
    assert ended.code == 2
    assert f"Expected a share of a full pixel, 0 to 1 (0.03 or 8/255), received {eps!r}" in (
        ended.err
    )


def test_attack_refuses_a_step_that_goes_nowhere(
    run: Callable[..., Any], trained: runs.Run, tmp_path: Path
) -> None:
    ended = run("attack", trained.path, "--step", "0", "--count", 3, "--out", tmp_path)
    assert ended.code == 2 and "Expected a step above 0" in ended.err
