"""The whole path: from a folder of images to a server, one answer at every station."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import start as start  # a server, ended with the test

from striate import data, export, runs

COLOURS = {"moss": (70, 110, 40), "rust": (170, 80, 40), "slate": (90, 100, 120)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs, nearly: noise around three colours, JPEGs of several sizes."""
    dice = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for number in range(20):
            high, wide = dice.integers(30, 60, 2)
            noise = dice.normal(0, 45, (high, wide, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            path = tmp_path / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def test_every_station_says_the_same(
    photos: Path, tmp_path: Path, run: Callable[..., Any], start: Callable[..., Any]
) -> None:
    pytest.importorskip("onnxruntime")

    def striate(*arguments: object) -> Any:
        ended = run(*arguments, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    folder, image = tmp_path / "run", tmp_path / "one" / "rust" / "photo.jpg"
    image.parent.mkdir(parents=True)
    shutil.copy(photos / "rust" / "3.jpg", image)
    trained = striate(
        "train", photos, "--net", "lenet", "--epochs", 2, "--set", "workers=0",
        "--set", "preprocessing.whitening=mean_image", "--out", folder,
    )  # fmt: skip
    assert trained["run"] == str(folder)

    (predicted,) = striate("predict", folder, image)
    label, probability = predicted["id"], predicted["probability"]
    right = next(each["probability"] for each in predicted["top"] if each["id"] == "rust")
    assert 1e-3 < probability < 1 - 1e-6

    evaluated = striate("evaluate", folder, image.parents[1])["test"]
    assert evaluated["accuracy"] == float(label == "rust")
    assert math.exp(-evaluated["loss"]) == pytest.approx(right, abs=1e-4)

    parts = ("--part", "maps", "--method", "saliency")
    explained = striate("explain", folder, image, *parts, "--out", tmp_path / "inside")
    measures = next(
        picture["measures"]
        for section in explained["sections"]
        for picture in section["pictures"]
        if picture["title"] == "image"
    )
    assert max(measures, key=measures.__getitem__) == label
    assert measures[label] == pytest.approx(probability, abs=1e-4)

    bundle = tmp_path / "bundle"
    exported = striate("export", folder, "--on", photos, "--out", bundle)
    assert exported["proof"]["agreement"] == 1 and exported["proof"]["largest"] < 1e-3
    contract = runs.open_bundle(bundle).contract()
    red_first = contract.replace(channels="rgb", mean=(0.0,) * 3, std=(1.0,) * 3)
    likely = export.onnx_session(bundle / "model.onnx")(data.decode(image, red_first))
    assert contract.classes[int(likely.argmax())].id == label
    assert float(likely.max()) == pytest.approx(probability, abs=1e-4)

    address = f"http://127.0.0.1:{start(bundle).port}/predict"
    for form in (("--data-binary", f"@{image}"), ("-F", f"image=@{image}")):
        said = subprocess.check_output(["curl", "-s", *form, address])
        (served,) = json.loads(said)["predictions"]
        assert served["id"] == label
        assert served["probability"] == pytest.approx(probability, abs=1e-4)
