"""Kernels compute what their Python says: the same numbers, compiled and interpreted.

numba's rules for types differ from numpy's (what is wide, what wraps round), so a kernel may be
right in one and wrong in the other; and a line of a kernel that no image reaches shows only in the
coverage of the interpreted run. It is a process of its own, since numba reads the switch once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.test_augmenter import contract, run, smooth
from tests.data.test_jpeg import jpeg, part, picture
from tests.data.test_tones import toned

from striate.contract import Resize
from striate.data import tone_kernels as kernels
from striate.data.augmentation import (
    Affine,
    Augmentation,
    ColourJitter,
    Cutout,
    Erase,
    Flip,
    PadAndCrop,
    RandomResizedCrop,
)
from striate.data.batch import gather
from striate.data.bending import LensDistortion, Perspective, Stretch
from striate.data.tones import Noise
from striate.ops import reference
from striate.ops.problem import problem

ROOT = Path(__file__).parents[2]
ROWS = np.arange(3)
CHANGES: dict[str, tuple[Augmentation, ...]] = {
    "shift": (PadAndCrop(pad=3), Flip()),
    "mirrored border": (PadAndCrop(pad=3, fill="reflect"),),
    "scale": (RandomResizedCrop(),),
    "turn": (Affine(rotate_degrees=25, shear=0.3), Cutout(size=4)),
    "turn at the edge": (Affine(rotate_degrees=25, fill="edge"), Erase(p=1.0)),
    "bend": (Perspective(distortion=0.4, p=1.0), LensDistortion(), Stretch()),
    "colour": (ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),),
    "colour and noise": (ColourJitter(contrast=0.4), Noise(std=3.0)),
}
TONES = {
    "sharpness": (kernels.SHARPNESS, 1.6),
    "posterize": (kernels.POSTERIZE, 3.0),
    "solarize": (kernels.SOLARIZE, 128.0),
    "autocontrast": (kernels.AUTOCONTRAST, 0.0),
    "equalize": (kernels.EQUALIZE, 0.0),
    "contrast": (kernels.CONTRAST, 0.4),
    "saturation": (kernels.SATURATION, 0.4),
    "brightness": (kernels.BRIGHTNESS, 1.3),
    "nothing": (kernels.NOTHING, 0.0),
}


def jpegs() -> dict[str, Any]:
    """Return parts of JPEGs of all kinds that are decoded here."""
    found = {}
    chance = np.random.default_rng(7)
    pixels = picture(chance, 21, 36, 60.0)
    for name, options in {
        "whole chroma": {"subsampling": 0, "quality": 100},
        "half": {"subsampling": 1, "quality": 40},
        "quarter": {"subsampling": 2, "quality": 90},
        "restarts": {"subsampling": 2, "quality": 60, "restart_marker_blocks": 2},
    }.items():
        content = jpeg(pixels, **options)
        found[f"jpeg, {name}"] = part(content, (0, 0, 21, 36))
        found[f"jpeg, {name}, part"] = part(content, (9, 5, 17, 31))
    found["jpeg, grey"] = part(jpeg(pixels[..., 0], quality=75), (3, 2, 20, 30))
    return found


def computed() -> dict[str, Any]:
    """Return what all kernels make of small images."""
    found: dict[str, Any] = jpegs()
    image = smooth(20, 24)
    for name, changes in CHANGES.items():
        size = contract((14, 12), resize=Resize(rule="exact", size=(14, 12)), plain=True)
        found[name] = run(changes, image, size, ROWS)
    grey = contract((14, 12), "grey", resize=Resize(rule="exact", size=(14, 12)), plain=True)
    found["turn, grey"] = run((Affine(rotate_degrees=25),), smooth(20, 24, 1), grey, ROWS)
    found |= {name: toned(image, kind, amount) for name, (kind, amount) in TONES.items()}
    out = np.empty((2, 3, 20, 24), np.float32)
    slope, offset = np.array([0.1, 0.2, 0.3], np.float32), np.array([1, 2, 3], np.float32)
    gather(image[None], np.array([0, 0]), slope, offset, out)
    found["gather"] = out
    x, weight = torch.randn(1, 4, 6, 5), torch.randn(6, 2, 3, 3)
    task = problem(x, weight, None, (2, 1), (1, 1, 0, 1), (1, 1), 2)
    y = reference.forward(x, weight, task)
    found["convolution"] = y.numpy()
    found["by the image"] = reference.by_input(y, weight, task).numpy()
    found["by the filters"] = reference.by_weight(x, y, task).numpy()
    return found


def write(path: str) -> None:
    """Compute, and write it down: what the other process does."""
    torch.manual_seed(0)
    np.savez(path, **computed())


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("interpreted") / "found.npz"
    program = f"from tests.data.test_interpreted import write; write({str(path)!r})"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        check=True,
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )
    return np.load(path)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    torch.manual_seed(0)
    return computed()


@pytest.mark.parametrize("name", [*CHANGES, *TONES, "turn, grey", "gather"])
def test_images_are_the_same(name: str, compiled: Any, interpreted: Any) -> None:
    assert np.abs(compiled[name]).max() > 1
    np.testing.assert_allclose(compiled[name], interpreted[name], rtol=1e-4, atol=1e-2)


def test_jpegs_are_the_same_to_the_bit(compiled: Any, interpreted: Any) -> None:
    names = [name for name in compiled if name.startswith("jpeg")]
    assert len(names) == 9
    for name in names:
        assert np.array_equal(compiled[name], interpreted[name]), name


@pytest.mark.parametrize("name", ["convolution", "by the image", "by the filters"])
def test_the_oracle_is_seven_loops(name: str, compiled: Any, interpreted: Any) -> None:
    np.testing.assert_allclose(compiled[name], interpreted[name], rtol=1e-6)
