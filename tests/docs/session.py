"""Running a page: every command in a process of its own, all Python of a page in one.

Processes are forked from one that has imported torch and striate and has computed nothing yet, so
that each is as a new one would be, without the two seconds that torch takes to import.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from tests.docs.page import Page, Step

_SECONDS = 1200.0  # what a step may take before it is taken for hung

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["torch", "striate.cli.main", "striate.train", "striate.doctor"])


def run(page: Page, folder: Path) -> Iterator[Step]:
    """Run a page's steps in a folder, and yield each when it has ended."""
    last = 0
    with _Python(folder) as python:
        for step in page.steps:
            if step.kind == "python":
                where = f"{page.path.name}"
                step.printed, step.ended = python.run(step.source, where, step.line)
            elif step.source == "echo $?":
                step.printed, last = str(last), 0
            else:
                step.printed, step.ended = _command(step.source, folder)
                last = step.ended
            yield step


def _command(source: str, folder: Path) -> tuple[str, int]:
    """Run one line of a console; return what it printed, on either stream, and its exit code."""
    source = source.replace("\\\n", " ")
    words = shlex.split(source)
    plain = not set(source) & set("|><&;*$`(")
    if words[0] != "striate" or (not plain and not _quoted(source)):
        done = subprocess.run(
            ["bash", "-c", source], cwd=folder, env=_environment(), capture_output=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS,
        )  # fmt: skip
        return done.stdout, done.returncode
    read, write = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_striate, args=(words[1:], folder, write))
    process.start()
    write.close()
    try:
        printed = read.recv() if read.poll(_SECONDS) else "(nothing in time)"
    except EOFError:
        printed = "(it died)"
    process.join(10)
    if process.is_alive():
        process.kill()
    return printed, process.exitcode if process.exitcode is not None else -1


def _quoted(source: str) -> bool:
    """Tell whether whatever a shell would act upon stands within quotation marks."""
    lexer = shlex.shlex(source, posix=False, punctuation_chars=True)
    lexer.whitespace_split = True
    return not any(set(word) & set("|><&;*$`(") for word in lexer if word[0] not in "'\"")


def _environment() -> dict[str, str]:
    """Return an environment in which `striate` and `python` are ours."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    }


def _striate(words: list[str], folder: Path, answer: Connection) -> None:
    """Be `striate WORDS` in a folder, and send what was printed."""
    from striate.cli.main import main

    os.chdir(folder)
    code = 1
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
            stream.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
        try:
            main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        file.seek(0)
        answer.send(file.read())
    os._exit(code)


class _Python:
    """One process for all Python of a page, begun when the first block comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> _Python:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
            self.process.join(10)
            with contextlib.suppress(ProcessLookupError):  # it, and what it has left running
                if self.process.pid is not None:
                    os.killpg(self.process.pid, signal.SIGKILL)

    def run(self, source: str, where: str, line: int) -> tuple[str, int]:
        """Run a block; return what it printed and 0, or the traceback too and 1."""
        if self.process is None:
            self.pipe, there = _processes.Pipe()
            self.process = _processes.Process(target=_python, args=(self.folder, there))
            self.process.start()
            there.close()
        self.pipe.send((source, where, line))
        try:
            if self.pipe.poll(_SECONDS):
                printed, ended = self.pipe.recv()
                return str(printed), int(ended)
        except EOFError:
            return "(it died)", 1
        self.process.kill()
        return "(nothing in time)", 1


def _python(folder: Path, pipe: Connection) -> None:
    """Run the blocks that come, in one namespace."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(_environment())
    names: dict[str, object] = {"__name__": "__main__"}
    while (received := pipe.recv()) is not None:
        source, where, line = received
        out, ended = io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                exec(compile("\n" * (line - 1) + source, where, "exec"), names)
            except BaseException:
                traceback.print_exc()
                ended = 1
        pipe.send((out.getvalue(), ended))
