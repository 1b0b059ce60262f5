"""Published weights load strictly into the zoo's networks and know photographs of ImageNet.

SqueezeNet 1.0 as Deep Compression stores it (pruned, 256 values a layer), MobileNet v1 0.25 as
TensorFlow.js stores it. All 250 photographs give what another program measured on them (62.4 and
81.2%, 57.6 and 80.0%), so every constant is tried: padding, epsilon, activations, order of layers.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate import zoo
from striate.layers import build

STEP = 5  # every fifth photograph; the slow test takes all


def squeezenet(folder: Path) -> nn.Module:
    """Read the 26 layers: counts; then codebook, biases, codes and gaps of the non-zero weights."""
    network = zoo.network("squeezenet1_0(last_padding=1)", input=(3, 227, 227))
    net = build(network, seed=None)
    data = (folder / "squeezenet_v10_deepcompression" / "compressed_SqueezeNet.net").read_bytes()
    file, state = io.BytesIO(data), {}

    def read(dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)

    names = [name[: -len(".weight")] for name, _ in net.named_parameters() if "weight" in name]
    for name, count in zip(names, read("<u4", 26), strict=True):
        shape = tuple(net.get_parameter(f"{name}.weight").shape)
        codebook, bias = read("<f4", 256), read("<f4", shape[0])
        codes, gaps = read("u1", count), read("u1", (count + 1) // 2)
        gaps = np.stack([gaps & 15, gaps >> 4], axis=1).ravel()[:count].astype(np.int64)
        weight = np.zeros(np.prod(shape), np.float32)
        weight[np.cumsum(gaps + 1) - 1] = codebook[codes]
        state[f"{name}.weight"] = torch.from_numpy(weight.reshape(shape))
        state[f"{name}.bias"] = torch.from_numpy(bias.copy())
    assert not file.read()
    net.load_state_dict(state, strict=True, assign=True)
    return net.eval()


def mobilenet(folder: Path) -> nn.Module:
    """Read Keras's tensors, whose layer names are the network's."""
    net = build(zoo.network("mobilenet_v1(width=0.25)"), seed=None)
    with tarfile.open(folder / "mobilenet_v1_025_224_tfjs.tar") as tar:
        files = {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}
    names = {"gamma": "weight", "beta": "bias", "bias": "bias"}
    names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    state = {k: torch.zeros(()).long() for k in net.state_dict() if "batches_tracked" in k}
    for group in json.loads(files["model.json"])["weightsManifest"]:
        stream = io.BytesIO(b"".join(files[Path(path).name] for path in group["paths"]))
        for each in group["weights"]:
            layer, _, kind = each["name"].rpartition("/")
            size = int(np.prod(each["shape"]))
            value = np.frombuffer(stream.read(4 * size), "<f4").reshape(each["shape"])
            if kind == "kernel":  # (height, width, in, out)
                value = value.transpose(3, 2, 0, 1)
            elif kind == "depthwise_kernel":  # (height, width, in, 1)
                value = value.transpose(2, 3, 0, 1)
            key = f"{layer}.{names.get(kind, 'weight')}"
            value = value.reshape(net.state_dict()[key].shape)
            state[key] = torch.from_numpy(value.copy())
    net.load_state_dict(state, strict=True, assign=True)
    return net.eval()


def photographs(folder: Path, size: int, step: int) -> tuple[np.ndarray, Tensor]:
    """Return central crops (n, size, size, 3) of the photographs, and their classes."""
    crops, labels = [], []
    with tarfile.open(folder / "samples_250_short256.tar") as tar:
        for member in [each for each in tar if each.isfile()][::step]:
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            left, top = (image.width - size) // 2, (image.height - size) // 2
            crops.append(np.asarray(image.crop((left, top, left + size, top + size))))
            labels.append(int(Path(member.name).name.partition("_")[0]))
    return np.stack(crops), torch.tensor(labels)


def right(net: nn.Module, pixels: np.ndarray, labels: Tensor) -> tuple[int, int]:
    """Return how many photographs (n, height, width, 3) are right at the first, among five."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32))
    with torch.no_grad():
        scores = torch.cat([net(chunk) for chunk in images.split(25)])
    hits = scores.topk(5).indices == labels[:, None]
    return int(hits[:, 0].sum()), int(hits.sum())


@pytest.mark.parametrize(
    ("step", "top1", "top5"), [(STEP, 32, 40), pytest.param(1, 156, 203, marks=pytest.mark.slow)]
)
def test_squeezenet(
    published_weights: Path, imagenet_samples: Path, step: int, top1: int, top5: int
) -> None:
    pixels, labels = photographs(imagenet_samples, 227, step)
    blue_first = pixels[..., ::-1] - np.array([104, 117, 123], np.float32)
    assert right(squeezenet(published_weights), blue_first, labels) == pytest.approx(
        (top1, top5), abs=1
    )


@pytest.mark.parametrize(
    ("step", "top1", "top5"), [(STEP, 28, 42), pytest.param(1, 144, 200, marks=pytest.mark.slow)]
)
def test_mobilenet(
    published_weights: Path, imagenet_samples: Path, step: int, top1: int, top5: int
) -> None:
    pixels, labels = photographs(imagenet_samples, 224, step)
    scaled = pixels.astype(np.float32) / 127.5 - 1
    assert right(mobilenet(published_weights), scaled, labels) == pytest.approx((top1, top5), abs=1)
