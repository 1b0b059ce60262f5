"""The loader says what its time went into, and what would help."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from striate import data
from striate.contract import Contract, Resize
from striate.data import samples as samples_room
from striate.data.pace import Pace, Tally, stage

SLOW = Pace(
    images=1000,
    waiting=0.4,
    waited=8.0,
    disk=1.0,
    decode=7.0,
    augment=2.0,
    copy=0.0,
    bottleneck="decode",
)


def test_stages_count_without_what_is_within_them() -> None:
    tally = Tally()
    with tally.making(2), stage("decode"):
        with stage("disk"):
            time.sleep(0.03)
        time.sleep(0.01)
    found = tally.take()
    assert found.images == 2 and found.bottleneck == "disk"
    assert 0.03 <= found.disk and 0.01 <= found.decode < found.disk and found.augment < 0.01
    assert tally.take().images == 0


def test_advice_names_the_bottleneck_and_what_would_help() -> None:
    said = SLOW.advice(workers=2, cores=8, total=60_000, pixels=200_000.0)
    assert said is not None
    assert said.startswith("Training waited for its images 40% of the time; an image takes 10.0 ms")
    assert "(decoding 70%, augmentation and normalisation 20%, reading files 10%)" in said
    assert "--set workers=8 would use all cores" in said
    assert "packing would give 4.8x: 4 minutes once (striate pack)" in said


def test_advice_is_silent_where_there_is_none_to_give() -> None:
    assert SLOW.replace(waiting=0.03).advice(workers=2, cores=8, total=1, pixels=1.0) is None
    assert SLOW.replace(waited=1.0).advice(workers=2, cores=8, total=1, pixels=1.0) is None
    packed = SLOW.replace(decode=0.0, bottleneck="augment")
    said = packed.advice(workers=2, cores=2, total=100, pixels=None)
    assert said is not None and said.endswith("Fewer or cheaper augmentations would help.")


def test_a_loader_times_waiting_disk_and_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(4):
            noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    images = data.open(str(tmp_path)).parts["all"]
    assert isinstance(images, data.FileSamples)
    images.kept = [None] * len(images)
    whole = samples_room.read_bytes

    def slowly(path: Path) -> bytes:
        time.sleep(0.01)
        return whole(path)

    monkeypatch.setattr(samples_room, "read_bytes", slowly)
    contract = Contract(
        classes=data.open(str(tmp_path)).classes,
        channels="rgb",
        size=(32, 32),
        resize=Resize(rule="exact", size=(32, 32)),
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
    )
    loader = data.Loader(images, contract, batch=4, seed=0, shuffle=True)
    for _ in loader.epoch(0):
        time.sleep(0.02)
    found = loader.tally.take()
    assert found.images == 8 and found.bottleneck == "disk" and found.disk >= 0.08
    assert found.decode > 0 and found.augment > 0
    assert found.waited >= found.disk and 0.4 < found.waiting < 1


def test_what_is_made_ahead_is_bounded() -> None:
    pixels = np.zeros((64, 8, 8, 3), np.uint8)
    samples = data.ArraySamples(pixels, [0] * 64, [str(k) for k in range(64)])
    contract = Contract(
        classes=data.open("digits").classes,
        channels="rgb",
        size=(8, 8),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    one = 4 * 4 * 3 * 8 * 8  # bytes of a batch of four

    def ahead(memory: int) -> int:
        return data.Loader(
            samples, contract, batch=4, seed=0, shuffle=True, workers=4, memory=memory
        ).ahead

    assert [ahead(one * 3), ahead(one * 1000), ahead(1)] == [3, 8, 1]


def test_batches_stay_where_they_are_on_a_cpu() -> None:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.0,), std=(1.0,)
    )
    loader = data.Loader(digits.parts["all"], contract, batch=500, seed=0, shuffle=True)
    plain, there = list(loader.epoch(0)), list(data.onto(loader.epoch(0), torch.device("cpu")))
    assert len(plain) == len(there) == 4
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain, there, strict=True))


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_of_the_cpu() -> None:
    digits = data.open("digits")
    contract = Contract(
        classes=digits.classes, channels="grey", size=(8, 8), mean=(0.0,), std=(1.0,)
    )
    loader = data.Loader(digits.parts["all"], contract, batch=100, seed=0, shuffle=True)
    pinned = data.Loader(digits.parts["all"], contract, batch=100, seed=0, shuffle=True, pin=True)
    moved = data.onto(pinned.epoch(0), torch.device("cuda"))
    for one, other in zip(loader.epoch(0), moved, strict=True):
        assert other.images.is_cuda and torch.equal(one.images, other.images.cpu())


class _Gpu:
    """What happens on a GPU, in order; a copy is over when another one has begun."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.marks = 0

    def event(self, enable_timing: bool) -> _Event:
        assert enable_timing
        return _Event(self)


class _Event:
    def __init__(self, gpu: _Gpu) -> None:
        self.gpu, self.number = gpu, -1

    def record(self, stream: object) -> None:
        self.number, self.gpu.marks = self.gpu.marks, self.gpu.marks + 1

    def query(self) -> bool:
        return self.gpu.marks > self.number + 1

    def elapsed_time(self, other: _Event) -> float:
        return 250.0 * (other.number - self.number)


class _Moving:
    """A tensor on its way to the GPU."""

    def __init__(self, gpu: _Gpu, name: str) -> None:
        self.gpu, self.name = gpu, name

    def to(self, device: torch.device, non_blocking: bool) -> _Moving:
        assert device.type == "cuda" and non_blocking
        self.gpu.log.append(f"copy {self.name}")
        return self

    def record_stream(self, stream: object) -> None:
        self.gpu.log.append(f"keep {self.name}")


def test_a_batch_is_waited_for_but_not_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of what a GPU is told; what it then does is tested where there is one."""
    gpu = _Gpu()

    class Stream:
        def wait_event(self, event: _Event) -> None:
            gpu.log.append(f"wait for mark {event.number}")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    none = np.zeros(0, np.int64)
    batches: list[Any] = [
        data.Batch(_Moving(gpu, f"images {k}"), _Moving(gpu, f"labels {k}"), none, 0, 0)  # type: ignore[arg-type]
        for k in range(3)
    ]
    tally = Tally()
    for k, _ in enumerate(data.onto(iter(batches), torch.device("cuda"), tally)):
        gpu.log.append(f"use {k}")
    one = ["copy images 0", "copy labels 0", "copy images 1", "copy labels 1"]
    two = ["wait for mark 1", "keep images 0", "keep labels 0", "use 0"]
    assert gpu.log[:8] == one + two
    assert gpu.log[8:14] == [
        "copy images 2", "copy labels 2",
        "wait for mark 3", "keep images 1", "keep labels 1", "use 1",
    ]  # fmt: skip
    assert gpu.log[14] == "wait for mark 5"
    assert tally.take().copy == pytest.approx(0.5)
