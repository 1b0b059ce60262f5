"""The contract inside the graph is the contract outside it, to the grey level."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate import data
from striate.contract import Class, Contract, Resize
from striate.data.decode import to_channels
from striate.errors import UsageError
from striate.export.graph import Graph
from striate.export.preprocessing import preprocess
from striate.export.torch_program import Eager

onnxruntime = pytest.importorskip("onnxruntime")
CLASSES = (Class(id="a", label="a"),)
CASES = [
    (rule, filter, antialias, arithmetic, channels)
    for rule in ("short_side", "exact", "pad", "frame", "none")
    for filter in ("bilinear", "bicubic", "lanczos", "box")
    for antialias in (True, False)
    for arithmetic in ("uint8", "float32")
    for channels in ("rgb", "bgr", "grey")
    if (antialias or filter in ("bilinear", "box")) and (channels == "rgb" or filter == "bilinear")
]


def contract(
    rule: str, filter: str, antialias: bool, arithmetic: str, channels: str, crop: str = "centre"
) -> Contract:
    count = 1 if channels == "grey" else 3
    edge = (0, 0) if rule == "none" else (27, 24)
    return Contract(
        classes=CLASSES, channels=channels, size=(24, 20), crop=crop,
        resize=Resize(rule=rule, size=edge, filter=filter, antialias=antialias,
                      arithmetic=arithmetic),
        mean=(0.5,) * count, std=(0.25,) * count, background=(200, 30, 90),
    )  # fmt: skip


@cache
def session(given: Contract) -> Any:
    graph = Graph()
    graph.op("Identity", preprocess(graph, "pixels", given), name="y")
    shape = ("batch", given.channel_count, *given.size)
    model = graph.model("p", {"pixels": ("UINT8", ("batch", "height", "width", 3))},
                        {"y": ("FLOAT", shape)}, {})  # fmt: skip
    return onnxruntime.InferenceSession(model)


def levels_apart(case: Contract, pixels: np.ndarray) -> float:
    expected = data.prepare(to_channels(pixels, case.channels), case)
    (found,) = session(case).run(None, {"pixels": pixels[None]})
    return float(np.abs(found[0] - expected).max() * 255 * 0.25)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_every_rule_and_filter(case: tuple[Any, ...]) -> None:
    made = contract(*case)
    random = np.random.default_rng(0)
    small = ((27, 24), (60, 24), (31, 47), (200, 301))
    others = ((97, 33), (7, 9), (13, 150)) if case[0] != "none" else ((25, 25),)
    for size in (*small, *others):
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        # Rounded float32 sums, in another order: a half may fall on either side.
        most = 1.001 if case[2:4] == (False, "uint8") else 1e-3
        assert levels_apart(made, pixels) < most, size


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: "-".join(map(str, case)))
def test_torch_computes_the_same(case: tuple[Any, ...]) -> None:
    made, random = contract(*case), np.random.default_rng(0)
    for size in ((27, 24), (31, 47), (97, 33)):  # of the last one heights are scaled first
        pixels = random.integers(0, 256, (2, *size, 3), dtype=np.uint8)
        found = preprocess(Eager(), torch.from_numpy(pixels), made)
        most = 1.001 if case[2:4] == (False, "uint8") else 1e-3
        for at in range(2):
            expected = data.prepare(to_channels(pixels[at], made.channels), made)
            assert np.abs(found[at].numpy() - expected).max() * 255 * 0.25 < most


@given(height=st.integers(1, 120), width=st.integers(1, 120), seed=st.integers(0, 9))
def test_any_size(height: int, width: int, seed: int) -> None:
    made = contract("short_side", "bilinear", True, "uint8", "rgb")
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert levels_apart(made, pixels) < 1e-3


def test_a_batch_is_its_images() -> None:
    made = contract("exact", "bilinear", True, "uint8", "rgb")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 50, 40, 3), dtype=np.uint8)
    (together,) = session(made).run(None, {"pixels": pixels})
    for index in range(3):
        (alone,) = session(made).run(None, {"pixels": pixels[index : index + 1]})
        assert np.array_equal(together[index], alone[0])


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(UsageError, match="A resize by nearest cannot be exported"):
        preprocess(Graph(), "pixels", contract("exact", "nearest", True, "uint8", "rgb"))
    with pytest.raises(UsageError, match="bicubic without antialiasing cannot"):
        preprocess(Graph(), "pixels", contract("exact", "bicubic", False, "float32", "rgb"))
