"""What a server takes upon itself, as one record."""

from __future__ import annotations

from striate.errors import UsageError
from striate.records import Record

MEBIBYTE = 1 << 20


class Limits(Record, frozen=True, kw_only=True):
    """How much a server takes, of one request and of all.

    Args:
        body_bytes: of one request.
        held_bytes: of all requests' bodies at a time.
        pixels: of one image, before it is unpacked.
        images: in one request.
        seconds: a request may take, the reading of its body included.
        wait: seconds; whoever would have to wait longer for an answer is sent away.
        batch: images that the network computes at a time.
        companions: seconds that an image waits for others that are being decoded.
    """

    body_bytes: int = 16 * MEBIBYTE
    held_bytes: int = 256 * MEBIBYTE
    pixels: int = 50_000_000
    images: int = 64
    seconds: float = 30.0
    wait: float = 1.0
    batch: int = 8
    companions: float = 0.004

    def __post_init__(self) -> None:
        for name in ("body_bytes", "held_bytes", "pixels", "images", "seconds", "wait", "batch"):
            if not getattr(self, name) > 0:
                raise UsageError(f"Expected a positive {name}, received {getattr(self, name)}.")
