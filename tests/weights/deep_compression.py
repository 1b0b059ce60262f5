"""Deep Compression's own form of SqueezeNet, turned into a caffemodel that anybody can read.

The form: how many weights are not zero, for each of the 26 convolutions in the prototxt's order;
then, layer by layer, a codebook of 256 values, the biases, one code a weight, and the gaps between
the weights in halves of bytes.
"""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import numpy as np


def read(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (name, weight, bias) of each convolution."""
    text = (folder / "SqueezeNet_deploy.prototxt").read_text()
    shapes = _shapes(text)
    file = io.BytesIO((folder / "compressed_SqueezeNet.net").read_bytes())

    def take(dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)

    layers = []
    for (name, shape), count in zip(shapes, take("<u4", len(shapes)), strict=True):
        codebook, bias = take("<f4", 256), take("<f4", shape[0])
        codes, gaps = take("u1", count), take("u1", (count + 1) // 2)
        gaps = np.stack([gaps & 15, gaps >> 4], axis=1).ravel()[:count].astype(np.int64)
        weight = np.zeros(np.prod(shape), np.float32)
        weight[np.cumsum(gaps + 1) - 1] = codebook[codes]
        layers.append((name, weight.reshape(shape), bias))
    assert not file.read()
    return layers


def _shapes(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return the convolutions of SqueezeNet's prototxt with the shapes of their weights."""
    found, channels, squeezed = [], 3, 0
    for layer in text.split("layer {")[1:]:
        if '"Convolution"' not in layer:
            continue
        name = re.search(r'name: "([^"]+)"', layer)[1]
        features = int(re.search(r"num_output: (\d+)", layer)[1])
        kernel = int(re.search(r"kernel_size: (\d+)", layer)[1])
        expands = name.endswith("_2")
        found.append((name, (features, squeezed if expands else channels, kernel, kernel)))
        if name.endswith("_1"):
            squeezed = features
        elif expands:
            channels = 2 * features
        else:
            channels = features
    return found


# -- Caffe's binary form, as Caffe writes it -------------------------------------------------------


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, older: bool = False) -> bytes:
    data = field(5, np.asarray(array, "<f4").tobytes())
    if not older:
        return field(7, field(1, b"".join(map(varint, array.shape)))) + data
    shape = (1,) * (4 - array.ndim) + array.shape
    return b"".join(field(1 + axis, size) for axis, size in enumerate(shape)) + data


def layer(name: str, kind: str, arrays: list[np.ndarray], number: int = 100) -> bytes:
    """Return a layer of today's form (100), the older one (2), or the oldest (1)."""
    text = name.encode()
    if number == 100:
        made = field(1, text) + field(2, kind.encode())
        return field(100, made + b"".join(field(7, blob(each)) for each in arrays))
    if number == 2:
        made = field(4, text) + field(5, 4)
        return field(2, made + b"".join(field(6, blob(each, older=True)) for each in arrays))
    made = field(1, text) + field(2, kind.lower().encode())
    made += b"".join(field(50, blob(each, older=True)) for each in arrays)
    return field(2, field(1, made))


def write(folder: Path, out: Path) -> Path:
    """Write SqueezeNet as `out/squeezenet.caffemodel` with its prototxt; returns the model."""
    net = field(1, b"SqueezeNet")
    for name, weight, bias in read(folder):
        net += layer(name, "Convolution", [weight, bias])
    shutil.copyfile(folder / "SqueezeNet_deploy.prototxt", out / "squeezenet.prototxt")
    (out / "squeezenet.caffemodel").write_bytes(net)
    return out / "squeezenet.caffemodel"
