"""The proof on real files, of every kind that cameras and scanners write; and planted faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate import data, inference, runs, weights, zoo
from striate.cli.main import main
from striate.contract import Class, Contract, Resize
from striate.errors import RunError, UsageError
from striate.export import (
    Proof,
    export,
    onnx_session,
    pick,
    prove,
    to_onnx,
    to_torch,
    torch_session,
)
from striate.layers import Net, build

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 of the files."""
    return write(tmp_path_factory.mktemp("files"), 48)


@pytest.fixture(scope="session")
def all_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 500."""
    return write(tmp_path_factory.mktemp("all_files"), 500)


def write(folder: Path, count: int) -> Path:
    """Write files: JPEG with EXIF rotation, PNG with alpha, grey, CMYK, palette, odd sizes."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / ("plain" if number % 2 else "striped")
        place.mkdir(exist_ok=True)
        height, width = random.integers(9, 180, 2)
        y, x = np.mgrid[:height, :width]
        waves = np.sin(x * random.uniform(0.02, 0.6) + y * random.uniform(0.02, 0.6))
        colour = random.uniform(0, 255, 3)
        pixels = colour + waves[..., None] * random.uniform(10, 120, 3)
        pixels = np.clip(pixels + random.normal(0, 9, pixels.shape), 0, 255).astype(np.uint8)
        image, kind = Image.fromarray(pixels), number % 6
        path = place / f"{number:03d}"
        if kind == 0:
            exif = Image.Exif()
            exif[0x0112] = int(random.integers(1, 9))
            image.save(path.with_suffix(".jpg"), quality=90, exif=exif)
        elif kind == 1:
            alpha = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
            image.putalpha(alpha)
            image.save(path.with_suffix(".png"))
        elif kind == 2:
            image.convert("L").save(path.with_suffix(".png"))
        elif kind == 3:
            image.convert("CMYK").save(path.with_suffix(".jpg"))
        elif kind == 4:
            image.convert("P").save(path.with_suffix(".png"))
        else:
            image.save(path.with_suffix(".webp"), lossless=True)
    return folder


def trained(name: str, size: int, channels: str, classes: int = 4) -> tuple[Net, Contract]:
    """Return a net whose answers spread over its classes, and a contract."""
    count = 1 if channels == "grey" else 3
    net = build(zoo.network(name, input=(count, size, size), classes=classes), seed=1)
    images = torch.randn(8, count, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for _ in range(3):  # statistics of batch normalisation
            net.train()(images)
        scores = net.eval()(images)
        last = [each for each in net.modules() if isinstance(each, torch.nn.Linear)][-1]
        last.weight /= scores.std()
        last.bias -= last.bias + (scores / scores.std()).mean(0) - last.bias
    contract = Contract(
        classes=tuple(Class(id=str(at), label=str(at)) for at in range(classes)),
        channels=channels, size=(size, size), crop="centre",
        resize=Resize(rule="short_side", size=(size * 8 // 7, size * 8 // 7)),
        mean=(0.45,) * count, std=(0.25,) * count,
    )  # fmt: skip
    return net, contract


SLOW = pytest.mark.slow
CASES = [("lenet", 28, "grey"), ("resnet20", 32, "rgb"), ("resnet18", 64, "rgb"),
         ("googlenet", 80, "bgr")]  # fmt: skip


def proved(folder: Path, place: Path, case: tuple[str, int, str], to: str, count: int) -> Proof:
    net, contract = trained(*case)
    if to == "torch":
        to_torch(net, contract, place / "m.pt2")
        answer = torch_session(place / "m.pt2")
    else:
        (place / "m.onnx").write_bytes(to_onnx(net, contract))
        answer = onnx_session(place / "m.onnx")
    return prove(net, contract, answer, pick(data.open(str(folder)), contract, count))


@pytest.mark.parametrize("case", CASES[:1], ids=lambda case: case[0])
def test_files_of_every_kind(files: Path, tmp_path: Path, case: tuple[str, int, str]) -> None:
    found = proved(files, tmp_path, case, "onnx", 48)
    assert (found.n, found.agreement, found.verdict) == (48, 1.0, "pass")
    assert found.differing == () and found.largest < 1e-3


@SLOW
@pytest.mark.parametrize("to", ["onnx", "torch"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_500_files(all_files: Path, tmp_path: Path, case: tuple[str, int, str], to: str) -> None:
    found = proved(all_files, tmp_path, case, to, 500)
    assert (found.n, found.agreement, found.verdict) == (500, 1.0, "pass")
    assert found.differing == () and found.largest < 1e-3


@pytest.mark.parametrize("fault", ["bgr", "filter", "squeezed", "crop", "normalisation", "alias"])
def test_every_planted_fault_is_caught(files: Path, tmp_path: Path, fault: str) -> None:
    net, contract = trained("resnet20", 32, "rgb")
    resize = contract.resize
    wrong = {
        "bgr": contract.replace(channels="bgr"),
        "filter": contract.replace(resize=resize.replace(filter="bicubic")),
        "squeezed": contract.replace(resize=resize.replace(rule="exact")),
        "crop": contract.replace(resize=resize.replace(size=(40, 40))),
        "normalisation": contract.replace(mean=(0.0,) * 3, std=(1.0,) * 3),
        "alias": contract.replace(resize=resize.replace(antialias=False)),
    }[fault]
    (tmp_path / "m.onnx").write_bytes(to_onnx(net, wrong))
    chosen = pick(data.open(str(files)), contract, 24)
    found = prove(net, contract, onnx_session(tmp_path / "m.onnx"), chosen)
    assert found.verdict == "fail"
    assert found.differing
    assert found.differing[0].file in chosen.names
    assert found.largest > 1e-3


def test_a_torch_program_takes_any_size_and_batch(files: Path, tmp_path: Path) -> None:
    """Saved, loaded in a process without this package, and fed sizes it was not made with."""
    net, contract = trained("lenet", 28, "grey")
    to_torch(net, contract, tmp_path / "m.pt2")
    chosen = pick(data.open(str(files)), contract, 24)
    assert prove(net, contract, torch_session(tmp_path / "m.pt2"), chosen).largest < 1e-5
    module = torch.export.load(tmp_path / "m.pt2").module()
    pixels = torch.randint(0, 256, (5, 61, 33, 3), dtype=torch.uint8)
    together, labels = module(pixels)
    assert together.shape == (5, 4)
    assert torch.equal(labels, together.argmax(1))
    for at in range(5):
        torch.testing.assert_close(module(pixels[at : at + 1])[0][0], together[at])
    torch.save((pixels, together), tmp_path / "known.pt")
    stranger = (
        "import sys, torch; sys.modules['striate'] = None;"
        "pixels, known = torch.load('known.pt');"
        "found = torch.export.load('m.pt2').module()(pixels)[0];"
        "torch.testing.assert_close(found, known)"
    )
    subprocess.run([sys.executable, "-I", "-c", stranger], cwd=tmp_path, check=True)


@pytest.mark.parametrize("to", ["safetensors", "int8"])
def test_other_forms_are_proved_too(published_weights: Path, tmp_path: Path, to: str) -> None:
    folder = tmp_path / "images"
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for at in range(5):
                noise = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / part / label / f"{at}.png")
    if to == "safetensors":
        made = export("resnet20_cifar10", to="safetensors", out=tmp_path / "b", on=str(folder))
        assert made.proof is not None
        assert (made.proof.verdict, made.proof.largest, made.int8) == ("pass", 0.0, None)
        return
    made = export("resnet20_cifar10", int8=True, out=tmp_path / "b", on=str(folder))
    assert made.proof is not None
    assert made.proof.verdict == "pass"
    assert made.int8 is not None
    assert (made.int8.n, made.int8.accuracy) == (10, made.proof.accuracy)
    assert 1e-3 < made.int8.largest < 0.9
    small, whole = (tmp_path / "b" / f"model{word}.onnx" for word in ("_int8", ""))
    assert small.stat().st_size < 0.4 * whole.stat().st_size
    with pytest.raises(UsageError, match="8 bits are calibrated on training images: expected"):
        export("resnet20_cifar10", int8=True, out=tmp_path / "c", on=str(folder / "test"))
    with pytest.raises(UsageError, match="8 bits are written to ONNX models only"):
        export("resnet20_cifar10", int8=True, to="torch", out=tmp_path / "c", on=str(folder))


def test_a_bundle_is_what_the_weights_were(published_weights: Path, tmp_path: Path) -> None:
    """Evaluate and predict answer from a bundle as from the weights; an altered one is refused."""
    folder = tmp_path / "images"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for at in range(6):
            noise = np.random.default_rng(at).integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / label / f"{at}.png")
    made = export("resnet20_cifar10", out=tmp_path / "bundle", on=str(folder))
    assert made.proof is not None
    assert made.proof.verdict == "pass"
    assert made.proof.accuracy == made.proof.exported_accuracy
    first = inference.predict("resnet20_cifar10", [folder], device="cpu")
    second = inference.predict(made.bundle, [folder], device="cpu")
    assert [each.id for each in first] == [each.id for each in second]
    assert first[0].probability == pytest.approx(second[0].probability, abs=1e-6)
    assert inference.evaluate(made.bundle, str(folder), device="cpu").test.n == 12
    assert runs.open_bundle(made.bundle).contract() == weights.open("resnet20_cifar10").contract()
    with pytest.raises(RunError, match="is already there"):
        export("resnet20_cifar10", out=tmp_path / "bundle", on=str(folder))
    document = Path(made.bundle, "contract.json")
    document.write_text(document.read_text().replace("0.485", "0.486"))
    with pytest.raises(RunError, match=r"contract\.json is not what was exported"):
        inference.open_model(made.bundle)


def test_the_command_fails_where_the_export_differs(
    published_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "images" / "cat"
    folder.mkdir(parents=True)
    for at in range(4):
        noise = np.random.default_rng(at).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{at}.png")
    (tmp_path / "images" / "dog").mkdir()
    Image.new("RGB", (40, 40), (9, 200, 30)).save(tmp_path / "images" / "dog" / "0.png")
    command = ["export", "resnet20_cifar10", "--on", str(tmp_path / "images"), "--json", "--out"]
    with pytest.raises(SystemExit) as ended:
        main([*command, str(tmp_path / "right")])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["proof"]["agreement"] == 1.0
    from striate.export import bundle

    monkeypatch.setattr(
        bundle, "to_onnx", lambda net, contract: to_onnx(net, contract.replace(channels="bgr"))
    )
    with pytest.raises(SystemExit) as ended:
        main([*command, str(tmp_path / "wrong")])
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["proof"]["verdict"] == "fail"
