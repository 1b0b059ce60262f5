"""Caffe models of all generations; OpenCV's reader as the second opinion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.weights.deep_compression import blob, field, layer

from striate import weights
from striate.errors import WeightsError
from striate.weights.caffe import read_caffe
from striate.weights.caffe.wire import stored_layers

NET = """
name: "small"
input: "data" input_dim: 1 input_dim: 4 input_dim: 11 input_dim: 9
layer { name: "c/1" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 6 kernel_size: 3 group: 2 pad: 1 stride: 2 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "sc" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "side" type: "Convolution" bottom: "c" top: "side"
  convolution_param { num_output: 6 kernel_size: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "c" bottom: "side" top: "sum" }
layer { name: "n" type: "LRN" bottom: "sum" top: "n"
  lrn_param { local_size: 5 alpha: 0.1 beta: 0.75 } }
layer { name: "both" type: "Concat" bottom: "n" bottom: "side" top: "both" }
layer { name: "p" type: "Pooling" bottom: "both" top: "p"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "d" type: "Dropout" bottom: "p" top: "p" }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip"
  inner_product_param { num_output: 7 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def tensors() -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    return {
        "c/1": [draw(6, 2, 3, 3)],
        "bn": [draw(6), 3 + draw(6) ** 2, np.array([2.5], np.float32)],
        "sc": [draw(6), draw(6)],
        "side": [draw(6, 6, 1, 1), draw(6)],
        "ip": [draw(7, 12 * 3 * 2), draw(7)],
    }


TYPES = {"c/1": "Convolution", "bn": "BatchNorm", "sc": "Scale", "side": "Convolution"}


def write(folder: Path, number: int = 100) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "small.prototxt").write_text(NET)
    parts = [
        layer(name, TYPES.get(name, "InnerProduct"), arrays, number)
        for name, arrays in tensors().items()
    ]
    (folder / "small.caffemodel").write_bytes(field(1, b"small") + b"".join(parts))
    return folder / "small.caffemodel"


@pytest.mark.parametrize("number", [100, 2, 1])
def test_every_generation_holds_the_same(tmp_path: Path, number: int) -> None:
    expected, network, _, _ = read_caffe(write(tmp_path / "new"))
    found, _, _, _ = read_caffe(write(tmp_path / "old", number))
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name
    weights.fit(network, found)


@pytest.mark.parametrize("steps", [0, 1, 7, 400, 100_000])
def test_batches_are_told_from_the_weight_of_their_sums(tmp_path: Path, steps: int) -> None:
    """Training goes on with Caffe's share of the next batch: 1 / (0.999 weight + 1)."""
    weight = (1 - 0.999**steps) / 0.001
    file = write(tmp_path)
    arrays = tensors() | {"bn": [*tensors()["bn"][:2], np.array([weight], np.float32)]}
    parts = [layer(name, TYPES.get(name, "InnerProduct"), arrays[name], 100) for name in arrays]
    file.write_bytes(field(1, b"small") + b"".join(parts))
    found, network, _, _ = read_caffe(file)
    norm = weights.fit(network, found).get_submodule("bn").train()
    before = norm.running_mean.clone()
    batch = torch.randn(4, 6, 3, 3)
    norm(batch)
    share = 1 / (0.999 * weight + 1)
    torch.testing.assert_close(
        norm.running_mean, before + share * (batch.mean((0, 2, 3)) - before), rtol=1e-4, atol=1e-5
    )


def test_answers_are_opencvs(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = write(tmp_path)
    found, network, _, _ = read_caffe(path)
    net = weights.fit(network, found)
    theirs = cv2.dnn.readNetFromCaffe(str(path.with_suffix(".prototxt")), str(path))
    x = np.random.default_rng(0).normal(0, 1, (1, 4, 11, 9)).astype(np.float32)
    theirs.setInput(x)
    with torch.no_grad():
        ours = net(torch.from_numpy(x)).softmax(1).numpy()
    np.testing.assert_allclose(ours, theirs.forward().reshape(1, -1), rtol=1e-4)


def test_squeezenets_answers_are_opencvs(squeezenet: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    x = np.random.default_rng(0).normal(0, 50, (1, 3, 227, 227)).astype(np.float32)
    theirs = cv2.dnn.readNetFromCaffe(str(squeezenet.with_suffix(".prototxt")), str(squeezenet))
    theirs.setInput(x)
    with torch.no_grad():
        ours = weights.open(squeezenet).load()(torch.from_numpy(x)).numpy()
    expected = theirs.forward().reshape(1, -1)
    assert np.abs(ours - expected).max() < 1e-4 * np.abs(expected).max()


def test_what_is_cut_short_is_said(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        try:  # a cut between two layers leaves a sound file that lacks some
            found, network, _, _ = read_caffe(path)
            with pytest.raises(WeightsError, match="Missing: "):
                weights.fit(network, found)
        except WeightsError as error:
            assert "small.caffemodel" in str(error)  # noqa: PT017


def test_rubbish_is_no_model(tmp_path: Path) -> None:
    path = write(tmp_path)
    for content in (b"", b"\xff" * 40, b"not a model at all", b"\x0a\xff\xff\xff\xff\x0f"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"small\.caffemodel is no"):
            read_caffe(path)


def test_a_blob_of_another_size_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    wrong = [np.zeros((6, 5, 1, 1), np.float32), np.zeros(6, np.float32)]
    path.write_bytes(layer("side", "Convolution", wrong))
    found, network, _, _ = read_caffe(path)
    with pytest.raises(WeightsError, match=r"side\.weight \(expected \(6, 6, 1, 1\), received"):
        weights.fit(network, found)


def test_without_a_prototxt(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.with_suffix(".prototxt").unlink()
    with pytest.raises(WeightsError, match=r"Expected the network of small.caffemodel beside it"):
        weights.open(path)


def test_doubles_and_sums_of_no_weight(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f8")
    data = field(7, field(1, b"\x06")) + field(8, values.tobytes())
    (stored,) = stored_layers(memoryview(field(100, field(1, b"x") + field(7, data))))
    assert stored.blobs[0].values.tolist() == values.tolist()
    assert blob(np.ones(2)) != b""


def test_the_transform_of_a_training_file_is_its_contract(tmp_path: Path) -> None:
    data = (
        'layer { name: "data" type: "Data" top: "data" transform_param { scale: 0.017 '
        "mean_value: 103.94 mean_value: 116.78 mean_value: 123.68 crop_size: 224 } }"
    )
    text = (
        f'name: "m" {data} layer {{ name: "p" type: "Pooling" bottom: "data" top: "p" '
        "pooling_param { pool: AVE global_pooling: true } } "
        'layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip" '
        "inner_product_param { num_output: 1000 } }"
    )
    (tmp_path / "m.prototxt").write_text(text)
    arrays = [np.zeros((1000, 3), np.float32), np.zeros(1000, np.float32)]
    (tmp_path / "m.caffemodel").write_bytes(layer("ip", "InnerProduct", arrays))
    contract = weights.open(tmp_path / "m.caffemodel").contract()
    assert (contract.channels, contract.scale, contract.size) == ("bgr", 0.017, (224, 224))
    assert contract.mean == (103.94, 116.78, 123.68)


@pytest.mark.parametrize("older", [False, True])
def test_a_mean_image_is_the_first_layer(tmp_path: Path, older: bool) -> None:
    """Caffe cuts the mean where it cuts the image, from the middle, and scales what is left."""
    data = (
        'layer { name: "data" type: "Data" top: "data" transform_param { scale: 0.5 '
        'mean_file: "/home/somebody/imagenet_mean.binaryproto" crop_size: 4 } }'
    )
    text = (
        f'name: "m" {data} layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip" '
        "inner_product_param { num_output: 1000 } }"
    )
    random = np.random.default_rng(0)
    mean = random.uniform(90, 130, (3, 7, 6)).astype(np.float32)
    weight, bias = random.normal(size=(1000, 48)), random.normal(size=1000)
    (tmp_path / "m.prototxt").write_text(text)
    path = tmp_path / "m.caffemodel"
    path.write_bytes(layer("ip", "InnerProduct", [weight, bias]))
    shape = bytes([1 << 3, 1, 2 << 3, 3, 3 << 3, 7, 4 << 3, 6])
    file = tmp_path / "imagenet_mean.binaryproto"
    file.write_bytes(shape + field(5, mean.tobytes()) if older else blob(mean))
    opened = weights.open(path)
    assert opened.contract().mean == (0.0, 0.0, 0.0)
    assert opened.contract().mean_image == "mean_image.weight"
    assert "mean_image" in opened.notes[0]
    pixels = random.integers(0, 256, (2, 3, 4, 4)).astype(np.float32)
    slope, offset = opened.contract().forward
    with torch.no_grad():
        ours = opened.load()(torch.from_numpy(pixels * slope[0] + offset[0])).numpy()
    centred = (pixels - mean[:, 1:5, 1:5]) * 0.5
    np.testing.assert_allclose(ours, centred.reshape(2, -1) @ weight.T + bias, rtol=1e-4, atol=1e-3)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(WeightsError, match="imagenet_mean.binaryproto is no whole mean image"):
        weights.open(path)
    file.unlink()
    assert weights.open(path).contract().mean == (104.0, 117.0, 123.0)
