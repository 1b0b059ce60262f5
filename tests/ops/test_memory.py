"""What is free, and what this process takes."""

from __future__ import annotations

from mmap import mmap

import numpy as np
import torch

from striate.ops import Meter, free_bytes, machine

CPU = torch.device("cpu")


def test_a_meter_sees_what_comes_and_goes() -> None:
    meter = Meter(CPU)
    meter.start()
    before = meter.held()
    taken = mmap(-1, 100_000_000)  # from the system: an allocator may have as much to hand
    np.frombuffer(taken, np.uint8).fill(1)
    assert 95e6 < meter.held() - before < 120e6
    taken.close()
    assert meter.held() - before < 20e6
    assert 95e6 < meter.peak() - before < 120e6
    meter.start()
    assert meter.peak() - before < 20e6


def test_what_is_free_is_part_of_what_there_is() -> None:
    assert 0 < free_bytes(CPU) <= machine().memory_bytes
