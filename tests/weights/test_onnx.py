"""ONNX models as strangers write them: answers are onnxruntime's, what cannot be read is named."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.test_operators import plain, shaken
from torch import nn

from striate import inference, weights, zoo
from striate.errors import WeightsError
from striate.export import to_onnx
from striate.layers import build
from striate.records import to_json
from striate.weights.onnx import read_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
RANDOM = np.random.default_rng(5)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def model(
    path: Path, nodes: list[Any], shape: list[int | str], tensors: dict[str, np.ndarray],
    opset: int = 17,
) -> Path:  # fmt: skip
    """Write a model of one input `x` and one output `y`."""
    kept = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, None)], initializer=kept,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def apart(path: Path, shape: tuple[int, ...], batch: int = 1, softened: bool = False) -> float:
    """Return the largest difference from onnxruntime's answer, relative to its largest number."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    x = np.random.default_rng(0).normal(0, 1, (batch, *shape)).astype(np.float32)
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    tensors, network, _, _ = read_onnx(path)
    with torch.no_grad():
        ours = weights.fit(network, tensors)(torch.from_numpy(x))
    found = (ours.softmax(1) if softened else ours).numpy().reshape(expected.shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def node(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), [to], name=f"n_{to}", **attributes)


C, IMAGE = {"w": draw(4, 3, 3, 3), "b": draw(4)}, [1, 3, 11, 10]
CALLS: list[tuple[str, list[Any], list[int | str], dict[str, np.ndarray], int]] = [
    ("same_upper", [node("Conv", "x", "w", "b", auto_pad="SAME_UPPER", strides=[2, 2])],
     IMAGE, C, 17),
    ("same_lower", [node("Conv", "x", "w", auto_pad="SAME_LOWER", strides=[2, 2])],
     IMAGE, {"w": C["w"]}, 17),
    ("uneven", [node("Conv", "x", "w", pads=[0, 1, 2, 1], dilations=[2, 1])],
     IMAGE, {"w": C["w"]}, 17),
    ("groups", [node("Conv", "x", "w", group=3)], IMAGE, {"w": draw(6, 1, 3, 3)}, 17),
    ("transposed", [node("ConvTranspose", "x", "w", "b", strides=[2, 2], pads=[1, 1, 1, 1],
                         output_padding=[1, 1])], IMAGE, {"w": draw(3, 4, 3, 3), "b": draw(4)}, 17),
    ("ceil_max", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
     IMAGE, {}, 17),
    ("ceil_avg", [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
                       pads=[1, 1, 1, 1])], IMAGE, {}, 19),
    ("end_max", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])],
     [1, 3, 12, 10], {}, 8),
    ("end_avg", [node("AveragePool", "x", kernel_shape=[7, 7], pads=[0, 0, 1, 1])],
     [1, 3, 6, 6], {}, 8),
    ("end_avg_many", [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2],
                           pads=[0, 0, 1, 1])], [1, 3, 6, 6], {}, 8),
    ("counted", [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                      count_include_pad=1)], IMAGE, {}, 17),
    ("same_avg", [node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2],
                       auto_pad="SAME_UPPER")], IMAGE, {}, 17),
    ("global_max", [node("GlobalMaxPool", "x")], IMAGE, {}, 17),
    ("mean_18", [node("ReduceMean", "x", "a", keepdims=0)], IMAGE,
     {"a": np.array([2, 3])}, 18),
    ("mean_13", [node("ReduceMean", "x", axes=[-2, -1], keepdims=1)], IMAGE, {}, 13),
    ("max", [node("ReduceMax", "x", axes=[1], keepdims=1)], IMAGE, {}, 13),
    ("sum", [node("ReduceSum", "x", "a", keepdims=0)], IMAGE, {"a": np.array([3])}, 13),
    ("limits", [node("Max", "x", "l", to="m"), node("Min", "h", "m")], IMAGE,
     {"l": np.float32(-0.5), "h": np.float32(0.7)}, 13),
    ("clip_6", [node("Clip", "x", min=0.0, max=6.0)], IMAGE, {}, 6),
    ("clip_11", [node("Clip", "x", "l", "h")], IMAGE,
     {"l": np.float32(-0.5), "h": np.float32(0.7)}, 11),
    ("pad_10", [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 3, 0], mode="reflect")], IMAGE, {}, 10),
    ("pad_13", [node("Pad", "x", "p")], IMAGE, {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])}, 13),
    ("shortcut", [node("Slice", "x", "s", "e", "a", "t", to="z"), node("Pad", "z", "p")], IMAGE,
     {"s": np.array([0, 0]), "e": np.array([1 << 31, 99]), "a": np.array([2, 3]),
      "t": np.array([2, 2]), "p": np.array([0, 2, 0, 0, 0, 3, 0, 0])}, 13),
    ("lrn", [node("LRN", "x", size=3, alpha=0.3, beta=0.7, bias=2.0)], IMAGE, {}, 13),
    ("norm", [node("BatchNormalization", "x", "s", "b", "m", "v", epsilon=0.01)], IMAGE,
     {"s": draw(3), "b": draw(3), "m": draw(3), "v": 1 + draw(3) ** 2}, 15),
    ("gemm", [node("Flatten", "x", to="f"), node("Gemm", "f", "w", "b", alpha=0.5, beta=2.0)],
     IMAGE, {"w": draw(330, 5), "b": draw(1, 5)}, 13),
    ("gemm_turned", [node("Flatten", "x", to="f"), node("Gemm", "f", "w", transB=1)], IMAGE,
     {"w": draw(5, 330)}, 13),
    ("matmul_add", [node("Reshape", "x", "r", to="f"), node("MatMul", "f", "w", to="m"),
                    node("Add", "m", "b")], IMAGE,
     {"r": np.array([1, -1]), "w": draw(330, 5), "b": draw(1, 5)}, 13),
    ("conv_plus", [node("Conv", "x", "w", to="c"), node("Add", "c", "b")], IMAGE,
     {"w": C["w"], "b": draw(4, 1, 1)}, 13),
    ("scale", [node("Mul", "x", "s", to="m"), node("Sub", "m", "b", to="d"),
               node("Div", "d", "h")], IMAGE,
     {"s": draw(3, 1, 1), "b": draw(1, 3, 1, 1), "h": np.float32(2.5)}, 13),
    ("one_minus", [node("Sub", "o", "x", to="d"), node("Div", "o", "d", to="e"),
                   node("Mul", "x", "e")], IMAGE, {"o": np.float32(9.0)}, 13),
    ("gate", [node("GlobalAveragePool", "x", to="g"), node("HardSigmoid", "g", to="h"),
              node("Mul", "x", "h")], IMAGE, {}, 13),
    ("split", [helper.make_node("Split", ["x"], ["p", "q"], axis=3, split=[4, 6]),
               node("Slice", "q", starts=[1], ends=[5], axes=[3], to="r"),
               node("Concat", "p", "r", axis=1)], IMAGE, {}, 9),
    ("shuffle", [node("Reshape", "x", "r", to="f"), node("Transpose", "f", perm=[0, 2, 1, 3, 4],
                 to="t"), node("Reshape", "t", "b")], [2, 4, 5, 3],
     {"r": np.array([2, 2, 2, 5, 3]), "b": np.array([2, 4, 5, 3])}, 9),
    ("nearest", [node("Resize", "x", "", "s", mode="nearest",
                      coordinate_transformation_mode="asymmetric", nearest_mode="floor")], IMAGE,
     {"s": np.array([1, 1, 2, 2], np.float32)}, 13),
    ("linear", [node("Resize", "x", "", "", "s", mode="linear")], IMAGE,
     {"s": np.array([1, 3, 7, 23])}, 13),
    ("cubic", [node("Resize", "x", "", "", "s", mode="cubic",
                    coordinate_transformation_mode="align_corners")], IMAGE,
     {"s": np.array([1, 3, 20, 23])}, 13),
    ("upsample", [node("Upsample", "x", "s", mode="nearest")], IMAGE,
     {"s": np.array([1, 1, 2, 3], np.float32)}, 9),
    ("prelu", [node("PRelu", "x", "s")], IMAGE, {"s": draw(3, 1, 1)}, 16),
    ("layer_norm", [node("LayerNormalization", "x", "s", "b", axis=-1)], IMAGE,
     {"s": draw(10), "b": draw(10)}, 17),
    ("squeezed", [node("GlobalAveragePool", "x", to="g"), node("Squeeze", "g", "a", to="s"),
                  node("Unsqueeze", "s", "b", to="u"), node("Squeeze", "u", "b")], IMAGE,
     {"a": np.array([2, 3]), "b": np.array([-1])}, 13),
]  # fmt: skip
FUNCTIONS = [
    ("Abs", {}), ("Celu", {"alpha": 0.6}), ("Elu", {"alpha": 0.6}), ("Exp", {}), ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}), ("HardSwish", {}), ("HardSigmoid", {"alpha": 0.3}),
    ("LeakyRelu", {"alpha": 0.2}), ("Mish", {}), ("Neg", {}), ("Relu", {}), ("Sigmoid", {}),
    ("Softplus", {}), ("Softsign", {}), ("Tanh", {}), ("LogSoftmax", {"axis": 1}),
    ("Dropout", {}), ("Reciprocal", {}), ("Selu", {}), ("Sin", {}), ("Cos", {}),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLS, ids=lambda case: case[0])
def test_every_operator(tmp_path: Path, case: Any) -> None:
    """A call after an activation, so that it is never the very first or last thing."""
    _, nodes, shape, tensors, opset = case
    path = model(tmp_path / "m.onnx", nodes, shape, tensors, opset)
    assert apart(path, tuple(shape[1:]), shape[0]) < 1e-5


@pytest.mark.parametrize(("kind", "attributes"), FUNCTIONS, ids=str)
def test_every_function(tmp_path: Path, kind: str, attributes: dict[str, Any]) -> None:
    path = model(tmp_path / "m.onnx", [node(kind, "x", **attributes)], IMAGE, {}, 20)
    assert apart(path, (3, 11, 10)) < 1e-5


def test_sizes_that_are_computed(tmp_path: Path) -> None:
    """The chain that exporters write for `x.view(x.size(0), -1)`, with a free batch."""
    nodes = [
        node("Shape", "x", to="s"), node("Gather", "s", "zero", axis=0, to="n"),
        node("Unsqueeze", "n", "axes", to="u"), node("Concat", "u", "rest", axis=0, to="r"),
        node("Reshape", "x", "r", to="f"), node("Gemm", "f", "w", transB=1),
    ]  # fmt: skip
    tensors = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]),
               "w": draw(5, 330)}  # fmt: skip
    path = model(tmp_path / "m.onnx", nodes, ["N", 3, 11, 10], tensors, 13)
    assert apart(path, (3, 11, 10), 3) < 1e-5
    assert [type(each).__name__ for each in read_onnx(path)[1].layers] == ["Flatten", "Linear"]


def test_channels_last(tmp_path: Path) -> None:
    """What comes from TensorFlow turns its input first; the network begins behind that."""
    nodes = [node("Transpose", "x", perm=[0, 3, 1, 2], to="t"), node("Conv", "t", "w", to="c"),
             node("GlobalAveragePool", "c", to="g"), node("Flatten", "g")]  # fmt: skip
    path = model(tmp_path / "m.onnx", nodes, ["N", 11, 10, 3], {"w": C["w"]}, 13)
    tensors, network, _, _ = read_onnx(path)
    assert network.input_shape == (3, 11, 10)
    x = draw(2, 11, 10, 3)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})
    with torch.no_grad():
        ours = weights.fit(network, tensors)(torch.from_numpy(x).permute(0, 3, 1, 2))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


# -- whole networks


def zoo_file(name: str, folder: Path) -> Path:
    """Return a network of the model zoo with random weights in place of its constants."""
    held = onnx.load(LIGHT / f"light_{name}.onnx")
    random = np.random.default_rng(0)
    known = {each.name: numpy_helper.to_array(each) for each in held.graph.initializer}
    kept = []
    for call in held.graph.node:
        if call.op_type != "ConstantOfShape":
            kept.append(call)
            continue
        shape = known[call.input[0]]
        fan = max(int(np.prod(shape[1:])), 1)
        values = random.normal(0, (2 / fan) ** 0.5, shape) if len(shape) > 1 else (
            random.uniform(0.5, 1.5, shape))  # fmt: skip
        array = numpy_helper.from_array(values.astype(np.float32), call.output[0])
        held.graph.initializer.append(array)
    del held.graph.node[:]
    held.graph.node.extend(kept)
    path = folder / f"{name}.onnx"
    onnx.save(held, path)
    return path


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    ["squeezenet", "shufflenet", *(pytest.param(each, marks=SLOW) for each in (
        "inception_v1", "inception_v2", "resnet50", "bvlc_alexnet", "densenet121", "vgg19",
        "zfnet512"))],
)  # fmt: skip
def test_networks_of_the_model_zoo(name: str, tmp_path: Path) -> None:
    path = zoo_file(name, tmp_path)
    assert apart(path, (3, 224, 224), softened="densenet" not in name) < 1e-4
    if name == "squeezenet":
        assert weights.open(path).contract().channels == "bgr"  # Caffe2 wrote it


@pytest.mark.parametrize(
    "dynamo", [False, pytest.param(True, marks=SLOW)], ids=["script", "dynamo"]
)
@pytest.mark.parametrize(
    ("name", "shape"),
    [("resnet20", (3, 32, 32)), pytest.param("mobilenet_v1(width=0.25)", (3, 64, 64), marks=SLOW),
     pytest.param("googlenet_bn", (3, 64, 64), marks=SLOW),
     pytest.param("densenet121", (3, 64, 64), marks=SLOW)],
)  # fmt: skip
def test_what_torch_exports(name: str, shape: Any, dynamo: bool, tmp_path: Path) -> None:
    net, path = shaken(zoo.network(name, input=shape, classes=10)), tmp_path / "m.onnx"
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(net, (x,), path, dynamo=True, verbose=False)
        else:
            torch.onnx.export(net, (x,), path, dynamo=False, input_names=["x"],
                              dynamic_axes={"x": {0: "n"}})  # fmt: skip
    assert apart(path, shape) < 1e-4
    tensors, network, _, _ = read_onnx(path)
    with torch.no_grad():
        ours = weights.fit(network, tensors)(x)
        assert torch.allclose(ours, net(x), rtol=1e-4, atol=1e-4 * float(ours.abs().max()))
    if name == "resnet20":  # layers keep the module's own names
        assert {"conv1", "layer1.0.conv1", "linear"} <= {each.name for each in network.layers}


@pytest.mark.parametrize("name", ["lenet", "resnet20", "squeezenet1_1"])
def test_what_this_house_exports_comes_back(name: str, tmp_path: Path) -> None:
    """Preprocessing becomes the contract again, operators the same layers, to the bit."""
    shape = (1, 28, 28) if name == "lenet" else (3, 65, 65) if "squ" in name else (3, 32, 32)
    net = shaken(zoo.network(name, input=shape, classes=10))
    contract = plain(shape, 10)
    path = tmp_path / "mine.onnx"
    path.write_bytes(to_onnx(net, contract))
    opened = weights.open(path)
    assert opened.contract() == contract
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(opened.load()(x), net(x))
    assert opened.paper.parameter_count() == net.network.parameter_count()
    assert opened.paper.macs() == net.network.macs()
    again = tmp_path / "again.onnx"
    again.write_bytes(to_onnx(opened.load(), opened.contract()))
    assert weights.open(again).paper.layers == opened.paper.layers


def test_an_onnx_file_goes_wherever_weights_go(tmp_path: Path) -> None:
    from PIL import Image

    net = shaken(zoo.network("resnet20", classes=10))
    (tmp_path / "m.onnx").write_bytes(to_onnx(net, plain((3, 32, 32), 10)))
    Image.fromarray(np.uint8(draw(40, 50, 3) * 40 + 128)).save(tmp_path / "a.png")
    (found,) = inference.predict(tmp_path / "m.onnx", [tmp_path / "a.png"], device="cpu")
    assert found.id in map(str, range(10))


# -- what is refused


def test_an_operator_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", to="r"), node("InstanceNormalization", "r", "s", "s")]
    path = model(tmp_path / "m.onnx", nodes, IMAGE, {"s": draw(3)})
    with pytest.raises(WeightsError, match=r"'n_y' is of operator InstanceNormalization, which"):
        weights.open(path)
    odd = helper.make_node("QuickGelu", ["x"], ["y"], name="q", domain="com.microsoft")
    path = model(tmp_path / "m.onnx", [odd], IMAGE, {})
    with pytest.raises(WeightsError, match=r"'q' is of operator com\.microsoft\.QuickGelu"):
        weights.open(path)


@pytest.mark.parametrize(
    ("nodes", "tensors", "said"),
    [
        ([node("Concat", "x", "x", axis=2)], {}, r"Concat 'n_y': expected it along the channels"),
        ([node("Conv", "x", "x")], {}, r"Conv 'n_y': expected its filters as a constant"),
        ([node("Conv", "x", "w")], {"w": draw(4, 5, 3, 3)}, r"Conv 'n_y': "),
        ([node("Transpose", "x", perm=[1, 0, 2, 3])], {}, "expected the batch to stay first"),
        ([node("Reshape", "x", "r")], {"r": np.array([7, -1])}, r"Reshape 'n_y': .*cannot be"),
        ([node("Relu", "gone")], {}, r"nothing before it gives 'gone'"),
        ([node("MaxPool", "x", kernel_shape=[3, 3], dilations=[2, 2])], {}, "dilated windows"),
        ([node("Resize", "x", "", "s", mode="nearest")], {"s": np.float32([1, 1, 1.3, 2])},
         "resizing by mode 'nearest'"),
        ([node("Expand", "w", "r", to="e"), node("Add", "x", "e")],
         {"w": draw(1), "r": np.array([1 << 40])}, r"Expand 'n_e': its constants do not fit"),
        ([node("BatchNormalization", "x", "w", "w", "w", "w")], {"w": draw(4)},
         r"expected weight of shape \(3,\), received \(4,\)"),
        ([node("Add", "w", "w")], {"w": draw(4)}, "does not depend on an image"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    tmp_path: Path, nodes: list[Any], tensors: dict[str, np.ndarray], said: str
) -> None:
    path = model(tmp_path / "m.onnx", nodes, IMAGE, tensors)
    with pytest.raises(WeightsError, match=said) as caught:
        read_onnx(path)
    assert "m.onnx" in str(caught.value)


def external(folder: Path, location: str, length: int = 432) -> Path:
    path = model(folder / "m.onnx", [node("Conv", "x", "w")], IMAGE, {"w": C["w"]})
    held = onnx.load(path)
    (tensor,) = held.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (("location", location), ("offset", "4"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(held.SerializeToString())
    return path


def test_tensors_beside_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(b"1234" + C["w"].tobytes())
    assert apart(external(folder, "w.bin"), (3, 11, 10)) < 1e-5
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"1234" + C["w"].tobytes())
    (folder / "link.bin").symlink_to(secret)
    for location in ("../secret.bin", str(secret), "link.bin", ""):
        with pytest.raises(WeightsError, match=r"outside of the model's folder"):
            read_onnx(external(folder, location))
    with pytest.raises(WeightsError, match=r"which is not beside it"):
        read_onnx(external(folder, "none.bin"))
    with pytest.raises(WeightsError, match=r"ends beyond w\.bin"):
        read_onnx(external(folder, "w.bin", 4000))


def test_every_way_of_keeping_numbers(tmp_path: Path) -> None:
    """Raw, listed, half, bfloat16 and double: the same filters."""
    plainly = np.round(C["w"] * 8) / 8
    listed = helper.make_tensor("w", 1, plainly.shape, plainly.ravel())
    half = numpy_helper.from_array(plainly.astype(np.float16), "w")
    half_listed = helper.make_tensor("w", 10, plainly.shape, plainly.ravel().astype(np.float16))
    brain = helper.make_tensor("w", 16, plainly.shape, plainly.ravel())
    double = numpy_helper.from_array(plainly.astype(np.float64), "w")
    for tensor in (listed, half, half_listed, brain, double):
        path = model(tmp_path / "m.onnx", [node("Conv", "x", "w")], IMAGE, {})
        held = onnx.load(path)
        held.graph.initializer.append(tensor)
        path.write_bytes(held.SerializeToString())
        (found,) = read_onnx(path)[0].values()
        assert np.array_equal(found.numpy(), plainly), tensor.data_type


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    """Cut anywhere, or with a byte changed: refused or read, never anything else."""
    path = model(tmp_path / "m.onnx", [node("Conv", "x", "w", "b", to="c"), node("Relu", "c")],
                 IMAGE, C)  # fmt: skip
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:length] for length in range(0, len(whole), 23)]
    for _ in range(300):
        content = bytearray(whole)
        content[random.integers(len(whole))] = random.integers(256)
        damaged.append(bytes(content))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            read_onnx(path)
        except WeightsError as error:
            refused += 1
            assert "m.onnx" in str(error)  # noqa: PT017
    assert refused > 30


def test_named_tensors_fit_the_network_that_is_said(tmp_path: Path) -> None:
    """A graph that was not folded holds a module's own names, so --net takes it strictly."""
    net = nn.Sequential()
    net.add_module("fc", nn.Linear(6, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 6),), tmp_path / "m.onnx", dynamo=False)
    tensors, network, _, _ = read_onnx(tmp_path / "m.onnx")
    assert list(tensors) == ["fc.weight", "fc.bias"]
    assert build(network, seed=None).state_dict().keys() == tensors.keys()


def plain_model(path: Path, facts: dict[str, str]) -> Path:
    """Write a tiny network of three classes over 8x8 images."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    weight = numpy_helper.from_array(np.ones((3, 3, 8, 8), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weight],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, facts)
    save_model(model, path)
    return path


def test_metadata_is_taken_for_a_contract(tmp_path: Path) -> None:
    facts = {
        "Image.BitmapPixelFormat": "Bgr8",
        "Image.NominalPixelRange": "Normalized_1_1",
        "names": "{0: 'ant', 1: 'bee', 2: 'cat'}",
    }
    contract = weights.open(plain_model(tmp_path / "m.onnx", facts)).contract()
    assert contract.channels == "bgr"
    assert contract.size == (8, 8)
    assert [each.id for each in contract.classes] == ["ant", "bee", "cat"]
    assert [255 * contract.forward.slope[0] + contract.forward.offset[0],
            contract.forward.offset[0]] == pytest.approx([1, -1])  # fmt: skip
    for wrong in ("['ant', 'bee']", "['a', 'a', 'b']", "__import__('os')", "(" * 500):
        path = plain_model(tmp_path / "m.onnx", facts | {"names": wrong})
        assert weights.open(path).contract().classes[2].id == "2"


def test_without_a_contract_what_is_needed_is_said_and_can_be_given(tmp_path: Path) -> None:
    path = plain_model(tmp_path / "m.onnx", {"Image.NominalPixelRange": "Normalized_0_1"})
    with pytest.raises(WeightsError, match=r"weights .*m\.onnx --contract > m\.onnx\.contract"):
        weights.open(path)
    drafted = weights.open(path, drafted=True)
    assert "put right its channels" in drafted.notes[-1]
    mine = drafted.contract().replace(channels="bgr", std=(0.5, 0.5, 0.5))
    assert weights.open(path, contract=mine).contract() == mine
    (tmp_path / "m.onnx.contract.json").write_bytes(to_json(mine))
    assert weights.open(path).contract() == mine
