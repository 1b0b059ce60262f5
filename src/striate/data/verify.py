"""Every image file is read once before training, so that what can be used is known beforehand.

Which files are in must not depend on when a worker meets a bad one: a file that cannot be decoded
is left out here (and counted), or is an error under `strict`. The pass is not wasted: as many
decoded images as fit stay in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from striate import progress, wording
from striate.data.dataset import Skipped
from striate.data.decode import Decoding, decode_as, read_bytes
from striate.data.samples import FileSamples, content_hash
from striate.errors import DataError
from striate.ops import usable_cores

MEMORY = 2 << 30  # bytes of decoded images that are kept, for a whole data set

T = TypeVar("T")
R = TypeVar("R")
Pixels = npt.NDArray[np.uint8]


class File(NamedTuple):
    """An image file before it has been read.

    Args:
        path: where it is.
        id: what it is called in the data set.
        label: its class.
        part: the part that it belongs to.
    """

    path: Path
    id: str
    label: int
    part: str


class _Read(NamedTuple):
    """What a readable file gave."""

    hash: str
    pixels: Pixels


def verify(
    files: Sequence[File], strict: bool
) -> tuple[dict[str, FileSamples], tuple[Skipped, ...]]:
    """Decode every file, in threads.

    Args:
        files: of all parts.
        strict: raise at the first bad file instead of leaving it out.

    Returns:
        Samples by part, in the order of `files`; and the files left out.

    Raises:
        DataError: under `strict`, a file that cannot be used; names it and says why.
    """
    good = {file.part: _Gathered() for file in files}
    skipped, room = [], MEMORY
    with closing(_in_threads(_read, files)) as results:
        for file, read in progress.track(results, "checking", "images", len(files)):
            if isinstance(read, DataError):
                if strict:
                    raise read
                skipped.append(Skipped(wording.spelled(file.path), wording.spelled(str(read))))
            else:
                good[file.part].add(file, read, read.pixels.nbytes <= room)
                room -= read.pixels.nbytes
    return {part: gathered.samples() for part, gathered in good.items()}, tuple(skipped)


def _read(file: File) -> _Read | DataError:
    try:
        content = read_bytes(file.path)
        return _Read(content_hash(content), decode_as(content, Decoding(), file.path))
    except DataError as error:
        return error


class _Gathered:
    """The readable files of one part so far."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.sizes: list[tuple[int, int]] = []
        self.grey: list[bool] = []
        self.hashes: list[str] = []
        self.kept: list[Pixels | None] = []

    def add(self, file: File, read: _Read, keep: bool) -> None:
        self.files.append(file)
        self.sizes.append((read.pixels.shape[0], read.pixels.shape[1]))
        self.grey.append(read.pixels.shape[2] == 1)
        self.hashes.append(read.hash)
        self.kept.append(read.pixels if keep else None)

    def samples(self) -> FileSamples:
        return FileSamples(
            [file.path for file in self.files],
            [file.label for file in self.files],
            [file.id for file in self.files],
            self.sizes,
            self.grey,
            self.hashes,
            self.kept,
        )


def _in_threads(
    function: Callable[[T], R], items: Sequence[T]
) -> Generator[tuple[T, R], None, None]:
    """Yield items with their results, in order; threads work a little ahead."""
    cores = usable_cores()
    waiting: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > 4 * cores:
                    item, future = waiting.popleft()
                    yield item, future.result()
            for item, future in waiting:
                yield item, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
