"""ConvNetJS snapshots: every layer type against a reading of its own rules, number by number."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striate import weights
from striate.errors import WeightsError
from striate.weights.convnetjs import read_convnetjs

RANDOM = np.random.default_rng(0)
Volume = np.ndarray  # (y, x, depth), as its numbers lie


def volume(sx: int, sy: int, depth: int) -> dict[str, Any]:
    numbers = RANDOM.normal(0, 0.5, sx * sy * depth)
    return {"sx": sx, "sy": sy, "depth": depth, "w": dict(enumerate(numbers.tolist()))}


def held(stored: dict[str, Any]) -> Volume:
    shape = (stored["sy"], stored["sx"], stored["depth"])
    return np.array([stored["w"][at] for at in range(len(stored["w"]))]).reshape(shape)


def snapshot() -> list[dict[str, Any]]:
    """Return layers of every type; each says the volume that it gives."""
    made: list[dict[str, Any]] = []
    shape = (11, 9, 2)

    def put(kind: str, out: tuple[int, int, int], **fields: Any) -> None:
        nonlocal shape
        names = ("out_sx", "out_sy", "out_depth")
        made.append({"layer_type": kind, **dict(zip(names, out, strict=True)), **fields})
        shape = out

    def dot(kind: str, sx: int, sy: int, out: tuple[int, int, int], **fields: Any) -> None:
        filters = [volume(sx, sy, shape[2]) for _ in range(out[2])]
        put(kind, out, sx=sx, sy=sy, filters=filters, biases=volume(1, 1, out[2]), **fields)

    put("input", shape)
    dot("conv", 3, 5, (6, 4, 8), stride=2, pad=1)
    put("relu", shape)
    put("lrn", shape, k=2, n=4, alpha=0.7, beta=0.75)
    put("maxout", (6, 4, 4), group_size=2)
    put("dropout", shape, drop_prob=0.3)
    put("pool", (3, 2, 4), sx=2, sy=2, stride=2, pad=0)
    put("sigmoid", shape)
    dot("fc", 3, 2, (1, 1, 9))
    put("maxout", (1, 1, 3), group_size=3)
    put("tanh", shape)
    dot("fc", 1, 1, (1, 1, 5))
    return made


def forward(layer: dict[str, Any], x: Volume) -> Volume:
    """Compute a layer by its own rules, position by position."""
    kind = layer["layer_type"]
    if kind == "fc":
        return np.array([[[(held(f).reshape(-1) * x.reshape(-1)).sum() + b
                           for f, b in zip(layer["filters"], held(layer["biases"]).reshape(-1),
                                           strict=True)]]])  # fmt: skip
    if kind in ("conv", "pool"):
        pad = layer["pad"]
        wide = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        out = np.zeros((layer["out_sy"], layer["out_sx"], layer["out_depth"]))
        for at in np.ndindex(*out.shape[:2]):
            top, left = (place * layer["stride"] for place in at)
            seen = wide[top : top + layer["sy"], left : left + layer["sx"]]
            out[at] = seen.max((0, 1)) if kind == "pool" else [
                (held(each) * seen).sum() for each in layer["filters"]] + held(
                layer["biases"])[0, 0]  # fmt: skip
        return out
    if kind == "lrn":
        half, out = layer["n"] // 2, np.zeros_like(x)
        for c in range(x.shape[2]):
            squares = (x[..., max(0, c - half) : c + half + 1] ** 2).sum(-1)
            out[..., c] = x[..., c] / (layer["k"] + layer["alpha"] / layer["n"] * squares) ** 0.75
        return out
    if kind == "maxout":
        return x.reshape(*x.shape[:2], -1, layer["group_size"]).max(-1)
    return {
        "dropout": lambda: x * layer["drop_prob"], "relu": lambda: np.maximum(x, 0),
        "sigmoid": lambda: 1 / (1 + np.exp(-x)), "tanh": lambda: np.tanh(x),
        "input": lambda: x,
    }[kind]()  # fmt: skip


@pytest.mark.parametrize("loss", ["softmax", "svm", "regression"])
def test_every_layer_type(tmp_path: Path, loss: str) -> None:
    layers = snapshot()
    x = held(volume(11, 9, 2))
    expected = x
    for layer in layers:
        expected = forward(layer, expected)
    layers.append({"layer_type": loss, "out_sx": 1, "out_sy": 1, "out_depth": 5})
    text = json.dumps({"layers": layers}).encode()
    for path in (tmp_path / "net.json", tmp_path / "net.json.gz"):
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        tensors, network, _, _ = read_convnetjs(path)
        net = weights.fit(network, tensors)
        with torch.no_grad():
            ours = net(torch.from_numpy(x.transpose(2, 0, 1).copy()).float()[None])
        np.testing.assert_allclose(ours[0], expected.reshape(-1), rtol=1e-4, atol=1e-5)
        with pytest.raises(WeightsError, match="Nothing says what images"):
            weights.open(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    layers = [*snapshot()[:2], {"layer_type": "quadtransform"}]
    (tmp_path / "net.json").write_text(json.dumps({"layers": layers}))
    with pytest.raises(WeightsError, match="layer 2 is of type 'quadtransform'"):
        weights.open(tmp_path / "net.json")
