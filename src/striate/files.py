"""Files that are either whole or not there, and locks that die with their holder.

A file or folder is built under a hidden name beside its place, forced to disk, and renamed into it:
after a crash, a kill or a full disk there is the old one or the new one, never half of one. What a
killed process leaves behind ends in `.partial`; `sweep` clears it, and so does the next writer of
that folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from striate.errors import RunError, StriateError

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_WINDOWS = os.name == "nt"
_WAITS = (0.02, 0.05, 0.1, 0.2, 0.4)  # seconds between tries to rename what others read

_UMASK = os.umask(0)  # can only be read by setting it
os.umask(_UMASK)


def atomic_write(path: Path | str, data: bytes | Callable[[Path], object]) -> None:
    """Write a file whole or not at all; folders above it are made.

    Args:
        path: where it shall be; a file already there is replaced.
        data: the content, or a function that writes it to the path it is given (a hidden one).

    Raises:
        RunError: the disk is full (names path and bytes) or the place cannot be written to.
    """
    path = Path(path)
    partial = _partial(path)
    try:
        with reporting(path, partial, None if callable(data) else len(data)):
            _make_parents(path)
            if callable(data):
                data(partial)
                partial.chmod(0o666 & ~_UMASK)  # safetensors writes for its owner alone
            else:
                partial.write_bytes(data)
            into_place(partial, path)
    finally:
        with suppress(OSError):  # usually: it has been renamed
            partial.unlink()


def into_place(partial: Path, path: Path) -> None:
    """Give a file that is whole its name, to disk; a file of that name is replaced.

    Raises:
        OSError: it cannot be; on Windows also where another program keeps the old one open.
    """
    _to_disk(partial)
    _renamed(partial, path)
    _to_disk(path.parent)


@contextmanager
def atomic_folder(path: Path | str, *, replace: bool = False) -> Iterator[Path]:
    """Build a folder whole or not at all.

    Args:
        path: where it shall be.
        replace: take the place of a folder already there.

    Yields:
        A hidden, empty folder to fill; it becomes `path` when the block ends without an error.

    Raises:
        RunError: `path` exists, the disk is full (names path and bytes), or the place cannot be
            written to.
    """
    path = Path(path)
    partial, aside = _partial(path), _partial(path)
    try:
        with reporting(path, partial):
            _make_parents(path)
            with _claimed(path, partial):
                yield partial
                for folder, _, names in os.walk(partial):
                    for name in names:
                        _to_disk(Path(folder, name))
                    _to_disk(Path(folder))
                if os.path.lexists(path):
                    if not replace:
                        raise RunError(f"{path} is already there. Choose another, or remove it.")
                    _renamed(path, aside)
                try:
                    _renamed(partial, path)
                except OSError:
                    if aside.exists():
                        _renamed(aside, path)
                    raise
                _to_disk(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder whole: by its name at once, and then what is in it."""
    aside = _partial(path)
    with suppress(OSError):
        path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder and below; only its lock's holder may."""
    for leftover in list(folder.rglob(".*.partial")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def sha256(path: Path | str) -> str:
    """Return a file's sha256 as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the user's folder for what can be fetched again; it may not exist yet."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "striate"


# -- locks -----------------------------------------------------------------------------------------


class Lock:
    """An exclusive lock on a file, given back by the system however its holder ends.

    The file stays; it says who held the lock last.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "lock"
        >>> with Lock(place):
        ...     Lock.held(place)
        True
        >>> Lock.held(place)
        False
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        with reporting(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        for wait in (0.05, 0.2, 0.0):  # `held` takes the lock for an instant to look
            if _try_lock(descriptor):
                break
            if not wait:
                os.close(descriptor)
                raise RunError(
                    f"{self.path.parent} is in use by {_holder(self.path)}. Wait until that has "
                    "ended, or choose another folder."
                )
            time.sleep(wait)
        self._descriptor = descriptor
        with suppress(OSError):  # who holds it is a courtesy: a full disk keeps nobody out
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # which gives the lock back
            self._descriptor = None

    @staticmethod
    def held(path: Path | str) -> bool:
        """Say whether some process holds the lock, this one included."""
        try:
            descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, shared: bool = False) -> bool:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _try_lock(descriptor: int, shared: bool = False) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX  # NFS wants write access to exclude
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _holder(path: Path) -> str:
    text = path.read_text(errors="replace")[:200]
    return text if re.fullmatch(r"process \d+ on \S+", text) else "another process"


# -- folders being built ---------------------------------------------------------------------------


@contextmanager
def _claimed(path: Path, partial: Path) -> Iterator[None]:
    """Make the hidden folder that becomes `path`, and hold it as long as its writer lives.

    So what a killed writer has left beside it can be told, and is removed first. Where the system
    locks no folders (Windows, some network drives) nothing is removed.
    """
    for leftover in _unfinished(path):
        with suppress(OSError), _opened(leftover) as descriptor:
            if _try_lock(descriptor):
                shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    if _WINDOWS:
        yield
        return
    with _opened(partial) as descriptor:
        with suppress(OSError):
            _try_lock(descriptor)
        yield


def _unfinished(path: Path) -> list[Path]:
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.partial")
    return [each for each in path.parent.iterdir() if name.fullmatch(each.name) and each.is_dir()]


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_parents(path: Path) -> None:
    """Make the folders above `path`, to disk."""
    missing = [each for each in path.parents if not each.exists()]
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _to_disk(each.parent)


# -- to disk ---------------------------------------------------------------------------------------


def _partial(path: Path) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.partial"


def _renamed(old: Path, new: Path) -> None:
    """Rename; again after a while on Windows, which refuses while somebody reads the file."""
    for wait in _WAITS if _WINDOWS else ():
        try:
            old.replace(new)
            return
        except PermissionError:
            time.sleep(wait)
    old.replace(new)


def _to_disk(path: Path) -> None:
    if path.is_symlink() or (path.is_dir() and _WINDOWS):  # a folder cannot be opened there
        return
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reporting(
    path: Path,
    partial: Path | None = None,
    size: int | None = None,
    fix: str = "make room and repeat",
) -> Iterator[None]:
    """Turn the system's refusal to write to `path` into a RunError of one sentence.

    Args:
        path: what is written.
        partial: where it is written meanwhile.
        size: how many bytes that takes, where it is known.
        fix: what to do about a full disk.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        elsewhere = isinstance(error, OSError) and not _concerns(path, error)
        if number is None or isinstance(error, StriateError) or elsewhere:
            raise
        if number in _FULL:
            if size is not None:
                raise RunError(f"The disk is full: {path} needs {size:,} bytes; {fix}.") from error
            done = _size(partial or path)
            said = f"The disk is full: {path} stopped after {done:,} bytes; {fix}."
            raise RunError(said) from error
        shut = " Is it open in another program?" if _WINDOWS and number == errno.EACCES else ""
        raise RunError(f"{path} cannot be written: {os.strerror(number)}.{shut}") from error


def _system_error(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    rust = re.search(r"\(os error (\d+)\)", str(error))  # as safetensors says it
    return int(rust[1]) if rust else None


def _concerns(path: Path, error: OSError) -> bool:
    """Say whether an error is about `path`, what is beside it, or what is above it."""
    if not isinstance(error.filename, str | bytes):
        return True
    named = Path(os.fsdecode(error.filename))
    return named in path.parents or path.parent in named.parents


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.exists() else 0
