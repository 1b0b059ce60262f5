"""Compiled code is kept, and made again where what was kept is not what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from striate.ops import native
from striate.ops.assembly import Function


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep kernels in a folder of the test's own; returns what is said."""
    lines: list[str] = []
    monkeypatch.setattr(native, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(native.progress, "announce", lines.append)
    return lines


def double() -> Function:
    code = Function("double", "source target room", lanes=4, pieces="first last")
    with code.loop(code.last, 1, code.first) as index:
        value = code.load(code.source + index * 16)
        code.store(value + value, code.target + index * 16)
    return code


def doubles() -> None:
    run = native.compile_functions("a test", [double()])["double"]
    source, target = torch.arange(20.0), torch.zeros(20)
    run(source.data_ptr(), target.data_ptr(), pieces=[(0, 3), (3, 4)])
    assert torch.equal(target[:16], 2 * source[:16]) and not target[16:].any()


def test_kernels_are_kept(said: list[str], tmp_path: Path) -> None:
    doubles()
    doubles()
    assert len(said) == 1 and "a test" in said[0]
    assert len(list((tmp_path / "kernels").iterdir())) == 1


def flipped(data: bytes) -> bytes:
    """Return the same but for one bit in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="cut"),
        pytest.param(lambda data: data[:200], id="short"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: data[32:], id="bare"),
        pytest.param(flipped, id="flipped"),
    ],
)
def test_damaged_kernels_are_made_again(
    said: list[str], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Loaded as they are, they end the process."""
    doubles()
    (path,) = (tmp_path / "kernels").iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    doubles()
    assert len(said) == 2 and path.read_bytes() == whole


def test_a_folder_in_a_kernels_place_is_no_kernel(said: list[str], tmp_path: Path) -> None:
    doubles()
    (path,) = (tmp_path / "kernels").iterdir()
    path.unlink()
    path.mkdir()
    doubles()
    assert len(said) == 2
