"""IDX files, the form MNIST came in: pairs of images and labels, gzipped or not."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.data.arrays import Part, Source, collect
from striate.data.decode import read_bytes
from striate.errors import DataError

_IMAGES = re.compile(r"^(.*)images([-.]idx3)([-.]ubyte)(\.gz)?$")
_MAGIC = {2049: 1, 2051: 3}  # unsigned bytes, in one dimension (labels) or three (images)


def is_idx(path: Path) -> bool:
    """Tell whether a path is an IDX file of images, or a folder that holds one."""
    return bool(_image_files(path))


def read_idx(path: Path) -> Source:
    """Read a folder of IDX files, or one file of images with the labels beside it.

    `train` in a file's name makes it the train part, `t10k` or `test` the test part; one file alone
    has no split.

    Raises:
        DataError: labels are missing, or a file has the wrong magic number or length.
    """
    files = _image_files(path)
    parts: dict[str, Part] = {}
    for file in files:
        name = _part(file) if path.is_dir() else "all"
        if name in parts:
            raise DataError(
                f"{path} has more than one file of images for the {name} part, {file.name} "
                "among them: keep one there."
            )
        labels = _labels_of(file)
        parts[name] = Part(
            read_idx_array(file, 3)[..., None], read_idx_array(labels, 1), str(file), str(labels)
        )
    return collect(parts)


def read_idx_array(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes.

    Args:
        path: gzipped or not; its content tells.
        dimensions: 1 for labels, 3 for images.

    Raises:
        DataError: another magic number, or more or fewer bytes than the header says.
    """
    content = _content(path)
    expected = next(magic for magic, count in _MAGIC.items() if count == dimensions)
    magic = int.from_bytes(content[:4], "big")
    if len(content) < 4 or magic != expected:
        raise DataError(
            f"{path} is not IDX of {'images' if dimensions == 3 else 'labels'}: expected the magic "
            f"number {expected}, received {magic}."
        )
    header = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(content[4:header].ljust(header - 4, b"\0"), ">u4"))
    length = header + int(np.prod(shape, dtype=object))
    if len(content) != length:
        raise DataError(
            f"{path} has the wrong length: its header says {'x'.join(map(str, shape))}, "
            f"which is {length:,} bytes in all; received {len(content):,}."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    content = read_bytes(path)
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is cut short or damaged ({str(error).rstrip('.')}): copy it anew."
        ) from error


def _image_files(path: Path) -> list[Path]:
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    found = {file.name.removesuffix(".gz"): file for file in candidates if _IMAGES.match(file.name)}
    return list(found.values())


def _labels_of(images: Path) -> Path:
    name = _IMAGES.sub(
        lambda match: f"{match[1]}labels{match[2].replace('3', '1')}{match[3]}", images.name
    )
    for candidate in (images.with_name(name), images.with_name(name + ".gz")):
        if candidate.exists():
            return candidate
    raise DataError(f"The labels of {images} are missing: expected {name} beside it.")


def _part(file: Path) -> str:
    name = file.name.lower()
    if "t10k" in name or "test" in name:
        return "test"
    if "val" in name:
        return "validation"
    return "train" if "train" in name else "all"
