"""Photographs in class folders, and SqueezeNet as a caffemodel."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.weights import deep_compression


@pytest.fixture(scope="session")
def photographs(imagenet_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 250 photographs of ImageNet's classes, in folders named by wnid."""
    folder = tmp_path_factory.mktemp("photographs")
    with tarfile.open(imagenet_samples / "samples_250_short256.tar") as tar:
        for member in tar:
            if member.isfile():
                name = Path(member.name).name
                place = folder / name.split("_")[1]
                place.mkdir()
                (place / name).write_bytes(tar.extractfile(member).read())
    return folder


@pytest.fixture(scope="session")
def squeezenet(published_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SqueezeNet v1.0 as a caffemodel beside its prototxt."""
    folder = published_weights / "squeezenet_v10_deepcompression"
    return deep_compression.write(folder, tmp_path_factory.mktemp("squeezenet"))
