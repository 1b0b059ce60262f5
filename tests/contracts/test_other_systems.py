"""What is otherwise on Windows and macOS, tried here by pretending to be there."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import socket
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from striate import data, files, ops, wording
from striate.errors import RunError, UsageError
from striate.files import Lock, atomic_folder, atomic_write
from striate.ops import threads
from striate.train import interrupt

machines = importlib.import_module("striate.ops.machine")  # the room has a function of that name


class Shut:
    """A file that others read: it cannot be renamed for a while, as on Windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
        self.refusals, self.waited = refusals, list[float]()
        really = Path.replace

        def replace(path: Path, target: Path) -> Path:
            if self.refusals:
                self.refusals -= 1
                raise PermissionError(13, "Permission denied", str(path), 5, str(target))
            return really(path, target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(files, "_WINDOWS", True)
        monkeypatch.setattr(files.time, "sleep", self.waited.append)


def test_what_somebody_reads_is_replaced_when_they_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic_write(tmp_path / "file", b"old")
    shut = Shut(monkeypatch, refusals=3)
    atomic_write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(shut.waited) == 3
    shut.refusals = 2
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "inside").write_text("x")
    assert (tmp_path / "folder" / "inside").exists()


def test_what_stays_open_is_named_and_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic_write(tmp_path / "file", b"old")
    shut = Shut(monkeypatch, refusals=99)
    with pytest.raises(RunError, match=r"file cannot be written: .* open in another program\?"):
        atomic_write(tmp_path / "file", b"new")
    assert sum(shut.waited) < 2
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_files_are_forced_to_disk_by_a_descriptor_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, really = list[int](), os.open

    def note(path: Any, flags: int, mode: int = 0o777) -> int:
        opened.append(flags & os.O_RDWR)
        return really(path, flags, mode)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "open", note)
    atomic_write(tmp_path / "deep" / "file", b"x")
    assert opened == [os.O_RDWR]  # and no folder is opened, which Windows refuses
    with Lock(tmp_path / "lock"):
        assert Lock.held(tmp_path / "lock")


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [
        ("win32", "LOCALAPPDATA", "there/striate"),
        ("darwin", "XDG_CACHE_HOME", "home/Library/Caches/striate"),
        ("linux", "XDG_CACHE_HOME", "there/striate"),
    ],
)
def test_the_cache_lies_where_the_system_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, variable: str, expected: str
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv(variable, str(tmp_path / "there"))
    monkeypatch.setattr(sys, "platform", system)
    assert files.cache_folder() == tmp_path / expected


def test_commands_are_quoted_for_the_prompt_they_are_typed_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert wording.quoted("my runs/a-001") == "'my runs/a-001'"
    monkeypatch.setattr(wording, "_WINDOWS", True)
    assert wording.quoted(r"my runs\a-001") == r'"my runs\a-001"'
    assert wording.quoted(r"runs\a-001") == r"runs\a-001"


def test_names_that_a_mac_takes_apart_are_the_same_class(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    for part, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("caf\u00e9", "tea"):
            folder = tmp_path / part / unicodedata.normalize(form, name)
            folder.mkdir(parents=True)
            Image.fromarray(pixels).save(folder / "0.png")
            pixels += 1
    dataset = data.open(tmp_path)
    assert [each.id for each in dataset.classes] == ["caf\u00e9", "tea"]
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {
        "train": 2,
        "test": 2,
    }


def test_windows_says_how_much_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        @staticmethod
        def GlobalMemoryStatusEx(pointer: Any) -> int:  # noqa: N802
            status = pointer._obj
            assert status.length == ctypes.sizeof(status) == 64
            status.total, status.free = 16 << 30, 3 << 30
            return 1

    class Library:
        kernel32 = Kernel

    assert machines.windows_bytes() is None
    monkeypatch.setattr(ctypes, "windll", Library, raising=False)
    assert machines.total_bytes() == 16 << 30
    assert ops.free_bytes(torch.device("cpu")) == 3 << 30


def test_a_machine_is_described_without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: no affinity, no /proc, no /sys."""

    def absent(path: Path, *arguments: Any, **named: Any) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(Path, "read_text", absent)
    threads._openmp.cache_clear()
    try:
        found = machines.machine()
        assert found.cores == os.cpu_count()
        assert found.cpu
        assert found.memory_bytes > 0
        assert ops.free_bytes(torch.device("cpu")) == found.memory_bytes
        meter = ops.Meter(torch.device("cpu"))
        assert (meter.held(), meter.peak()) == (0, 0)
        assert threads._openmp() is None  # and our own pool works instead
        done = []
        threads.share(lambda at: done.append(at), [(at,) for at in range(5)])
        assert sorted(done) == [0, 1, 2, 3, 4]
        monkeypatch.delattr(os, "getloadavg", raising=False)
        assert not threads.crowded()
        monkeypatch.delattr(os, "sysconf", raising=False)
        assert machines.total_bytes() == 0
    finally:
        threads._openmp.cache_clear()


def test_a_training_is_paused_by_whatever_signal_the_system_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupt, "_REQUESTS", (signal.SIGINT, signal.SIGUSR1))
    with interrupt.interruptible() as asked:
        signal.raise_signal(signal.SIGUSR1)
        assert asked.asked
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_port_is_kept_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.serve import door

    set_to = list[int]()
    really = socket.socket.setsockopt

    class Noting(socket.socket):
        def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
            set_to.append(option)
            really(self, level, socket.SO_REUSEADDR, value)

    monkeypatch.setattr(door, "_ALONE", ~socket.SO_REUSEADDR)  # what Windows has for it
    monkeypatch.setattr(door.socket, "socket", Noting)
    door.bind("127.0.0.1", 0).close()
    assert set_to == [~socket.SO_REUSEADDR]


def test_several_workers_are_refused_where_nothing_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("starlette")
    from striate import serve

    monkeypatch.delattr(os, "fork", raising=False)
    with pytest.raises(UsageError, match="serve with --workers 1"):
        serve.serve(tmp_path, workers=2)


def test_no_process_is_signalled_to_learn_whether_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, os.kill(process, 0) ends it."""
    pytest.importorskip("optuna")
    from striate.search import ledger

    def kill(process: int, number: int) -> None:
        pytest.fail("a process was signalled")

    monkeypatch.setattr(ledger, "_WINDOWS", True)
    monkeypatch.setattr(os, "kill", kill)
    assert ledger._runs(os.getpid())


def test_a_journal_is_shared_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    from striate.search import Ledger, ledger

    def refuse(*arguments: Any, **named: Any) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(ledger, "_WINDOWS", True)
    monkeypatch.setattr(os, "symlink", refuse)
    assert Ledger(str(tmp_path / "study.journal"), "study", {"asks": "one"}).entries() == []
    with pytest.raises(RunError, match="asks something else"):
        Ledger(str(tmp_path / "study.journal"), "study", {"asks": "other"})
