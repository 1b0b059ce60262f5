"""Memory is used again, but never while somebody looks at it."""

from __future__ import annotations

import numpy as np
import torch

from striate.data.buffers import Buffers


def test_a_tensor_keeps_its_memory_and_gives_it_back() -> None:
    buffers = Buffers(2)
    array = buffers.take((4, 5))
    array[:] = 1.0
    tensor = torch.from_numpy(array)
    row, place = tensor[2].reshape(5, 1), array.ctypes.data
    del array, tensor
    others = [buffers.take((4, 5)) for _ in range(3)]
    assert place not in [each.ctypes.data for each in others]
    for each in others:
        each[:] = 2.0
    assert bool((row == 1.0).all())
    back = row.numpy()
    del row, others
    assert buffers.take((4, 5)).ctypes.data != place
    assert np.all(back == 1.0)
    del back
    assert place in [each.ctypes.data for each in [buffers.take((4, 5)), buffers.take((4, 5))]]


def test_no_more_is_kept_than_said() -> None:
    buffers = Buffers(2)
    taken = [buffers.take((3,)) for _ in range(5)]
    assert len({each.ctypes.data for each in taken}) == 5
    del taken
    assert len(buffers._kept) == 2
    held = buffers.take((7,))  # another shape: what nobody holds makes room
    assert len(buffers._kept) == 1
    assert held.shape == (7,)
