"""CIFAR in its binary form and as pickles; a pickle that would run code is refused."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import data
from striate.errors import DataError

NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def images(seed: int, count: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def rows(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), 3072)


def write_binary(folder: Path) -> Path:
    for number, name in ((1, "data_batch_1"), (2, "data_batch_2"), (3, "test_batch")):
        labels = np.arange(4, dtype=np.uint8)[:, None] + number
        content = np.concatenate([labels, rows(images(number))], axis=1)
        (folder / f"{name}.bin").write_bytes(content.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def write_pickles(folder: Path) -> Path:
    for number, name in ((1, "data_batch_1"), (2, "data_batch_2"), (3, "test_batch")):
        batch = {b"data": rows(images(number)), b"labels": [number + each for each in range(4)]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(
        pickle.dumps({b"label_names": [name.encode() for name in NAMES]})
    )
    return folder


@pytest.mark.parametrize("write", [write_binary, write_pickles])
def test_both_forms_give_the_same(tmp_path: Path, write: Any) -> None:
    dataset = data.open(write(tmp_path))
    assert [one.id for one in dataset.classes] == NAMES
    train, test = dataset.parts["train"], dataset.parts["test"]
    assert isinstance(train, data.ArraySamples) and isinstance(test, data.ArraySamples)
    assert (train.images == np.concatenate([images(1), images(2)])).all()
    assert train.labels.tolist() == [1, 2, 3, 4, 2, 3, 4, 5]
    assert (test.images == images(3)).all()


@pytest.mark.parametrize(
    ("name", "write"),
    [("cifar-10-batches-bin", write_binary), ("cifar-10-batches-py", write_pickles)],
)
def test_the_folder_an_archive_was_unpacked_in(tmp_path: Path, name: str, write: Any) -> None:
    root = tmp_path / "photos.v1"
    (root / name).mkdir(parents=True)
    inner = data.open(write(root / name))
    (root / "cifar.tar.gz").write_bytes(b"")
    outer = data.open(root)
    assert (outer.name, outer.spec, outer.classes) == ("photos.v1", str(root), inner.classes)
    assert outer.parts["train"].labels.tolist() == inner.parts["train"].labels.tolist()


def test_several_archives_unpacked_in_one_folder(tmp_path: Path) -> None:
    for name, write in (("cifar-10-batches-py", write_pickles), ("cifar-100-binary", write_binary)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    with pytest.raises(DataError) as caught:
        data.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds more than one CIFAR: cifar-10-batches-py, cifar-100-binary; open one of "
        f"them, for example {tmp_path / 'cifar-10-batches-py'}."
    )


def test_missing_batches_are_said(tmp_path: Path) -> None:
    note = f"{tmp_path} lacks data_batch_3.bin, data_batch_4.bin, data_batch_5.bin."
    assert note in data.open(write_binary(tmp_path)).notes


def test_a_pickle_with_another_number_of_labels(tmp_path: Path) -> None:
    """One too few here and one too many there would shift all labels between them."""
    write_pickles(tmp_path)
    for name, labels in (("data_batch_1", [1, 2, 3]), ("data_batch_2", [4, 5, 6, 7, 8])):
        batch = {b"data": rows(images(0)), b"labels": labels}
        (tmp_path / name).write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError) as caught:
        data.open(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'data_batch_1'} has 4 images, but 3 labels."


def test_a_pickle_with_a_negative_label(tmp_path: Path) -> None:
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(pickle.dumps({b"data": rows(images(0)), b"labels": [1, -1, 2, 3]}))
    with pytest.raises(DataError, match=f"^{path} has a label -1; expected 0 to 9\\.$"):
        data.open(tmp_path)


def test_cifar_100(tmp_path: Path) -> None:
    labels = np.array([[3, 77], [4, 99]], np.uint8)
    for name in ("train.bin", "test.bin"):
        content = np.concatenate([labels, rows(images(0, 2))], axis=1)
        (tmp_path / name).write_bytes(content.tobytes())
    dataset = data.open(tmp_path)
    assert len(dataset.classes) == 100
    assert dataset.parts["train"].labels.tolist() == [77, 99]


def test_a_binary_of_the_wrong_length(tmp_path: Path) -> None:
    path = write_binary(tmp_path) / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        data.open(tmp_path)
    assert str(caught.value) == (
        f"{path} has the wrong length: expected a multiple of 3,073 bytes, received 12,291."
    )


def test_a_binary_with_an_unknown_label(tmp_path: Path) -> None:
    path = write_binary(tmp_path) / "test_batch.bin"
    path.write_bytes(b"\x0b" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=f"^{path} has a label 11; expected 0 to 9\\.$"):
        data.open(tmp_path)


class Trap:
    """What an attacker would put into a pickle."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = write_pickles(tmp_path) / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Trap(mark), b"labels": []}))
    with pytest.raises(DataError) as caught:
        data.open(tmp_path)
    assert str(caught.value) == (
        f"{path} is refused: a CIFAR pickle holds arrays, but it asks for posix.system."
    )
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "numpy.load", "numpy.core.multiarray.fromfile", "numpy.ndarray.tofile"],
)
def test_nothing_but_arrays_is_admitted(tmp_path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(DataError, match="is refused: a CIFAR pickle holds arrays, but it asks for"):
        data.open(tmp_path)


POINTERS = b"C\x08" + b"\x00" * 8


@pytest.mark.parametrize(
    "body",
    [
        b"cnumpy\nndarray\n((K\x01tU\x01O" + POINTERS + b"tR.",
        b"cnumpy\ndtype\n(U\x01OtR.",
        b"cnumpy\ndtype\n(K\x03U\x01|NNNK\x08K\x08K\x3ftb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(NNNtR(K\x01(K\x01tU\x02u1\x89" + POINTERS + b"tb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(NNNtR(K\x01(K\x01tcnumpy\ndtype\n"
        b"(U\x02u8tR\x89]Natb.",
    ],
    ids=["ndarray", "object", "change", "dtype", "content"],
)
def test_bytes_never_become_objects(tmp_path: Path, body: bytes) -> None:
    """Each of these, read by numpy's own constructors, is a step to a pointer of one's choice."""
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(b"\x80\x02" + body)
    with pytest.raises(DataError, match=r"is refused|is cut short or damaged"):
        data.open(tmp_path)


def test_a_dtype_cannot_claim_objects(tmp_path: Path) -> None:
    """The flags and the size of a dtype's state are not believed."""
    body = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(NNNtR"
        b"(K\x01(K\x01tcnumpy\ndtype\n(U\x03>u8tR(K\x03U\x01>NNNK\x08K\x08K\x3ftb\x89"
        + POINTERS
        + b"tbU\x06labels]K\x00au."
    )
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(body)
    with pytest.raises(DataError, match=r"expected data of n x 3072 bytes, received \(1,\)"):
        data.open(tmp_path)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(pickle.dumps({b"data": np.array([{}] * 4), b"labels": [0] * 4}))
    with pytest.raises(DataError, match="is refused: .* but it has an array of object"):
        data.open(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is cut short or damaged|is refused"),
        (pickle.dumps([1, 2]), "holds a list; expected CIFAR's dictionary"),
        (pickle.dumps({"labels": [0]}), "has no 'data'; it has 'labels'"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [0, 0]}), "n x 3072 bytes"),
        (pickle.dumps({"data": rows(images(0)), "labels": ["a"] * 4}), "integers as labels"),
        (pickle.dumps({"data": rows(images(0)), "labels": [0, 1]}), "has 4 images|same|shape"),
        (pickle.dumps({"data": rows(images(0)), "labels": [0, 1, 2, 10]}), "has a label 10"),
    ],
)
def test_each_fault_has_its_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = write_pickles(tmp_path) / "test_batch"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        data.open(tmp_path)


def test_a_pickle_of_the_old_numpy_reads_without_a_warning(tmp_path: Path) -> None:
    """Python 2 wrote CIFAR's official pickles: protocol 2, bytes, and dtype(align=0)."""
    array = rows(images(1))
    body = io.BytesIO()
    body.write(b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n")
    body.write(b"(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x04M\x00\x0ct")
    body.write(
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    )
    body.write(b"K\x00tb\x89T" + len(array.tobytes()).to_bytes(4, "little") + array.tobytes())
    body.write(b"tbU\x06labels](K\x01K\x02K\x03K\x04eu.")
    path = write_pickles(tmp_path) / "data_batch_1"
    path.write_bytes(body.getvalue())
    train = data.open(tmp_path).parts["train"]
    assert isinstance(train, data.ArraySamples)
    assert (train.images[:4] == images(1)).all()
