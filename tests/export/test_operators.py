"""Networks of the zoo answer alike in onnxruntime, and every kind is written or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import design, zoo
from striate.contract import Class, Contract, Resize
from striate.design import Sketch
from striate.design.elementwise import FUNCTIONS
from striate.design.pointwise import Noise
from striate.errors import DesignError
from striate.export import to_onnx
from striate.layers import Net, build
from striate.layers.batchnorm import BatchNorm

onnxruntime = pytest.importorskip("onnxruntime")


def plain(shape: tuple[int, ...], classes: int, output: str = "logits") -> Contract:
    count, *size = shape
    return Contract(
        classes=tuple(Class(id=str(at), label=str(at)) for at in range(classes)),
        output=output, channels="grey" if count == 1 else "rgb", size=tuple(size),
        resize=Resize(rule="exact", size=tuple(size)), mean=(0.5,) * count, std=(0.2,) * count,
    )  # fmt: skip


def shaken(network: design.Network) -> Net:
    """Return a net whose every parameter and statistic matters."""
    net = build(network, seed=3).eval()
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.8, 1.2, generator=generator)
    return net


def compare(net: Net, output: str = "logits") -> float:
    """Return the largest difference of probabilities on noise of the network's own size."""
    shape = net.network.input_shape
    contract = plain(shape, net.network.classes, output)
    session = onnxruntime.InferenceSession(to_onnx(net, contract))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape[1:], 3), dtype=np.uint8)
    found, label = session.run(["probabilities", "label"], {"pixels": pixels})
    assert (found.argmax(1) == label).all()
    levels = pixels if shape[0] == 3 else None
    from striate.data.decode import to_channels

    levels = np.stack([to_channels(each, contract.channels) for each in pixels])
    images = (levels.astype(np.float32) / 255 - 0.5) / 0.2
    with torch.no_grad():
        scores = net(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    expected = scores if output == "probabilities" else (
        -scores if output == "distances" else scores).softmax(1)  # fmt: skip
    return float(np.abs(found - expected.numpy()).max() / expected.max())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lenet", (1, 28, 28)), ("resnet20", (3, 32, 32)), ("resnet18", (3, 64, 64)),
        ("resnet18(stem='deep', average=True)", (3, 50, 50)), ("googlenet", (3, 96, 96)),
        ("googlenet_bn", (3, 97, 97)), ("squeezenet1_1", (3, 65, 65)), ("nin_cifar", (3, 32, 32)),
        ("mobilenet_v1(width=0.25)", (3, 64, 64)), ("convnet", (1, 28, 28)),
        ("densenet121", (3, 64, 64)),
    ],
)  # fmt: skip
def test_networks_answer_alike(name: str, shape: tuple[int, int, int]) -> None:
    assert compare(shaken(zoo.network(name, input=shape, classes=10))) < 1e-4


def test_pools_of_every_rounding_and_padding() -> None:
    for number, (kind, kernel, stride, padding, ceil) in enumerate(
        [("max", 3, 2, 1, True), ("max", 3, 2, 0, True), ("avg", 3, 2, 1, False),
         ("avg", 3, 2, 0, True), ("avg", 2, 2, 0, False), ("max", 2, 3, 1, True)]
    ):  # fmt: skip
        net = Sketch(f"pools{number}", (3, 14, 17))
        net.conv("conv", 4, 3)
        add = net.max_pool if kind == "max" else net.avg_pool
        add("pool", kernel, stride=stride, padding=padding, ceil=ceil)
        net.flatten()
        net.linear("fc", 3)
        assert compare(shaken(net.finish())) < 1e-4, (kind, kernel, stride, padding, ceil)


@pytest.mark.parametrize(
    "layer",
    [
        *(design.Elementwise(name="f", inputs=("conv",), function=name,
                             arguments=(0.7, 0.9)[:count] if name != "softplus" else (1.0, 20.0))
          for name, count in FUNCTIONS.items() if name not in ("log", "sqrt", "rsqrt", "power")),
        design.Combine(name="f", inputs=("conv",), operation="divide", shape=(4, 1, 1)),
        design.Combine(name="f", inputs=("conv",), operation="subtract", shape=(1, 4, 9, 8)),
        design.Multiply(name="f", inputs=("conv", "conv")),
        design.PReLU(name="f", inputs=("conv",), each=True),
        *(Noise(name="f", inputs=("conv",), form=form, amount=0.3)
          for form in ("plain", "gaussian", "additive")),
        design.Slice(name="f", inputs=("conv",), ranges=((1, 4, 1), (0, None, 2))),
        design.Permute(name="f", inputs=("conv",), order=(0, 2, 1)),
        design.Reduce(name="f", inputs=("conv",), function="max", axes=(1,)),
        design.Reduce(name="f", inputs=("conv",), function="mean", axes=(0, 2), keep=False),
        design.LinearLast(name="f", inputs=("conv",), features=5),
        design.ConvTranspose(name="f", inputs=("conv",), features=4, kernel=(3, 2), stride=(2, 2),
                             padding=((1, 1), (0, 0)), extra=(1, 0), dilation=(1, 1), groups=2),
    ],
    ids=lambda layer: getattr(layer, "function", getattr(layer, "form", type(layer).__name__)),
)  # fmt: skip
def test_kinds_beside_the_usual(layer: design.Layer) -> None:
    net = Sketch("odd", (3, 11, 10))
    net.conv("conv", 4, 3)
    net.put(layer)
    net.flatten()
    net.linear("fc", 3)
    assert compare(shaken(net.finish())) < 1e-4


def test_adaptive_pooling_by_windows_of_different_sizes() -> None:
    net = Sketch("adaptive", (3, 15, 16))
    net.conv("conv", 4, 3)
    net.adaptive_avg_pool("pool", (5, 3))
    net.flatten()
    net.linear("fc", 3)
    assert compare(shaken(net.finish())) < 1e-4


def test_distances_become_probabilities() -> None:
    assert compare(shaken(zoo.network("softmax", input=(3, 8, 8), classes=4)), "distances") < 1e-4


def test_a_kind_that_cannot_be_written_is_named() -> None:
    network = zoo.network("lenet5_1998")
    with pytest.raises(DesignError, match="cannot be exported"):
        to_onnx(build(network, seed=0).eval(), plain(network.input_shape, network.classes))
