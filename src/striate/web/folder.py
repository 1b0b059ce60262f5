"""A run's folder as the page reads it: a document may be damaged, weights may be of the moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from striate.errors import RunError

LIVE = "live.safetensors"  # what a training shows of itself while it goes on, in figures/


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say as a mistake what a damaged document makes of those who read it.

    Raises:
        RunError: a document of the run is not what it should be.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, OSError) as error:
        raise RunError(
            f"{name} has a damaged document: {type(error).__name__}, {error}. Restore its folder "
            "from a copy, or train it again."
        ) from error
