"""The machine, as one frozen record: what a time was measured on, and what arithmetic depends on.

Which kernels run, in which order sums are taken and so the last bits of every number follow from
the device, the number of threads and the width of the vector unit. Whoever records a number records
this with it.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache
from pathlib import Path

import torch

from striate.errors import UsageError
from striate.records import Record

_VECTOR_BITS = {"AVX512": 512, "AVX2": 256, "DEFAULT": 128, "NEON": 128, "SVE256": 256, "VSX": 128}


class Machine(Record, frozen=True, kw_only=True):
    """One computer as torch sees it.

    Args:
        system: operating system and architecture.
        cpu: the processor's name.
        cores: CPUs that this process may use (its affinity and its container's quota).
        threads: threads torch computes an operation with.
        vector: the widest vector instructions torch uses, as it names them.
        vector_bits: their width in bits.
        memory_bytes: the computer's memory; 0 where the system does not say.
        gpus: names of the CUDA devices.
        cuda: the CUDA version torch was built for.
    """

    system: str
    cpu: str
    cores: int
    threads: int
    vector: str
    vector_bits: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()
    cuda: str | None = None


def machine() -> Machine:
    """Describe the computer that this process runs on."""
    vector = torch.backends.cpu.get_cpu_capability()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_name(),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        vector=vector,
        vector_bits=_VECTOR_BITS.get(vector, 128),
        memory_bytes=total_bytes(),
        gpus=tuple(torch.cuda.get_device_name(index) for index in gpus),
        cuda=torch.version.cuda,
    )


@lru_cache(maxsize=1)
def registers() -> tuple[int, int]:
    """Return floats in a vector, and vectors of features that kernels sum at a time.

    As many as the registers hold, beside what is multiplied.
    """
    here = machine()
    lanes = max(here.vector_bits // 32, 4)
    many = lanes == 16 or "arm64" in here.system or "aarch64" in here.system
    return lanes, 4 if many else 2


@lru_cache(maxsize=1)
def l2_bytes() -> int:
    """Return the size of a core's second cache; a mebibyte where the system does not say."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 1 << 20


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name.

    Args:
        name: `auto` (a GPU where there is one), `cpu`, `cuda`, or `cuda:1`.

    Raises:
        UsageError: no such device here; says which there are.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["cpu", *(f"cuda:{index}" for index in range(count))]
    if name in ("auto", "cuda") and count:
        return torch.device("cuda", torch.cuda.current_device())
    wanted = "cpu" if name == "auto" else name
    if wanted not in here:
        raise UsageError(
            f"Expected a device that is here (auto, {', '.join(here)}), received device={name!r}."
        )
    return torch.device(wanted)


def usable_cores() -> int:
    """Return how many CPUs this process may use, by its affinity and its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _quota(Path("/sys/fs/cgroup/cpu.max")) or allowed))


def load_per_core() -> float:
    """Return how many processes wanted to run in the last minute, to each core; 0 if unknown."""
    try:
        return os.getloadavg()[0] / usable_cores()
    except (AttributeError, OSError):  # as on Windows
        return 0.0


def _quota(path: Path) -> int | None:
    """Read a Linux control group's CPU quota, rounded up to whole CPUs; None without one."""
    try:
        quota, period = path.read_text().split()
        return None if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class _Status(ctypes.Structure):
    """What Windows fills in when it is asked for its memory."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def windows_bytes() -> tuple[int, int] | None:
    """Return the computer's memory and what is free of it; None on other systems than Windows."""
    library = getattr(ctypes, "windll", None)
    if library is None:
        return None
    status = _Status(length=ctypes.sizeof(_Status))
    library.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.total, status.free


def total_bytes() -> int:
    """Return the computer's memory; 0 where the system does not say."""
    if (windows := windows_bytes()) is not None:
        return windows[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
