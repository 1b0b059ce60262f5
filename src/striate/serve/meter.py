"""What a server counts, and its page for Prometheus.

The numbers lie in memory that all worker processes share, a row each: every process writes its own
and a scrape, whichever process answers it, sums them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64)
CODES = (200, 400, 401, 404, 405, 408, 413, 422, 500, 503)

_GAUGES = ("pending_images", "held_bytes", "ready", "resident_bytes")
_COUNTERS = ("images_total", "engine_seconds_total", "abandoned_total")
_HELP = {
    "requests_total": "Requests answered, by status code.",
    "request_seconds": "Time from a prediction request's first byte to its answer.",
    "batch_images": "Images of requests that the network computed at a time.",
    "images_total": "Images answered.",
    "engine_seconds_total": "Time that engines computed.",
    "abandoned_total": "Requests whose client left before the answer.",
    "pending_images": "Images admitted and not yet answered.",
    "held_bytes": "Bodies in memory.",
    "ready": "Worker processes that are ready.",
    "resident_bytes": "Memory of the worker processes; what they share counts for each.",
}


class Meter:
    """The counters of one server.

    Args:
        workers: processes that write.
    """

    def __init__(self, workers: int = 1) -> None:
        names = [*(f"code_{code}" for code in CODES), *_COUNTERS, *_GAUGES]
        for name, edges in (("request_seconds", SECONDS), ("batch_images", IMAGES)):
            names += [f"{name}_{place}" for place in range(len(edges) + 1)] + [f"{name}_sum"]
        self._place = {name: place for place, name in enumerate(names)}
        shared = mmap.mmap(-1, 8 * workers * len(names))
        self._all = np.frombuffer(shared, np.float64).reshape(workers, len(names))
        self._own = self._all[0]

    def of(self, worker: int) -> None:
        """Write to a worker's row from now on, from zero gauges."""
        self._own = self._all[worker]
        for name in _GAUGES:
            self.set(name, 0)

    def add(self, name: str, value: float = 1.0) -> None:
        """Add to a counter."""
        self._own[self._place[name]] += value

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._own[self._place[name]] = value

    def code(self, status: int) -> None:
        """Count an answer."""
        self.add(f"code_{status if status in CODES else 500 if status > 499 else 400}")

    def observe(self, name: str, edges: Sequence[float], value: float) -> None:
        """Count a value in a histogram."""
        self.add(f"{name}_{int(np.searchsorted(edges, value))}")
        self.add(f"{name}_sum", value)

    def total(self, name: str) -> float:
        """Return a number, summed over the processes."""
        return float(self._all[:, self._place[name]].sum())

    def page(self) -> str:
        """Return all of it in Prometheus' text format."""
        self.set("resident_bytes", resident())
        lines = _head("requests_total", "counter")
        lines += [
            f'striate_requests_total{{code="{code}"}} {self.total(f"code_{code}"):.0f}'
            for code in CODES
        ]
        for name, kind in [*((n, "counter") for n in _COUNTERS), *((n, "gauge") for n in _GAUGES)]:
            lines += [*_head(name, kind), f"striate_{name} {self.total(name):.15g}"]
        for name, edges in (("request_seconds", SECONDS), ("batch_images", IMAGES)):
            lines += _head(name, "histogram")
            below = 0.0
            for place, edge in enumerate((*edges, "+Inf")):
                below += self.total(f"{name}_{place}")
                lines.append(f'striate_{name}_bucket{{le="{edge}"}} {below:.0f}')
            lines.append(f"striate_{name}_sum {self.total(f'{name}_sum'):.9g}")
            lines.append(f"striate_{name}_count {below:.0f}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str) -> list[str]:
    return [f"# HELP striate_{name} {_HELP[name]}", f"# TYPE striate_{name} {kind}"]


def resident() -> int:
    """Return the bytes of memory this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
