"""Other libraries' words: PyTorch's are run, Caffe's read back, the lectures' four compared."""

from __future__ import annotations

import pytest
import torch
from tests.networks import NAMES
from torch import nn

from striate import design, zoo
from striate.design import Conv, Network, Sketch, prototxt
from striate.design.spelling import DIALECTS, spell
from striate.design.spelling.lasagne import lasagne
from striate.design.spelling.pytorch import pytorch
from striate.design.spelling.torch7 import torch7
from striate.errors import UsageError
from striate.records import kinds


def lecture() -> Network:
    """The lectures' first layer: 96 filters of 11x11 with stride 4."""
    net = Sketch("lecture", (3, 227, 227))
    net.conv("conv1", 96, 11, stride=4)
    return net.finish()


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("torch", "module = nn.SpatialConvolution(3, 96, 11, 11, 4, 4, 0, 0)"),
        (
            "lasagne",
            "conv1 = Conv2DLayer(x, num_filters=96, filter_size=11, stride=4, pad=0, "
            "nonlinearity=None, flip_filters=False)",
        ),
        ("pytorch", "nn.Conv2d(3, 96, 11, stride=4)"),
    ],
)
def test_the_lectures_layer(dialect: str, words: str) -> None:
    assert spell(lecture(), dialect).code == words


def test_the_lectures_layer_in_caffe() -> None:
    code = spell(lecture(), "caffe").code
    for line in ('type: "Convolution"', "num_output: 96", "kernel_size: 11", "stride: 4"):
        assert line in code


def run(code: str, shape: tuple[int, ...]) -> nn.Module:
    """Make the module that a PyTorch spelling makes."""
    names: dict[str, object] = {"nn": nn, "torch": torch}
    with torch.device("meta"):
        if code.startswith("class"):
            exec(code, names)
            return names["Net"]()  # type: ignore[no-any-return, operator]
        exec(code if code.startswith("net =") else f"net = {code}", names)
    assert isinstance(names["net"], nn.Module)
    return names["net"]


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_runs_and_has_as_many_parameters(name: str) -> None:
    network = zoo.network(name)
    spelling = spell(network, "pytorch")
    said = [note for note in spelling.notes if "PyTorch has no" in note]
    if said:  # what PyTorch lacks is named, layer by layer
        assert all(
            note.partition(":")[0] in {each.name for each in network.layers} for note in said
        )
        return
    module = run(spelling.code, network.input_shape).eval()
    assert sum(each.numel() for each in module.parameters()) == network.parameter_count()
    output = module(torch.empty(2, *network.input_shape, device="meta"))
    output = output[0] if isinstance(output, tuple) else output
    assert output.shape[0] == 2


@pytest.mark.parametrize("name", ["lenet", "alexnet_grouped", "vgg16", "nin_cifar"])
def test_caffe_reads_back(name: str) -> None:
    network = zoo.network(name)
    read = prototxt.parse(spell(network, "caffe").code, input=network.input_shape)
    assert read.parameter_count() == network.parameter_count()
    assert read.macs() == network.macs()


def odd() -> Network:
    """What the four say differently, or not at all."""
    net = Sketch("odd", (4, 20, 20))
    x = net.conv("uneven", 4, 3, padding=((0, 2), (1, 1)), groups=2, bias="none")
    net.conv("dilated", 4, (1, 3), dilation=2, padding=1)
    table = ((0, 1), (1, 2), (2, 3), (0, 3))
    net.put(net.layers[-1].replace(name="table", inputs=(net.last,), connections=table))
    net.max_pool("pool", 3, stride=2, ceil=True)
    net.put(design.Tanh(name="tanh", inputs=(net.last,), outer=1.7159, inner=2 / 3))
    net.put(design.GELU(name="gelu", inputs=(net.last,)))
    net.shortcut("short", 6, 2, of=x)
    return net.finish()


def test_what_cannot_be_said_is_said() -> None:
    notes = {each: " ".join(spell(odd(), each).notes) for each in DIALECTS}
    assert "groups exist in cudnn.torch only" in notes["torch"]
    assert "gelu: Torch7 has no gelu" in notes["torch"]
    assert "table: Lasagne has no table of connections" in notes["lasagne"]
    assert "flips the filters" in notes["lasagne"]
    assert "uneven: this padding is a PadLayer" in notes["lasagne"]
    assert "table: PyTorch has no table of connections" in notes["pytorch"]
    assert "uneven: nn.Conv2d pads alike on both sides" in notes["pytorch"]
    assert "short: PyTorch has no shortcut" in notes["pytorch"]
    assert "short" in notes["caffe"] and "uneven" in notes["caffe"]
    code = spell(odd(), "torch").code
    assert "nn.SpatialZeroPadding(1, 1, 0, 2)" in code
    assert "nn.SpatialConvolutionMap(torch.Tensor{{1, 1}, {2, 1}, {2, 2}" in code
    assert ":ceil()" in code


def test_width_comes_before_height_in_torch() -> None:
    net = Sketch("t", (3, 20, 20))
    net.conv("c", 8, (1, 7), stride=(2, 1), padding=(0, 3))
    assert spell(net.finish(), "torch").code == (
        "module = nn.SpatialConvolution(3, 8, 7, 1, 1, 2, 3, 0)"
    )


def test_a_layer_a_scope_and_a_graph() -> None:
    network = zoo.network("resnet18")
    assert spell(network, "torch", "conv1").code.endswith(":noBias()")
    graph = spell(network, "torch", "layer2.0").code
    assert graph.startswith("require 'nngraph'") and "nn.CAddTable()({layer2_0_bn2" in graph
    assert graph.endswith("net = nn.gModule({layer1_1_relu1}, {layer2_0_relu1})")
    assert spell(network, "lasagne", "layer2.0").code.count("Conv2DLayer") == 3


def test_starts_and_rates_are_not_forgotten() -> None:
    net = Sketch("t", (3, 8, 8), weight_init=design.He())
    net.conv("c", 8, 3)
    net.layers[-1] = net.layers[-1].replace(rates=(1.0, 2.0))
    assert spell(net.finish(), "pytorch").notes == (
        "How weights start (he) is not part of these words.",
        "Frozen layers and multipliers of rate and decay are not part of these words.",
    )


def test_unknown() -> None:
    with pytest.raises(UsageError, match=r"received 'pytorhc'. Did you mean pytorch\?"):
        spell(lecture(), "pytorhc")
    with pytest.raises(UsageError, match=r"no layer or scope 'conv2'. Did you mean conv1\?"):
        spell(lecture(), "torch", "conv2")


def test_which_kinds_each_dialect_handles() -> None:
    """A new kind fails here until somebody decides what the four say of it."""
    default = {"torch": torch7, "lasagne": lasagne, "pytorch": pytorch}
    lacking = {
        dialect: {
            tag
            for tag, kind in kinds(design.Layer).items()
            if room.dispatch(kind) is room.dispatch(object)
        }
        for dialect, room in default.items()
    }
    common = {"opaque", "shortcut"} | set(
        "c_cells channel_dropout combine conv_transpose elementwise group_norm layer_norm "
        "linear_last log_softmax multiply noise permute prelu rbf reduce reshape resize s_cells "
        "slice".split()
    )
    assert lacking == {
        "torch": common | {"gelu", "silu"},
        "lasagne": common | {"subsample"},
        "pytorch": common | {"affine", "local", "subsample"},
    }
    assert isinstance(lecture().layers[0], Conv)
