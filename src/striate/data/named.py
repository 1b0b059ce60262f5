"""Data sets known by name: looked for on this machine, then downloaded once.

`digits` is inside the package. The others are looked for under `$STRIATE_DATA/NAME`, then in the
user's cache; what is downloaded is checked against the checksum its authors publish. Addresses,
checksums and labels are data, in named.json.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np

from striate import progress
from striate.contract import Class
from striate.data.arrays import Part, Source, collect
from striate.data.cifar import is_cifar, read_cifar
from striate.data.idx import is_idx, read_idx
from striate.errors import DataError
from striate.files import atomic_folder, cache_folder

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte


class _Remote(NamedTuple):
    """A set's official files, by name with their MD5 as published, and its classes' labels."""

    url: str
    files: dict[str, str]
    labels: Sequence[str] = ()


_KNOWN = msgspec.json.decode(resources.files("striate.data").joinpath("named.json").read_bytes())
_REMOTE = {name: _Remote(**facts) for name, facts in _KNOWN.items() if facts}
NAMES = tuple(_KNOWN)


def read_named(name: str) -> Source:
    """Read a named set, downloading it where it is nowhere on this machine.

    Raises:
        DataError: it cannot be downloaded, or what came is not what its authors published.
    """
    if name == "digits":
        return _digits()
    folder = _find(name) or _download(name)
    source = read_idx(folder) if is_idx(folder) else read_cifar(folder)
    labels = _REMOTE[name].labels
    if len(labels) != len(source.classes):
        return source
    named = zip(source.classes, labels, strict=True)
    return source._replace(classes=tuple(Class(id=one.id, label=label) for one, label in named))


def _digits() -> Source:
    with resources.files("striate.data").joinpath("digits.npz").open("rb") as file:
        arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
    return collect({"all": Part(arrays["images"][..., None], arrays["labels"], "digits", "digits")})


def _find(name: str) -> Path | None:
    own = os.environ.get("STRIATE_DATA")
    places = [Path(own)] if own else []
    for place in (*places, cache_folder() / "data"):
        folder = place / name
        below = sorted(folder.iterdir()) if folder.is_dir() else []
        for candidate in (folder, *below):
            if candidate.is_dir() and (is_idx(candidate) or is_cifar(candidate)):
                return candidate
    return None


def _download(name: str) -> Path:
    remote, folder = _REMOTE[name], cache_folder() / "data" / name
    progress.say(f"{name} is not on this machine; downloading it to {folder}.")
    with atomic_folder(folder, replace=True) as partial:
        for file, checksum in remote.files.items():
            content = _fetch(remote.url + file, name, folder)
            found = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if found != checksum:
                raise DataError(
                    f"{remote.url}{file} is not what its authors published: expected the MD5 "
                    f"{checksum}, received {found}. Repeat it later, or put them into {folder}."
                )
            if file.endswith(".tar.gz"):
                _unpack(content, partial)
            else:
                (partial / file).write_bytes(content)
    found_at = _find(name)
    if found_at is None:
        raise DataError(
            f"{folder} is not {name} in a form that is known: remove it, and it is downloaded anew."
        )
    return found_at


def _fetch(url: str, name: str, folder: Path) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0) or None
            what = f"downloading {url.rpartition('/')[2]}"
            chunks = list(progress.track(_chunks(answer), what, "bytes", total, len))
            return b"".join(chunks)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{name} is not on this machine, and {url} cannot be downloaded ({reason}). Put its "
            f"files into {folder} or $STRIATE_DATA/{name}."
        ) from error


def _chunks(answer: IO[bytes]) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK):
        yield chunk


def _unpack(content: bytes, folder: Path) -> None:
    """Write a tar's plain files into one folder, whatever folders they claim to be in."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                (folder / Path(member.name).name).write_bytes(file.read())
