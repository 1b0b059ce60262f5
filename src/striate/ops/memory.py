"""Memory of the device: what is free, and what this process takes at the most."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from striate.ops.machine import total_bytes, windows_bytes

_PROCESS = Path("/proc/self")


class Meter:
    """Memory of this process on a device: resident on a CPU, allocated on a GPU.

    Where the system does not say (anything but Linux, for a CPU), every figure is 0.

    Args:
        device: which.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        """Forget the peak so far."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with contextlib.suppress(OSError):  # then the peak is that since the process began
                (_PROCESS / "clear_refs").write_text("5")

    def held(self) -> int:
        """Return the bytes held now."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        return _resident("VmRSS")

    def peak(self) -> int:
        """Return the most bytes held since the start."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return _resident("VmHWM")


def free_bytes(device: torch.device) -> int:
    """Return the memory of a device that is free, for a process that begins now.

    Args:
        device: a CUDA device's own memory; for the CPU what Linux calls available, at most what
            the container may still take, what Windows calls free, and elsewhere all there is.
    """
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    if (windows := windows_bytes()) is not None:
        return windows[1]
    return min(_available(Path("/proc/meminfo")), _container_rest(Path("/sys/fs/cgroup")))


def _available(path: Path) -> int:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key == "MemAvailable":
                return 1024 * int(value.split()[0])
    except (OSError, ValueError):
        pass
    return total_bytes()


def _container_rest(group: Path) -> int:
    """Return what a Linux control group may still take; without a limit, more than anybody has."""
    try:
        limit, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, limit - taken)
    except (OSError, ValueError):
        return 1 << 62


def _resident(key: str) -> int:
    try:
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0
