"""Randomness with an address: every draw is a pure function of where it is used.

A `Stream` is a key (or one key a sample) hashed from an address such as `(seed, epoch, index)` or
`(seed, "layer1.0.conv1.weight")`. A draw names itself (`stream.uniform("angle", -10, 10)`), so the
order of draws, the number of workers, a resume and the number of devices change nothing. Draws are
vectorised over the keys: one call serves a whole batch.

The generator is counter-based: SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014; the
constants are Stafford's variant 13) over key and counter. It is not for cryptography.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

Keys = npt.NDArray[np.uint64]
Address = int | str | npt.NDArray[np.integer[Any]]


def stream(*address: Address) -> Stream:
    """Return the stream at an address of integers, names and (one per sample) integer arrays.

    Example:
        >>> import numpy as np
        >>> batch = stream(7, "augment", 3, np.array([10, 11]))     # seed, use, epoch, samples
        >>> alone = stream(7, "augment", 3, np.array([11]))
        >>> bool(batch.uniform("angle")[1] == alone.uniform("angle")[0])
        True
    """
    return Stream(np.zeros((), np.uint64)).fold(*address)


class Stream:
    """One key, or an array of keys: `keys.shape` is the shape of every draw."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def fold(self, *address: Address) -> Stream:
        """Return the stream one or more address parts further in; arrays broadcast."""
        keys = self.keys
        with np.errstate(over="ignore"):  # the arithmetic is modulo 2**64
            for part in address:
                keys = _mix(_mix(keys + _GOLDEN) ^ _word(part))
        return Stream(keys)

    def bits(self, name: str, size: tuple[int, ...] = ()) -> Keys:
        """Return 64 random bits for each key: shape `keys.shape + size`."""
        count = int(np.prod(size, dtype=np.int64))
        counters = np.arange(1, count + 1, dtype=np.uint64).reshape(size)
        base = self.fold(name).keys
        base = base.reshape(base.shape + (1,) * len(size))
        with np.errstate(over="ignore"):
            return np.asarray(_mix(base + counters * _GOLDEN))

    def uniform(
        self, name: str, low: float = 0.0, high: float = 1.0, size: tuple[int, ...] = ()
    ) -> npt.NDArray[np.float64]:
        """Draw float64 uniformly from low to high: shape `keys.shape + size`.

        From 0 to 1 (the default) never gives 1; other bounds can be met by rounding.
        """
        unit = (self.bits(name, size) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def normal(
        self, name: str, mean: float = 0.0, std: float = 1.0, size: tuple[int, ...] = ()
    ) -> npt.NDArray[np.float64]:
        """Draw float64 normals by Box and Muller: shape `keys.shape + size`."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(name + "/radius", size=size)))
        return mean + std * radius * np.cos(2 * np.pi * self.uniform(name + "/angle", size=size))

    def integers(
        self, name: str, low: int, high: int, size: tuple[int, ...] = ()
    ) -> npt.NDArray[np.int64]:
        """Draw int64 uniformly from low to high, both included: shape `keys.shape + size`."""
        return low + np.floor(self.uniform(name, 0.0, high - low + 1, size)).astype(np.int64)

    def permutation(self, name: str, length: int) -> npt.NDArray[np.int64]:
        """Return a random order of `range(length)`; the stream must have a single key."""
        order = np.argsort(self.bits(name, (length,)), kind="stable")
        return order.astype(np.int64, copy=False).reshape(length)

    def seed(self, name: str) -> int:
        """Return a 63-bit seed for another generator (torch's, for example)."""
        return int(self.bits(name).reshape(()) >> np.uint64(1))


def _word(part: Address) -> Keys:
    if isinstance(part, str):
        digest = hashlib.blake2b(part.encode(errors="surrogatepass"), digest_size=8).digest()
        return np.asarray(int.from_bytes(digest, "little"), np.uint64)
    if isinstance(part, int):
        return np.asarray(part % 2**64, np.uint64)
    return np.asarray(part).astype(np.uint64)


def _mix(keys: Keys) -> Keys:
    keys = (keys ^ (keys >> np.uint64(30))) * _MIX_1
    keys = (keys ^ (keys >> np.uint64(27))) * _MIX_2
    return np.asarray(keys ^ (keys >> np.uint64(31)))
