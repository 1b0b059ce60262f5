"""Named sets: the embedded one, those on this machine, and what a download may bring."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import data
from striate.data import named
from striate.errors import DataError


def test_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    samples = data.open("digits").parts["all"]
    assert isinstance(samples, data.ArraySamples)
    assert (np.rint(samples.images[..., 0] / 255 * 16) == theirs.images).all()
    assert (samples.labels == theirs.target).all()


def test_mnist(mnist: Path) -> None:
    dataset = data.open("mnist")
    assert [len(dataset.parts[part]) for part in ("train", "test")] == [60_000, 10_000]
    assert dataset.parts["train"].labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (dataset.name, dataset.spec) == ("mnist", "mnist")


def test_fashion_mnist_has_names_for_readers(fashion_mnist: Path) -> None:
    dataset = data.open("fashion_mnist")
    assert (dataset.classes[9].id, dataset.classes[9].label) == ("9", "Ankle boot")


def test_cifar10(cifar10: Path) -> None:
    dataset = data.open("cifar10")
    assert dataset.classes[3].id == "cat"
    assert len(dataset.parts["test"]) == 10_000


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no STRIATE_DATA."""
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "data"


def serve(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    asked: list[str] = []

    class Answer(io.BytesIO):
        headers = {"Content-Length": "1"}

    def urlopen(url: str, timeout: float) -> Answer:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return asked


def test_offline(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, urllib.error.URLError("Network is unreachable"))
    with pytest.raises(DataError) as caught:
        data.open("mnist")
    assert str(caught.value) == (
        "mnist is not on this machine, and https://ossci-datasets.s3.amazonaws.com/mnist/"
        "train-images-idx3-ubyte.gz cannot be downloaded (Network is unreachable). Put its files "
        f"into {nowhere / 'mnist'} or $STRIATE_DATA/mnist."
    )
    assert not list(nowhere.iterdir())


def test_a_download_that_is_something_else(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, b"please log in")
    with pytest.raises(DataError, match="is not what its authors published: expected the MD5"):
        data.open("fashion_mnist")
    assert not list(nowhere.iterdir())


def test_a_download_is_kept(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("data_batch_1.bin", "../../test_batch.bin"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = 3073 * 2
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    checksum = hashlib.md5(packed.getvalue(), usedforsecurity=False).hexdigest()
    remote = named._REMOTE["cifar10"]._replace(files={"cifar-10-binary.tar.gz": checksum})
    monkeypatch.setitem(named._REMOTE, "cifar10", remote)
    asked = serve(monkeypatch, packed.getvalue())
    for _ in range(2):
        assert {part: len(of) for part, of in data.open("cifar10").parts.items()} == {
            "train": 2,
            "test": 2,
        }
    assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    assert sorted(path.name for path in (nowhere / "cifar10").iterdir()) == [
        "data_batch_1.bin",
        "test_batch.bin",
    ]
