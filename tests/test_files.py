"""Files that are whole or not there: after a full disk, an error, a kill; locks that die."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from striate import files
from striate.errors import RunError
from striate.files import Lock, atomic_folder, atomic_write


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python on some code; the arguments are its sys.argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


# -- whole


def test_a_file_is_written_by_bytes_or_by_a_function(tmp_path: Path) -> None:
    atomic_write(tmp_path / "new" / "a", b"one")
    atomic_write(tmp_path / "new" / "a", b"two")
    atomic_write(str(tmp_path / "b"), lambda path: path.write_text("three"))
    assert (tmp_path / "new" / "a").read_bytes() == b"two"
    assert (tmp_path / "b").read_bytes() == b"three"
    assert names(tmp_path) == ["b", "new", "new/a"]


@pytest.mark.skipif(os.name == "nt", reason="has no such permissions")
def test_a_function_s_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    def write(place: Path) -> None:
        place.write_bytes(b"weights")
        place.chmod(0o600)  # as safetensors does

    atomic_write(tmp_path / "a", write)
    atomic_write(tmp_path / "b", b"bytes")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_folder_is_there_at_the_end_of_the_block(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_bytes(b"a")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path) == ["run", "run/deep", "run/deep/a"]


def test_a_folder_is_replaced_only_when_told(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "old").touch()
    with (
        pytest.raises(RunError, match=r"run is already there\. Choose another"),
        atomic_folder(tmp_path / "run") as folder,
    ):
        (folder / "new").touch()
    assert names(tmp_path) == ["run", "run/old"]
    with atomic_folder(tmp_path / "run", replace=True) as folder:
        (folder / "new").touch()
    assert names(tmp_path) == ["run", "run/new"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "a", fail)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "run") as folder:
        (folder / "b").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/a cannot be written: Not a directory\.$"):
        atomic_write(tmp_path / "file" / "a", b"")
    with (
        pytest.raises(RunError, match=r"file/run cannot be written: Not a directory\.$"),
        atomic_folder(tmp_path / "file" / "run"),
    ):
        pass


def test_another_file_missing_is_not_blamed_on_the_one_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "run"):
        Path("/no/such/source").read_bytes()


# -- a full disk


FULL = """
    import resource, sys
    from pathlib import Path
    from striate.errors import RunError
    from striate.files import atomic_folder, atomic_write

    how, place = sys.argv[1], Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        if how == "bytes":
            atomic_write(place, bytes(250_000))
        elif how == "function":
            atomic_write(place, lambda path: path.write_bytes(bytes(250_000)))
        elif how == "folder":
            with atomic_folder(place) as folder:
                (folder / "small").write_bytes(bytes(50_000))
                (folder / "large").write_bytes(bytes(250_000))
        else:
            import numpy
            from safetensors.numpy import save_file
            with atomic_folder(place) as folder:
                save_file({"a": numpy.zeros(250_000)}, folder / "tensors.safetensors")
    except RunError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("bytes", "needs 250,000 bytes"),
        ("function", "stopped after 100,000 bytes"),
        ("folder", "stopped after 150,000 bytes"),
        ("safetensors", "stopped after 0 bytes"),
    ],
)
def test_a_full_disk_is_one_sentence_and_nothing_remains(
    how: str, wanted: str, tmp_path: Path
) -> None:
    said, _ = start(FULL, how, tmp_path / "there").communicate(timeout=60)
    assert said == f"The disk is full: {tmp_path / 'there'} {wanted}; make room and repeat.\n"
    assert names(tmp_path) == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "there", b"old")
    start(FULL, "bytes", tmp_path / "there").communicate(timeout=60)
    assert names(tmp_path) == ["there"]
    assert (tmp_path / "there").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        with pytest.raises(RunError, match="The disk is full: .*there needs 250,000 bytes"):
            atomic_write(tmp_path / "there", bytes(250_000))
        assert names(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# -- a kill


WRITER = """
    import sys
    from pathlib import Path
    from striate.files import atomic_folder, atomic_write

    place = Path(sys.argv[1])
    print("ready", flush=True)
    for number in range(10**9):
        content = bytes([number % 256]) * 200_000
        atomic_write(place / "file", content)
        with atomic_folder(place / "folder", replace=True) as folder:
            for name in "abc":
                (folder / name).write_bytes(content)
"""


def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    for attempt in range(12):
        with start(WRITER, tmp_path) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
            time.sleep(0.02 + 0.013 * attempt)
            writer.send_signal(signal.SIGKILL)
        if (tmp_path / "file").exists():
            content = (tmp_path / "file").read_bytes()
            assert len(content) == 200_000 and len(set(content)) == 1
        if (tmp_path / "folder").exists():  # between its two renames there is none
            parts = {(tmp_path / "folder" / name).read_bytes() for name in "abc"}
            assert len(parts) == 1 and len(parts.pop()) == 200_000
    files.sweep(tmp_path)
    assert set(names(tmp_path)) <= {"file", "folder", "folder/a", "folder/b", "folder/c"}


HALF = """
    import sys, time
    from pathlib import Path
    from striate.files import atomic_folder

    with atomic_folder(Path(sys.argv[1])) as folder:
        (folder / "half").touch()
        print(folder.name, flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folders")
def test_the_next_writer_removes_what_a_killed_one_left_but_not_what_another_is_building(
    tmp_path: Path,
) -> None:
    place = tmp_path / "run"
    with start(HALF, place) as killed, start(HALF, place) as living:
        assert killed.stdout is not None and living.stdout is not None
        left, held = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (tmp_path / ".runs.0badcafe.partial").mkdir()  # of another folder
        assert left in names(tmp_path)
        with atomic_folder(place):
            pass
        assert left not in names(tmp_path)
        assert {held, f"{held}/half", ".runs.0badcafe.partial", "run"} == set(names(tmp_path))
        living.send_signal(signal.SIGKILL)


def test_a_folder_that_cannot_be_replaced_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    rename = Path.replace

    def full(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with (
        pytest.raises(RunError, match="The disk is full"),
        atomic_folder(tmp_path / "run", replace=True) as folder,
    ):
        (folder / "new").touch()
    assert names(tmp_path) == ["run", "run/old"]


# -- locks


HOLDER = """
    import sys, time
    from striate.files import Lock

    with Lock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_lock_says_who_holds_it_and_dies_with_its_holder(tmp_path: Path) -> None:
    with start(HOLDER, tmp_path / "lock") as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert Lock.held(tmp_path / "lock")
        said = rf"is in use by process {holder.pid} on \S+\. Wait until that has ended"
        with pytest.raises(RunError, match=said):
            Lock(tmp_path / "lock").__enter__()
        holder.send_signal(signal.SIGKILL)
    assert not Lock.held(tmp_path / "lock")
    with Lock(tmp_path / "lock"):
        assert Lock.held(tmp_path / "lock")
        with (
            pytest.raises(RunError, match=f"by process {os.getpid()} on"),
            Lock(tmp_path / "lock"),
        ):
            pass
        assert Lock.held(tmp_path / "lock")
    assert not Lock.held(tmp_path / "lock")


def test_a_lock_can_be_taken_again_and_a_missing_one_is_free(tmp_path: Path) -> None:
    assert not Lock.held(tmp_path / "lock")
    lock = Lock(tmp_path / "lock")
    for _ in range(2):
        with lock:
            assert Lock.held(tmp_path / "lock")
    with pytest.raises(RunError, match="cannot be written: No such file"):
        Lock(tmp_path / "nowhere" / "lock").__enter__()


# -- the rest


def test_a_folder_is_removed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").touch()
    seen: list[Path] = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: seen.append(Path(path)))
    files.remove_folder(tmp_path / "old")  # killed before anything in it was removed
    assert not (tmp_path / "old").exists() and seen[0].suffix == ".partial"
    files.remove_folder(tmp_path / "old")
    assert len(seen) == 1


def test_a_sweep_takes_files_and_folders_that_were_not_finished(tmp_path: Path) -> None:
    for name in ("deep/.a.0badcafe.partial", ".b.0badcafe.partial/c", "d.partial", ".e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files.sweep(tmp_path)
    assert names(tmp_path) == [".e", "d.partial", "deep"]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="the place differs by system")
def test_the_cache_folder_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert files.cache_folder() == Path("/somewhere/striate")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert files.cache_folder() == Path("/home/user/.cache/striate")
