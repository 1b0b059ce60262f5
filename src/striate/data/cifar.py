"""CIFAR-10 and CIFAR-100, in their binary form and as pickles.

A pickle can run any code when it is read. The reader here admits what numpy arrays are made of and
nothing else, so that a file that asks for more is refused before anything happens.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from striate import wording
from striate.data.arrays import Part, Source, collect
from striate.data.decode import read_bytes
from striate.errors import DataError

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


class _Form(NamedTuple):
    """Where CIFAR-10 or CIFAR-100 keeps what.

    Args:
        train: files of the train part.
        test: file of the test part.
        classes: how many there are.
        names: file of their names.
        names_key: their key in it, in a pickle.
        label_bytes: bytes of labels before each image in the binary form, the last one counts;
            0 for a pickle.
        key: of the labels in a pickle.
    """

    train: tuple[str, ...]
    test: str
    classes: int
    names: str
    names_key: str = ""
    label_bytes: int = 0
    key: str = ""


_TEN = tuple(f"data_batch_{number}" for number in range(1, 6))
_FORMS = (
    _Form(
        tuple(f"{name}.bin" for name in _TEN),
        "test_batch.bin",
        10,
        "batches.meta.txt",
        label_bytes=1,
    ),
    _Form(("train.bin",), "test.bin", 100, "fine_label_names.txt", label_bytes=2),
    _Form(_TEN, "test_batch", 10, "batches.meta", "label_names", key="labels"),
    _Form(("train",), "test", 100, "meta", "fine_label_names", key="fine_labels"),
)


# What the archives unpack to.
_UNPACKED = (
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    "cifar-100-binary",
    "cifar-100-python",
)


def is_cifar(path: Path) -> bool:
    """Tell whether a folder holds CIFAR in one of its forms."""
    return _form(path) is not None


def cifar_below(path: Path) -> Path | None:
    """Return the folder of CIFAR that an archive was unpacked to in another folder, if any.

    Raises:
        DataError: there are several; names them.
    """
    if not path.is_dir():
        return None
    found = [name for name in _UNPACKED if is_cifar(path / name)]
    if len(found) > 1:
        raise DataError(
            f"{path} holds more than one CIFAR: {', '.join(found)}; open one of them, for example "
            f"{path / found[0]}."
        )
    return path / found[0] if found else None


def read_cifar(path: Path) -> Source:
    """Read a folder of CIFAR-10 or CIFAR-100.

    Raises:
        DataError: a file of the wrong length or with an unknown label, or a pickle of anything but
            arrays.
    """
    form = _form(path)
    if form is None:
        raise DataError(
            f"{path} is not CIFAR in any of its forms: expected data_batch_1.bin or data_batch_1 "
            "and their like, or train.bin or train for CIFAR-100."
        )
    read = _read_binary if form.label_bytes else _read_pickle
    parts = {}
    for part, names in (("train", form.train), ("test", (form.test,))):
        files = [path / name for name in names if (path / name).is_file()]
        if files:
            images, labels = zip(*(read(file, form) for file in files), strict=True)
            where = ", ".join(str(file) for file in files)
            parts[part] = Part(np.concatenate(images), np.concatenate(labels), where, where)
    source = collect(parts, _names(path, form))
    lacking = [name for name in form.train if "train" in parts and not (path / name).is_file()]
    notes = (f"{path} lacks {', '.join(lacking)}.",) if lacking else ()
    return source._replace(notes=source.notes + notes)


def _form(path: Path) -> _Form | None:
    if not path.is_dir():
        return None
    files = {file.name for file in path.iterdir() if file.is_file()}
    for form in _FORMS:
        if files & {*form.train, form.test}:
            return form
    return None


def _names(path: Path, form: _Form) -> list[str]:
    file = path / form.names
    if not file.is_file():
        return [str(number) for number in range(form.classes)]
    if form.label_bytes:
        names = read_bytes(file).decode(errors="replace").split()
    else:
        found = _unpickle(file)
        names = [_text(name) for name in _entry(found, form.names_key, file)]
    if len(set(names)) != form.classes:
        named = wording.count(len(set(names)), "class")
        raise DataError(f"{file} names {named}; expected {form.classes}.")
    return names


# -- binary ----------------------------------------------------------------------------------------


def _read_binary(file: Path, form: _Form) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    content = np.frombuffer(read_bytes(file), np.uint8)
    record = form.label_bytes + _PIXELS
    if not len(content) or len(content) % record:
        raise DataError(
            f"{file} has the wrong length: expected a multiple of {record:,} bytes, "
            f"received {len(content):,}."
        )
    rows = content.reshape(-1, record)
    labels = rows[:, form.label_bytes - 1].astype(np.int64)
    _check_labels(labels, form, file)
    return _planes_last(rows[:, form.label_bytes :]), labels


def _planes_last(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn rows of three planes, (n, 3072), into images (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def _check_labels(labels: npt.NDArray[np.int64], form: _Form, file: Path) -> None:
    wrong = labels[(labels < 0) | (labels >= form.classes)]
    if len(wrong):
        raise DataError(f"{file} has a label {wrong[0]}; expected 0 to {form.classes - 1}.")


# -- pickle ----------------------------------------------------------------------------------------


class _Number:
    """Stands for a numpy dtype while a pickle is read; only numbers are let in."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(_text(name))
        if self.dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"it has an array of {self.dtype}")

    def __setstate__(self, state: Any) -> None:
        order: Any = _text(state[1])  # of version, byte order and what void types have
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for a numpy array while a pickle is read; made of numbers and bytes."""

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array: npt.NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, number, by_column, content = state
        if not isinstance(number, _Number) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("it has an array of something else")
        flat = np.frombuffer(content, number.dtype)
        self.array = flat.reshape(shape, order="F" if by_column else "C")


class _Admitted:
    """Something that a pickle may call, but not change."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> object:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes numpy")


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries, lists, text, numbers and numpy arrays; refuses every other name.

    Not even numpy's own constructors are handed out: `numpy.ndarray` makes an array of objects out
    of any bytes, and the state of a dtype may claim that its bytes are objects.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "_reconstruct":
                return _Admitted(_Array)
        elif module == "numpy" and name == "ndarray":
            return None  # an argument of the former
        elif module == "numpy" and name == "dtype":
            return _Admitted(_Number)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpickle(file: Path) -> dict[str, Any]:
    try:
        found = _ArraysOnly(io.BytesIO(read_bytes(file)), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{file} is refused: a CIFAR pickle holds arrays, but {error}.") from error
    except DataError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{file} is cut short or damaged: {str(error).rstrip('.')}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} holds a {type(found).__name__}; expected CIFAR's dictionary.")
    return {
        _text(key): value.array if isinstance(value, _Array) else value
        for key, value in found.items()
    }


def _read_pickle(file: Path, form: _Form) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    found = _unpickle(file)
    rows, labels = _entry(found, "data", file), _entry(found, form.key, file)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (_PIXELS,):
        shape = getattr(rows, "shape", type(rows).__name__)
        raise DataError(f"{file}: expected data of n x {_PIXELS} bytes, received {shape}.")
    if not all(isinstance(label, int | np.integer) for label in labels):
        raise DataError(f"{file}: expected integers as labels.")
    if len(labels) != len(rows):
        raise DataError(
            f"{file} has {wording.count(len(rows), 'image')}, but "
            f"{wording.count(len(labels), 'label')}."
        )
    numbers = np.asarray(labels, np.int64)
    _check_labels(numbers, form, file)
    return _planes_last(rows), numbers


def _entry(found: dict[str, Any], key: str, file: Path) -> Any:
    if key not in found:
        raise DataError(f"{file} has no {key!r}; it has {', '.join(map(repr, found))}.")
    return found[key]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
