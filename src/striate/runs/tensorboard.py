"""A run's history as an event file of TensorBoard, written here: the format is three small rules.

A file is a row of records. A record is the length of its data (8 bytes), a checksum of that (4),
the data, a checksum of the data (4), all little-endian; a checksum is a CRC-32C, rotated by 15 bits
and added to a constant. The data is a protobuf message `Event`: wall time (field 1), step (2), and
either the file's version (3) or a summary (5) of values, each a tag (1) and a 32-bit float (2).

Written here, it takes no package of 60 MB to leave a file for one.

Source: TensorFlow, `core/lib/io/record_writer.h`, `core/util/event.proto`,
`core/framework/summary.proto`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from striate.files import atomic_write, reporting
from striate.runs.run import Run
from striate.runs.scalars import Scalar

_NAME = "events.out.tfevents.0.striate"  # TensorBoard takes every file with the middle word in it
_VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
_MASK = 0xA282EAD8


def write_tensorboard(run: Run, folder: Path | str) -> Path:
    """Write a run's history as an event file below `folder`, and return the file.

    Several runs in one folder are compared by TensorBoard. Written again, the file of a run that
    goes on is added to, so that a TensorBoard which is open sees the new steps.

    Args:
        run: finished, running or crashed.
        folder: `tensorboard --logdir FOLDER`; the run gets a folder of its name in it.

    Raises:
        RunError: the disk is full.
    """
    path = Path(folder) / run.path.resolve().name / _NAME
    data = b"".join(_records(run.scalars()))
    old = path.read_bytes() if path.exists() else b""
    if old and data.startswith(old):
        with reporting(path), open(path, "ab") as file:
            file.write(data[len(old) :])
    else:
        atomic_write(path, data)
    return path


def _records(scalars: Sequence[Scalar]) -> Iterator[bytes]:
    """Yield the records of a file: its version, then an event a line of the history."""
    began = scalars[0].time if scalars else 0.0
    yield _record(_time(began) + _field(3, _VERSION))
    for (step, time), values in groupby(scalars, lambda each: (each.step, each.time)):
        summary = b"".join(_field(1, _value(each)) for each in values)
        yield _record(_time(time) + b"\x10" + _varint(step) + _field(5, summary))


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _value(scalar: Scalar) -> bytes:
    return _field(1, scalar.tag.encode()) + b"\x15" + _float(scalar.value)


def _time(seconds: float) -> bytes:
    return b"\x09" + struct.pack("<d", seconds)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # greater than a 32-bit float can be
        return struct.pack("<f", math.copysign(math.inf, value))


def _field(number: int, content: bytes) -> bytes:
    """Return a protobuf field that has a length: text, or a message."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return an integer as protobuf has it: 7 bits a byte, the lowest first."""
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_remainder(byte) for byte in range(256))
