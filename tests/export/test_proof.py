"""The proof on real files, of every kind that cameras and scanners write; and planted faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate import data, inference, runs, weights, zoo
from striate.cli.main import main
from striate.contract import Class, Contract, Resize
from striate.errors import RunError
from striate.export import export, onnx_session, pick, prove, to_onnx
from striate.layers import Net, build

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 files: JPEG with EXIF rotation, PNG with alpha, grey, CMYK, palette, odd sizes."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for number in range(500):
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
CASES = [("lenet", 28, "grey"), ("resnet20", 32, "rgb"),
         pytest.param("resnet18", 64, "rgb", marks=SLOW),
         pytest.param("googlenet", 80, "bgr", marks=SLOW)]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_500_files(files: Path, tmp_path: Path, name: str, size: int, channels: str) -> None:
    net, contract = trained(name, size, channels)
    (tmp_path / "m.onnx").write_bytes(to_onnx(net, contract))
    chosen = pick(data.open(str(files)), contract, 500)
    found = prove(net, contract, onnx_session(tmp_path / "m.onnx"), chosen)
    assert (found.n, found.agreement, found.verdict) == (500, 1.0, "pass")
    assert found.largest < 1e-3
    assert found.differing == ()


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
    chosen = pick(data.open(str(files)), contract, 80)
    found = prove(net, contract, onnx_session(tmp_path / "m.onnx"), chosen)
    assert found.verdict == "fail"
    assert found.differing
    assert found.differing[0].file in chosen.names
    assert found.largest > 1e-3


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
