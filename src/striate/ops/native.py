"""Object code of kernels: compiled for this machine by the LLVM that Numba brings, and kept.

Compiled code lies in the user's cache folder under a name that tells processor, versions and the
text it was made from, so that it is made again when any of them changes, or the file; a kernel
compiles in about a second and loads in a few milliseconds. Nothing is compiled on import.

A kernel is called for pieces of its work by a team of threads, each taking the next piece when it
is free: a core with other work on it holds up nobody, and what a piece computes does not depend on
who does it. Calls can be noted, to be made again as one (`striate.ops.tape`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from striate import progress
from striate.files import atomic_write, cache_folder
from striate.ops.assembly import Function
from striate.ops.threads import team

_NEXT, _ENTERED, DONE, COUNT, _TABLE, _ROOM, _ROOM_STEP, _ARGUMENTS = range(0, 8 * 8, 8)
"""What a team is told: bytes from the start of an array of words."""

_DIGEST = hashlib.sha256().digest_size


class Call(NamedTuple):
    """A call of a kernel, as it was made.

    Args:
        address: of the team's entry.
        words: what it was told.
        table: the pieces.
        pieces: how many they are.
    """

    address: int
    words: tuple[int, ...]
    table: ctypes.Array[ctypes.c_int64]
    pieces: int


class Notes(threading.local):
    """The calls of a thread's kernels, where somebody wants to know them."""

    calls: list[Call] | None = None


notes = Notes()

_engines: list[Any] = []
"""Whoever owns compiled code; it stays as long as the process does."""


class Kernel:
    """A compiled function.

    Args:
        code: what was compiled; the parameter before its pieces is `room`.
        address: of its team's entry.
    """

    def __init__(self, code: Function, address: int) -> None:
        self.code, self.address = code, address
        self.entry = ctypes.CFUNCTYPE(None, ctypes.c_int64)(address)

    def __call__(
        self, *arguments: int, pieces: Sequence[tuple[int, ...]], room: int = 0, step: int = 0
    ) -> None:
        """Compute all pieces; the interpreter's lock is released meanwhile.

        Args:
            arguments: the same for all: counts, and addresses of memory that outlives the call.
            pieces: the last parameters' values.
            room: address of memory to work in.
            step: bytes of it for each thread.
        """
        call = self.call(*arguments, pieces=pieces, room=room, step=step)
        if notes.calls is not None:
            notes.calls.append(call)
        data = (ctypes.c_int64 * len(call.words))(*call.words)
        team(self.entry, ctypes.addressof(data), len(pieces))

    def call(
        self, *arguments: int, pieces: Sequence[tuple[int, ...]], room: int = 0, step: int = 0
    ) -> Call:
        """Return a call without making it."""
        table = (ctypes.c_int64 * (len(pieces) * len(self.code.pieces)))(*chain(*pieces))
        words = (0, 0, 0, len(pieces), ctypes.addressof(table), room, step, *arguments)
        return Call(self.address, words, table, len(pieces))


def entry(code: Function) -> Function:
    """Write what every thread of a team does: take the next piece while there is one."""
    own = Function(f"{code.name}_team", "data", code.lanes, public=True)
    count, table = own.load_word(own.data + COUNT), own.load_word(own.data + _TABLE)
    same, width = len(code.parameters) - len(code.pieces) - 1, len(code.pieces)
    now = own.stack(1)
    own.store_word(own.take_word(own.data + _NEXT, 1), now)
    with own.when(own.load_word(now).below(count)):
        who = own.take_word(own.data + _ENTERED, 1)
        room = own.load_word(own.data + _ROOM) + who * own.load_word(own.data + _ROOM_STEP)
        with own.loop(count):
            piece = own.load_word(now)
            with own.when(piece.below(count)):
                told = [own.load_word(own.data + (_ARGUMENTS + 8 * each)) for each in range(same)]
                line = table + piece * (8 * width)
                mine = [own.load_word(line + 8 * each) for each in range(width)]
                own.call(code, *told, room, *mine)
                own.take_word(own.data + DONE, 1)
                own.store_word(own.take_word(own.data + _NEXT, 1), now)
    return own


@lru_cache(maxsize=1)
def available() -> bool:
    """Say whether this machine has what compiles kernels; without it torch's own operators do.

    On Windows it has not: functions with large frames call what only a linker there provides.
    """
    if os.name == "nt":
        return False
    try:
        _target()
    except Exception:  # whatever keeps LLVM from working here, torch works without it
        return False
    return True


@lru_cache(maxsize=1)
def version() -> str:
    """Return what a time measured of kernels hangs on: a digest of the files that write them."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for each in files:
        digest.update(each.name.encode())
        digest.update(each.read_bytes())
    with suppress(metadata.PackageNotFoundError):
        digest.update(metadata.version("llvmlite").encode())
    return digest.hexdigest()[:16]


def compile_functions(what: str, functions: Sequence[Function]) -> dict[str, Kernel]:
    """Return the functions that are cut into pieces, by name.

    Args:
        what: what is compiled, for the line that says so.
        functions: all of one module.
    """
    offered = {each.name: entry(each) for each in functions if each.pieces}
    address = load(what, [*functions, *offered.values()])
    return {
        each.name: Kernel(each, address(offered[each.name].name))
        for each in functions
        if each.pieces
    }


def load(what: str, functions: Sequence[Function]) -> Callable[[str], int]:
    """Compile functions of one module, or read what is kept; returns addresses by their names."""
    from llvmlite import binding

    declared = sorted(set().union(*(each.declared for each in functions)))
    text = "\n".join([*declared, *(each.text() for each in functions)])
    target = _target()
    code = _kept(what, text, target)
    backing = binding.parse_assembly("")
    backing.triple = target.triple
    engine = binding.create_mcjit_compiler(backing, target)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address


def _kept(what: str, text: str, target: Any) -> bytes:
    import llvmlite
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    parts = [text, binding.get_host_cpu_name(), features, llvmlite.__version__, target.triple]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    path = cache_folder() / "kernels" / f"{digest}.kernel"
    kept = _whole(path)
    if kept is not None:
        return kept
    progress.announce(f"Compiling {what} for this machine (once; kept in {path.parent}).")
    code = _compile(text, target)
    with suppress(Exception):  # a cache that cannot be written to costs a second at every start
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, hashlib.sha256(code).digest() + code)
    return code


def _whole(path: Path) -> bytes | None:
    """Return kept code; None where there is none, or not what was written: it would crash us."""
    with suppress(OSError):
        data = path.read_bytes()
        told, code = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(code).digest() == told:
            return code
    return None


def _compile(text: str, target: Any) -> bytes:
    from llvmlite import binding

    module = binding.parse_assembly(text)
    module.verify()
    module.triple = target.triple
    module.data_layout = str(target.target_data)
    options = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(target.emit_object(module))


def _target() -> Any:
    """Return a target of its own for every engine, which takes it over."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features().flatten()
    found = binding.Target.from_default_triple()
    return found.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3, jit=True
    )
