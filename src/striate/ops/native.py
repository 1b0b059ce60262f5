"""Object code of kernels: compiled for this machine by the LLVM that Numba brings, and kept.

Compiled code lies in the user's cache folder under a name that tells processor, versions and the
text it was made from, so that it is made again when any of them changes; a kernel compiles in about
a second and loads in a few milliseconds. Nothing is compiled on import.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from striate import progress
from striate.files import atomic_write, cache_folder
from striate.ops.assembly import Function

_engines: list[Any] = []  # they own the code that runs
"""Compiled code lives as long as the process."""


@lru_cache(maxsize=1)
def available() -> bool:
    """Say whether this machine has what compiles kernels; without it torch's own operators do."""
    try:
        _target()
    except Exception:  # whatever keeps LLVM from working here, torch works without it
        return False
    return True


def compile_functions(what: str, functions: Sequence[Function]) -> dict[str, Callable[..., None]]:
    """Return the public functions by name, to be called with integers; the GIL is released.

    Args:
        what: what is compiled, for the line that says so.
        functions: all of one module, those called before their callers.
    """
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
    return {
        each.name: ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(each.parameters))(
            engine.get_function_address(each.name)
        )
        for each in functions
        if each.public
    }


def _kept(what: str, text: str, target: Any) -> bytes:
    import llvmlite
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    parts = [text, binding.get_host_cpu_name(), features, llvmlite.__version__, target.triple]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    path = cache_folder() / "kernels" / f"{digest}.o"
    with suppress(OSError):
        return path.read_bytes()
    progress.say(f"Compiling {what} for this machine (once; kept in {path.parent}).")
    code = _compile(text, target)
    with suppress(Exception):  # a cache that cannot be written to costs a second at every start
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, code)
    return code


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


@lru_cache(maxsize=1)
def _target() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features().flatten()
    found = binding.Target.from_default_triple()
    return found.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3, jit=True
    )
