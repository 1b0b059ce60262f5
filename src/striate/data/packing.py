"""Packing a data set into one file that loads at the speed of memory; `packed` has the format.

The first 64 bytes are written last, and the file takes its name last of all: what a killed process
leaves is no packed file, but the next `pack` of the same data goes on from it, as far as the
journal beside it says and the checksums agree.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import simplejpeg

from striate import progress
from striate.contract import Contract, Resize
from striate.data.dataset import Dataset
from striate.data.decode import read_bytes
from striate.data.measure import measure
from striate.data.packed import FIRST, HEAD, MAGIC, VERSION, Form, Header, Packed, PackedPart
from striate.data.prepare import resample_8bit, resized_size
from striate.data.samples import FileSamples, Samples
from striate.errors import UsageError
from striate.files import Lock, into_place, reporting
from striate.ops import usable_cores
from striate.records import to_json

_AT_ONCE = 64  # images made by threads before they are written, and noted


def pack(
    dataset: Dataset,
    out: Path | str,
    *,
    size: int | None = 256,
    form: Form = "raw",
    quality: int = 95,
) -> Packed:
    """Write a data set into one file.

    Args:
        dataset: as opened.
        out: the file; it must not be there.
        size: scale images down to this short side, as Pillow does (bilinear, antialiased); None
            keeps their size.
        form: `raw` or `jpeg`; JPEGs that keep their size keep their bytes.
        quality: of JPEGs that are written anew.

    Raises:
        UsageError: the file is there, or a number makes no sense.
        DataError: an image is gone or damaged since the data set was opened, or a class has none.
        RunError: the disk is full, or another process packs to this place.
    """
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out} is already there; remove it, or choose another name.")
    if (size is not None and size < 1) or not 1 <= quality <= 100:
        raise UsageError(
            f"Expected a size of at least 1 and a quality of 1 to 100, received size={size}, "
            f"quality={quality}."
        )
    dataset.check_classes()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.packing")
    images = [(samples, index) for _, samples in _parts(dataset) for index in range(len(samples))]
    wanted = sha256(
        to_json([VERSION, dataset.spec, size, form, quality, _hashes(dataset)])
    ).hexdigest()
    again = "make room and repeat the command, it goes on from there"
    with Lock(partial.with_suffix(".lock")), reporting(out, partial, fix=again):
        notes = partial.with_suffix(".journal")
        done = _resume(partial, notes, wanted)
        with partial.open("r+b") as file, notes.open("a") as journal:
            file.seek(max((one.place + one.length for one in done), default=FIRST))
            resumed = len(done)
            for chunk in _made(images[resumed:], size, form, quality):
                done += _append(file, journal, chunk)
            header = to_json(_header(dataset, done, size, form))
            place = file.tell()
            file.write(header)
            file.flush()
            file.seek(0)
            file.write(HEAD.pack(MAGIC, VERSION, 0, place, len(header), sha256(header).digest()))
        into_place(partial, out)
        notes.unlink()
    partial.with_suffix(".lock").unlink(missing_ok=True)
    return Packed(
        path=str(out),
        images=len(done),
        bytes=out.stat().st_size,
        form=form,
        size=size,
        resumed=resumed,
    )


class _Entry(NamedTuple):
    """An image that is in the file: first byte, bytes, checksum, height, width, channels."""

    place: int
    length: int
    checksum: int
    height: int
    width: int
    channels: int


class _Made(NamedTuple):
    """An image's bytes, and its height, width and channels."""

    content: bytes
    shape: tuple[int, int, int]


def _made(
    images: list[tuple[Samples, int]], size: int | None, form: Form, quality: int
) -> Iterator[list[_Made]]:
    """Make images in threads, some at a time."""

    def make(one: tuple[Samples, int]) -> _Made:
        return _make(*one, size, form, quality)

    chunks = [images[k : k + _AT_ONCE] for k in range(0, len(images), _AT_ONCE)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        for chunk in progress.track(chunks, "packing", "images", len(images), len):
            yield list(pool.map(make, chunk))


def _make(samples: Samples, index: int, size: int | None, form: Form, quality: int) -> _Made:
    height, width = samples.sizes[index].tolist()
    smaller = size is not None and min(height, width) > size
    if form == "jpeg" and not smaller and isinstance(samples, FileSamples):
        content = read_bytes(samples.paths[index])
        if content.startswith(b"\xff\xd8\xff"):
            return _Made(content, (height, width, 1 if samples.grey[index] else 3))
    pixels = samples.stored(index)
    if size is not None and smaller:
        target = resized_size((height, width), Resize(rule="short_side", size=(size, size)))
        pixels = resample_8bit(pixels, target, "bilinear")
    shape = (pixels.shape[0], pixels.shape[1], pixels.shape[2])
    pixels = np.ascontiguousarray(pixels)
    if form == "raw":
        return _Made(pixels.tobytes(), shape)
    colours = ("RGB", "444") if shape[2] == 3 else ("GRAY", "Gray")
    return _Made(simplejpeg.encode_jpeg(pixels, quality, *colours), shape)


def _append(file: IO[bytes], journal: IO[str], chunk: list[_Made]) -> list[_Entry]:
    """Write images, then note that they are there."""
    entries = []
    for made in chunk:
        place = file.tell()
        file.write(made.content)
        entries.append(_Entry(place, len(made.content), zlib.crc32(made.content), *made.shape))
    file.flush()
    journal.write("".join(json.dumps(entry) + "\n" for entry in entries))
    journal.flush()
    return entries


def _resume(partial: Path, notes: Path, wanted: str) -> list[_Entry]:
    """Return what an interrupted call has packed of the same data; otherwise begin anew."""
    done: list[_Entry] = []
    if partial.exists() and notes.exists():
        first, *lines = notes.read_text().splitlines(keepends=True) or [""]
        if first.strip() == wanted:
            whole = [_Entry(*json.loads(line)) for line in lines if line.endswith("]\n")]
            done = _sound(partial, whole)
    with notes.open("w") as journal:
        journal.write(wanted + "\n" + "".join(json.dumps(entry) + "\n" for entry in done))
    if not done:
        partial.write_bytes(bytes(FIRST))
    return done


def _sound(partial: Path, entries: list[_Entry]) -> list[_Entry]:
    """Return the entries up to the first whose bytes did not reach the disk."""
    with partial.open("rb") as file:
        for number, entry in enumerate(entries):
            file.seek(entry.place)
            if zlib.crc32(file.read(entry.length)) != entry.checksum:
                return entries[:number]
    return entries


def _header(dataset: Dataset, entries: list[_Entry], size: int | None, form: Form) -> Header:
    parts, first = [], 0
    for name, samples in _parts(dataset):
        here = entries[first : first + len(samples)]
        first += len(samples)
        parts.append(
            PackedPart(
                name=name,
                ids=tuple(samples.ids),
                labels=tuple(samples.labels.tolist()),
                hashes=tuple(samples.content_hash(index) for index in range(len(samples))),
                shapes=tuple((one.height, one.width, one.channels) for one in here),
                places=tuple((one.place, one.length) for one in here),
                checksums=tuple(one.checksum for one in here),
            )
        )
    return Header(
        name=dataset.name,
        source=dataset.spec,
        form=form,
        size=size,
        contract=_contract(dataset, size),
        parts=tuple(parts),
        notes=dataset.notes,
    )


def _contract(dataset: Dataset, size: int | None) -> Contract:
    side = size or min(dataset.sizes().median)
    channels = 1 if dataset.channels == "grey" else 3
    contract = Contract(
        classes=dataset.classes,
        channels=dataset.channels,
        size=(side, side),
        resize=Resize(rule="short_side", size=(side, side)),
        crop="centre",
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    first = next(samples for _, samples in _parts(dataset) if len(samples))
    mean, std = measure(dataset.parts.get("train", first), contract)
    return contract.replace(mean=mean, std=std)


def _parts(dataset: Dataset) -> list[tuple[str, Samples]]:
    return list(dataset.parts.items())


def _hashes(dataset: Dataset) -> list[str]:
    return [
        f"{name}/{samples.ids[index]}/{samples.content_hash(index)}"
        for name, samples in _parts(dataset)
        for index in range(len(samples))
    ]
