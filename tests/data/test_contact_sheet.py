from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from striate import data
from striate.contract import Contract
from striate.data.contact_sheet import visible


def test_a_sheet_shows_what_training_sees(tmp_path: Path) -> None:
    digits = data.open("digits")
    samples = digits.parts["all"]
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.4,)
    )
    changes = (data.PadAndCrop(pad=2), data.Erase(p=1.0))
    loader = data.Loader(samples, contract, batch=64, seed=5, augmentation=changes, shuffle=True)
    batch = next(loader.epoch(2))
    seen = loader.images(batch.indices[:7].tolist(), 2)
    assert (seen == batch.images[:7].numpy()).all()
    sheet = data.contact_sheet(samples, contract, changes, seed=5, images=3, epochs=4)
    sheet.save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width > 5 * 100
    assert sheet.svg().count("<image") == 15


def test_a_change_without_numbers_is_not_titled_as_one() -> None:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.4,)
    )
    for idle, at_work in (
        (data.Affine(), data.Affine(shear=0.1)),
        (data.ColourJitter(), data.ColourJitter(hue=0.1)),
    ):
        name = type(idle).__name__
        for change, title in ((idle, f"{name} (nothing: give it numbers)"), (at_work, name)):
            sheet = data.contact_sheet(digits.parts["all"], contract, (change,), images=1, epochs=1)
            assert f">What is changed: {title}<" in sheet.svg()


def test_a_sheet_says_how_much_is_changed() -> None:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.3,), std=(0.4,)
    )
    wild = data.Affine(rotate_degrees=180, translate=0.5, scale=(0.4, 2.0), shear=0.6)
    for changes, said in (
        ((wild,), ["Affine: rotate_degrees 180, translate 0.5, scale 0.4 to 2, shear 0.6"]),
        ((data.Affine(shear=0.1), data.Flip()), ["Affine: shear 0.1; Flip: p 0.5"]),
        ((data.Affine(),), []),
    ):
        drawn = data.contact_sheet(digits.parts["all"], contract, changes, images=1).svg()
        assert [line for line in re.findall(r">([^<>]+)</text>", drawn) if ": " in line][1:] == said
    narrow = data.contact_sheet(digits.parts["all"], contract, (wild,), images=1, epochs=1).svg()
    lines = re.findall(r">([^<>]+)</text>", narrow)[1:-3]  # between title and captions
    assert len(lines) > 1 and " ".join(lines).endswith("scale 0.4 to 2, shear 0.6")


def test_pixels_come_back_from_a_networks_input() -> None:
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (5, 6, 3), np.uint8)
    classes = data.open("digits").classes
    for channels in ("rgb", "bgr"):
        contract = Contract(
            classes=classes,
            channels=channels,  # type: ignore[arg-type]
            size=(5, 6),
            mean=(0.4, 0.5, 0.6),
            std=(0.2, 0.3, 0.4),
        )
        stored = pixels if channels == "rgb" else pixels[..., ::-1]
        image = data.prepare(np.ascontiguousarray(stored), contract)
        assert (visible(image, contract) == pixels).all()
