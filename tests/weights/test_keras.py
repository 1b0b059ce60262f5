"""Keras models: every layer type against a plain reading of Keras's own rules; files at hand."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from striate import weights
from striate.design import Network, Sketch
from striate.errors import WeightsError
from striate.weights.keras import read_keras
from striate.weights.keras.archive import snake
from striate.weights.keras.topology import read_topology

RANDOM = np.random.default_rng(0)


def write(folder: Path, layers: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Path:
    """Write a Sequential model as TensorFlow.js does, in two shards."""
    data = b"".join(each.astype("<f4").tobytes() for each in arrays.values())
    (folder / "a.bin").write_bytes(data[:10])
    (folder / "b.bin").write_bytes(data[10:])
    entries = [
        {"name": name, "shape": list(each.shape), "dtype": "float32"}
        for name, each in arrays.items()
    ]
    topology = {"class_name": "Sequential", "config": {"name": "small", "layers": layers}}
    model = {
        "modelTopology": {"model_config": topology},
        "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": entries}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return folder


DENSE = [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 2]}},
    {"class_name": "Dense", "config": {"name": "d", "units": 3}},
]


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def test_a_network_with_every_turn(tmp_path: Path) -> None:
    """Padding `same` of a stride, channels last through Flatten, depthwise, no scale."""
    arrays, layers = every_turn()
    tensors, network, _, _ = read_keras(write(tmp_path, layers, arrays))
    assert network is not None
    net = weights.fit(network, tensors)
    x = torch.randn(2, 11, 10, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = net(x.permute(0, 3, 1, 2))
    assert torch.allclose(ours, plainly(x, arrays), rtol=1e-4, atol=1e-5)


def every_turn() -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    arrays = {
        "c/kernel": draw(3, 3, 2, 4), "c/bias": draw(4),
        "n/beta": draw(4), "n/moving_mean": draw(4), "n/moving_variance": 1 + draw(4) ** 2,
        "w/depthwise_kernel": draw(3, 3, 4, 2),
        "d/kernel": draw(3 * 3 * 8, 5), "d/bias": draw(5),
    }  # fmt: skip
    layers = [
        layer("Conv2D", "c", batch_input_shape=[None, 11, 10, 2], filters=4, kernel_size=[3, 3],
              strides=[2, 2], padding="same", activation="relu"),
        layer("BatchNormalization", "n", epsilon=0.01, scale=False),
        layer("DepthwiseConv2D", "w", kernel_size=3, strides=1, padding="same",
              depth_multiplier=2, use_bias=False),
        layer("AveragePooling2D", "a", pool_size=2, strides=2, padding="same"),
        layer("Flatten", "f"),
        layer("Dense", "d", units=5, activation="softmax"),
    ]  # fmt: skip
    return arrays, layers


@pytest.mark.parametrize("named", [True, False], ids=["named", "counted"])
def test_a_keras_3_archive(tmp_path: Path, named: bool) -> None:
    """Tensors lie under their layers' types there, whose names older files leave out."""
    arrays, layers = every_turn()
    path = archive(tmp_path / "m.keras", layers, arrays, named)
    tensors, network, _, _ = read_keras(path)
    expected, _, _, _ = read_keras(write(tmp_path, layers, arrays))
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert network is not None
    weights.fit(network, tensors)


def archive(
    path: Path, layers: list[dict[str, Any]], arrays: dict[str, np.ndarray], named: bool = True
) -> Path:
    """Write a Sequential model as Keras 3 does."""
    h5py = pytest.importorskip("h5py")
    topology = {"class_name": "Sequential", "config": {"name": "small", "layers": layers}}
    content, seen = io.BytesIO(), dict[str, int]()
    with h5py.File(content, "w") as file:
        for each in layers:
            word, name = snake(each["class_name"]), each["config"]["name"]
            seen[word] = seen.get(word, -1) + 1
            group = file.create_group(f"layers/{word}{f'_{seen[word]}' if seen[word] else ''}/vars")
            if named:
                group.attrs["name"] = name
            own = [value for key, value in arrays.items() if key.partition("/")[0] == name]
            for at, value in enumerate(own):
                group[str(at)] = value
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(topology))
        file.writestr("model.weights.h5", content.getvalue())
    return path


@pytest.mark.parametrize("first", [False, True], ids=["channels_last", "channels_first"])
def test_what_lies_between_flatten_and_a_linear_layer(tmp_path: Path, first: bool) -> None:
    """It sees its vector in the file's order, where channels are last in either case."""
    shape = [None, 3, 5, 7] if first else [None, 5, 7, 3]
    order = {"data_format": "channels_first"} if first else {}
    layers = [
        layer("Activation", "a", batch_input_shape=shape, activation="tanh", **order),
        layer("Flatten", "f", **order),
        layer("BatchNormalization", "n", epsilon=0.01),
        layer("Dropout", "o"),
        layer("ReLU", "r"),
        layer("Dense", "d", units=4),
        layer("Dense", "e", units=2),
    ]  # fmt: skip
    arrays = {
        "n/gamma": draw(105), "n/beta": draw(105), "n/moving_mean": draw(105),
        "n/moving_variance": 1 + draw(105) ** 2, "d/kernel": draw(105, 4), "d/bias": draw(4),
        "e/kernel": draw(4, 2), "e/bias": draw(2),
    }  # fmt: skip
    tensors, network, _, _ = read_keras(write(tmp_path, layers, arrays))
    net = weights.fit(network, tensors)
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    t = {name: torch.from_numpy(each) for name, each in arrays.items()}
    flat = x.tanh().permute(0, 2, 3, 1).flatten(1)
    flat = (flat - t["n/moving_mean"]) / (t["n/moving_variance"] + 0.01).sqrt() * t["n/gamma"]
    scores = (flat + t["n/beta"]).relu() @ t["d/kernel"] + t["d/bias"]
    with torch.no_grad():
        ours = net(x)
    assert torch.allclose(ours, scores @ t["e/kernel"] + t["e/bias"], rtol=1e-4, atol=1e-5)


def test_a_window_that_does_not_fit_is_left_out() -> None:
    """Pooling without padding: Keras cuts, where `same` has the window that is cut off."""
    for padding, expected in (("valid", (6, 6)), ("same", (7, 7))):
        layers = [
            layer("MaxPooling2D", "p", batch_input_shape=[None, 14, 14, 1], pool_size=3,
                  strides=2, padding=padding),
        ]  # fmt: skip
        topology = {"class_name": "Sequential", "config": {"name": "p", "layers": layers}}
        network, _ = read_topology(topology, "a file")
        assert network.shapes()["p"][1:] == expected


@pytest.mark.parametrize("newest", [True, False], ids=["keras_3", "keras_2"])
def test_tensors_alone_with_the_topology_beside(tmp_path: Path, newest: bool) -> None:
    h5py = pytest.importorskip("h5py")
    arrays, layers = every_turn()
    whole = archive(tmp_path / "m.keras", layers, arrays)
    expected, _, _, _ = read_keras(whole)
    path = tmp_path / ("m.weights.h5" if newest else "m.h5")
    with zipfile.ZipFile(whole) as file:
        topology = file.read("config.json")
        path.write_bytes(file.read("model.weights.h5"))
    if not newest:
        with h5py.File(path, "w") as file:
            names = list(dict.fromkeys(key.partition("/")[0] for key in arrays))
            file.attrs["layer_names"] = [name.encode() for name in names]
            for name in names:
                own = {
                    k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{name}/")
                }
                if name == "w":  # as Keras 3 calls it
                    own = {"kernel": own.pop("depthwise_kernel")}
                group = file.create_group(name)
                group.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in own]
                for part, value in own.items():
                    group[f"{name}/{part}:0"] = value
    with pytest.raises(WeightsError, match=r"m\.json" if newest else r"no network"):
        read_keras(path)
    (tmp_path / "m.json").write_bytes(topology)
    tensors, network, _, _ = read_keras(path)
    weights.fit(network, tensors)
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_archives_that_are_not_whole(tmp_path: Path) -> None:
    arrays, layers = every_turn()
    path = archive(tmp_path / "m.keras", layers, {**arrays, "f/odd": draw(1)})
    with pytest.raises(WeightsError, match=r"expected no tensor of 'f' \(Flatten\), received 1"):
        read_keras(path)
    path = archive(tmp_path / "m.keras", layers, {**arrays, "d/odd": draw(1)})
    with pytest.raises(WeightsError, match=r"expected kernel, bias of 'd' \(Dense\), received 3"):
        read_keras(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 1200):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"m\.keras"):
            weights.open(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(WeightsError, match=r"it has no model\.weights\.h5, but config\.json"):
        weights.open(path)


def plainly(x: torch.Tensor, a: dict[str, np.ndarray]) -> torch.Tensor:
    """Compute the same in Keras's own layout, window by window; odd padding comes after."""
    t = {name: torch.from_numpy(each) for name, each in a.items()}
    x = functional.pad(x, (0, 0, 0, 1, 1, 1))  # 11 rows: 1 and 1; 10 columns: 0 and 1
    rows = [[(x[:, i : i + 3, j : j + 3, :, None] * t["c/kernel"]).sum((1, 2, 3))
             for j in range(0, 9, 2)] for i in range(0, 11, 2)]  # fmt: skip
    y = (torch.stack([torch.stack(row, 1) for row in rows], 1) + t["c/bias"]).relu()
    y = (y - t["n/moving_mean"]) / (t["n/moving_variance"] + 0.01).sqrt() + t["n/beta"]
    y = functional.pad(y, (0, 0, 1, 1, 1, 1))
    rows = [[(y[:, i : i + 3, j : j + 3, :, None] * t["w/depthwise_kernel"]).sum((1, 2))
             for j in range(5)] for i in range(6)]  # fmt: skip
    y = torch.stack([torch.stack(row, 1) for row in rows], 1).flatten(3)
    rows = [[y[:, i : i + 2, j : j + 2].mean((1, 2)) for j in (0, 2, 4)] for i in (0, 2, 4)]
    y = torch.stack([torch.stack(row, 1) for row in rows], 1)
    return y.flatten(1) @ t["d/kernel"] + t["d/bias"]


def test_resnet8_is_what_another_reader_computes(published_weights: Path) -> None:
    """The .h5 by plain h5py and functional calls, from its own topology's order."""
    h5py = pytest.importorskip("h5py")
    path = published_weights / "cifar10_resnet8_mlperf_tiny" / "pretrainedResnet.h5"
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 60 + 120
    with h5py.File(path) as file, torch.no_grad():
        root = file["model_weights"]

        def get(name: str, which: str) -> torch.Tensor:
            value = torch.from_numpy(np.asarray(root[name][name][f"{which}:0"]))
            return value.permute(3, 2, 0, 1) if value.ndim == 4 else value

        def conv(x: torch.Tensor, index: int, stride: int = 1) -> torch.Tensor:
            name = f"conv2d_{index}" if index else "conv2d"
            weight = get(name, "kernel")
            size = weight.shape[-1]
            total = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
            ends = (total // 2, total - total // 2) * 2
            return functional.conv2d(functional.pad(x, ends), weight, get(name, "bias"), stride)

        def norm(x: torch.Tensor, index: int) -> torch.Tensor:
            name = f"batch_normalization_{index}" if index else "batch_normalization"
            found = [get(name, w) for w in ("moving_mean", "moving_variance", "gamma", "beta")]
            return functional.batch_norm(x, *found, eps=1e-3)

        y = norm(conv(x, 0), 0).relu()
        y = (y + norm(conv(norm(conv(y, 1), 1).relu(), 2), 2)).relu()
        for first in (3, 6):
            main = norm(conv(norm(conv(y, first, 2), first - first // 6).relu(), first + 1),
                        first + 1 - first // 6)  # fmt: skip
            y = (main + conv(y, first + 2, 2)).relu()
        scores = y.mean((2, 3)) @ get("dense", "kernel") + get("dense", "bias")
        ours = weights.open("resnet8_mlperf_tiny").load()(x)
    assert torch.allclose(ours, scores, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("old", [True, False], ids=["keras_1", "keras_2"])
def test_vgg_as_keras_publishes_it(tmp_path: Path, old: bool, monkeypatch: Any) -> None:
    """Tensors alone, by names of its own, in order; the linear layer sees channels last."""
    h5py = pytest.importorskip("h5py")
    paper = design_of_a_small_vgg()
    monkeypatch.setattr("striate.weights.keras.zoo.network", lambda spec: paper)
    held = {each.name: draw(*each.shape) for each in paper.parameters()}
    names = ["block1_conv1", "block1_conv2", "fc1", "predictions"]
    path = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [each.encode() for each in ("input_1", *names)]
        file.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for name, (weight, bias) in zip(names, zip(*[iter(held)] * 2, strict=True), strict=True):
            group, kernel = file.create_group(name), held[weight]
            if kernel.ndim == 4:
                kernel = kernel.transpose(2, 3, 1, 0)
            elif name == "fc1":
                kernel = kernel.reshape(6, 4, 3, 3).transpose(2, 3, 1, 0).reshape(36, 6)
            else:
                kernel = kernel.T
            words = [f"{name}_W_1:0", f"{name}_b_1:0"] if old else [
                f"{name}/kernel:0", f"{name}/bias:0"]  # fmt: skip
            group.attrs["weight_names"] = [each.encode() for each in words]
            group[words[0]], group[words[1]] = kernel, held[bias]
    tensors, network, _, _ = read_keras(path)
    assert network is paper
    assert tensors.keys() == held.keys()
    for name, value in held.items():
        np.testing.assert_array_equal(tensors[name], value)


def design_of_a_small_vgg() -> Network:
    net = Sketch("small", (3, 6, 6))
    net.conv("features.0", 4, 3, padding=1)
    net.conv("features.1", 4, 3, padding=1)
    net.max_pool("features.2", 2, stride=2)
    net.flatten()
    net.linear("classifier.0", 6)
    net.linear("classifier.1", 5)
    return net.finish()


def test_a_folder_a_file_and_a_tar_are_one(tmp_path: Path, published_weights: Path) -> None:
    tar = published_weights / "mobilenet_v1_025_224_tfjs.tar"
    with tarfile.open(tar) as file:
        for member in file:
            if member.isfile():
                content = file.extractfile(member).read()
                (tmp_path / Path(member.name).name).write_bytes(content)
    expected = weights.open(tar).tensors
    for path in (tmp_path, tmp_path / "model.json"):
        opened = weights.open(path)
        assert opened.paper.parameter_count() == 470_072
        assert all(torch.equal(opened.tensors[name], value) for name, value in expected.items())
        opened.load()


def test_quantised_shards(tmp_path: Path) -> None:
    folder = write(tmp_path, DENSE, {})
    entry = {"name": "d/bias", "shape": [3], "dtype": "float32",
             "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}}  # fmt: skip
    (folder / "q.bin").write_bytes(bytes([0, 2, 4]))
    model = json.loads((folder / "model.json").read_text())
    model["weightsManifest"] = [{"paths": ["q.bin"], "weights": [entry]}]
    (folder / "model.json").write_text(json.dumps(model))
    tensors, _, _, _ = read_keras(folder)
    assert tensors["d.bias"].tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (layer("Lambda", "odd"), "'odd' is of type Lambda, which cannot be read"),
        (
            layer("Activation", "act", activation="hard_sigmoid"),
            "act: the activation 'hard_sigmoid'",
        ),
        (layer("Conv2D", "c", filters=1, kernel_size=3, padding="causal"), "received 'causal'"),
        (layer("BatchNormalization", "bn", axis=1), "received axis=1"),
    ],
)
def test_what_cannot_be_read_is_named(entry: dict[str, Any], said: str) -> None:
    layers = [layer("InputLayer", "x", batch_input_shape=[None, 8, 8, 3]), entry]
    topology = {"class_name": "Sequential", "config": {"layers": layers}}
    with pytest.raises(WeightsError, match=said):
        read_topology(topology, "model.json")


def test_a_shard_that_ends_early(tmp_path: Path) -> None:
    folder = write(tmp_path, [], {"d/bias": draw(9)})
    (folder / "b.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match="the data of d/bias ends early"):
        read_keras(folder)
    (folder / "b.bin").unlink()
    with pytest.raises(WeightsError, match="is no whole Keras model"):
        read_keras(folder)


def test_a_tar_with_strange_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        info = tarfile.TarInfo("../../model.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(WeightsError, match="no TensorFlow.js layers model"):
        weights.open(tmp_path / "odd.tar")
