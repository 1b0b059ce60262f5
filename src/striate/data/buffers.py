"""Memory for batches, used again once nobody looks at a batch any more.

Fresh memory is not free: the system clears each page when it is first touched, which for batches of
large images takes as long as writing them.
"""

from __future__ import annotations

import weakref
from threading import Lock

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Buffers:
    """Gives out arrays whose memory was used before, where there is one of that shape.

    Args:
        most: arrays that are kept in memory.

    Example:
        >>> buffers = Buffers(1)
        >>> first = buffers.take((2, 3))
        >>> second = buffers.take((2, 3))  # the first one is still looked at
        >>> place = first.ctypes.data
        >>> del first
        >>> buffers.take((2, 3)).ctypes.data == place
        True
    """

    def __init__(self, most: int) -> None:
        self.most, self._lock = most, Lock()
        self._kept: list[tuple[Floats, weakref.ref[Floats]]] = []

    def take(self, shape: tuple[int, ...]) -> Floats:
        """Return an array with whatever is in it; as long as it lives, nobody else gets it.

        A tensor or an array made of it keeps it alive, as far as that came about by
        `torch.from_numpy`; a plain view by numpy does not.
        """
        with self._lock:
            for place, (memory, seen) in enumerate(self._kept):
                if seen() is None and memory.shape == shape:
                    view = memory.view()
                    self._kept[place] = memory, weakref.ref(view)
                    return view
            memory = np.empty(shape, np.float32)
            view = memory.view()
            self._kept = [each for each in self._kept if each[1]() is not None]
            if len(self._kept) < self.most:
                self._kept.append((memory, weakref.ref(view)))
            return view
