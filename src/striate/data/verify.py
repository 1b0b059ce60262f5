"""Every image file is read once before training, so that what can be used is known beforehand.

Which files are in must not depend on when a worker meets a bad one: a file that cannot be decoded
is left out here (and counted), or is an error under `strict`. The pass is not wasted: where all
decoded images fit into memory together they stay there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from striate import progress
from striate.data.dataset import Skipped
from striate.data.decode import Decoding, Header, decode_as, read_bytes, read_header
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

    size: tuple[int, int]
    grey: bool
    hash: str
    pixels: Pixels | None


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
    headers = [_or_error(_header, file) for file in files]
    sizes = [_bytes(header) for header in headers if isinstance(header, Header)]
    keep = sum(sizes) <= MEMORY
    tasks = list(zip(files, headers, strict=True))
    done = _in_threads(lambda task: _read(task, keep), tasks)
    good: dict[str, list[tuple[File, _Read]]] = {file.part: [] for file in files}
    skipped = []
    for (file, _), result in progress.track(
        zip(tasks, done, strict=True), "checking", "images", len(tasks)
    ):
        if isinstance(result, DataError):
            if strict:
                raise result
            skipped.append(Skipped(str(file.path), str(result)))
        else:
            good[file.part].append((file, result))
    return {part: _samples(pairs) for part, pairs in good.items()}, tuple(skipped)


def _header(file: File) -> Header:
    return read_header(file.path)


def _read(task: tuple[File, Header | DataError], keep: bool) -> _Read | DataError:
    file, header = task
    if isinstance(header, DataError):
        return header
    try:
        content = read_bytes(file.path)
        pixels = decode_as(content, Decoding())
    except DataError as error:
        return DataError(str(error).replace("The image", str(file.path), 1))
    return _Read(
        (pixels.shape[0], pixels.shape[1]),
        header.grey,
        content_hash(content),
        pixels if keep else None,
    )


def _bytes(header: Header) -> int:
    return header.size[0] * header.size[1] * (1 if header.grey else 3)


def _samples(pairs: Sequence[tuple[File, _Read]]) -> FileSamples:
    return FileSamples(
        [file.path for file, _ in pairs],
        [file.label for file, _ in pairs],
        [file.id for file, _ in pairs],
        [read.size for _, read in pairs],
        [read.grey for _, read in pairs],
        [read.hash for _, read in pairs],
        [read.pixels for _, read in pairs],
    )


def _or_error(function: Callable[[T], R], item: T) -> R | DataError:
    try:
        return function(item)
    except DataError as error:
        return error


def _in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Map in threads, in order, a little ahead of who takes the results."""
    cores = usable_cores()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 4 * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
