"""Prototxt: both syntaxes, published networks by their counts, what is left out, round trips."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from striate import design, zoo
from striate.design import Network, Sketch
from striate.design.init import Bilinear, UnitBall
from striate.design.prototxt import parse, to_prototxt
from striate.design.prototxt.write import caffe
from striate.errors import DesignError, NotationError
from striate.layers import build
from striate.records import kinds

# The example of the lectures: a lone layer.
LECTURE = """layer {
    name: "conv1"
    type: "Convolution"
    bottom: "data"
    top: "conv1"
    # learning rate and decay multipliers for the filters
    param { lr_mult: 1 decay_mult: 1 }
    # learning rate and decay multipliers for the biases
    param { lr_mult: 2 decay_mult: 0 }
    convolution_param {
        num_output: 96      # learn 96 filters
        kernel_size: 11     # each filter is 11x11
        stride: 4           # step 4 pixels between each filter application
        weight_filler {
            type: "gaussian" # initialize the filters from a Gaussian
            std: 0.01          # distribution with stdev 0.01 (default mean: 0)
        }
        bias_filler {
            type: "constant" # initialize the biases to zero (0)
            value: 0
        }
    }
}
"""


def layer(kind: str, bottom: str, top: str = "", param: str = "", name: str = "") -> str:
    """Write a layer; without a top it works in place."""
    bottoms = " ".join(f'bottom: "{each}"' for each in bottom.split())
    top = top or bottom
    return f'layer {{ name: "{name or top}" type: "{kind}" {bottoms} top: "{top}" {param} }}\n'


def conv(bottom: str, top: str, features: int, kernel: int, more: str = "") -> str:
    fields = f"num_output: {features} kernel_size: {kernel} {more}"
    return layer("Convolution", bottom, top, f"convolution_param {{ {fields} }}")


def pool(bottom: str, top: str, kernel: int, stride: int, more: str = "") -> str:
    fields = f"pool: MAX kernel_size: {kernel} stride: {stride} {more}"
    return layer("Pooling", bottom, top, f"pooling_param {{ {fields} }}")


def inner(bottom: str, top: str, features: int) -> str:
    return layer("InnerProduct", bottom, top, f"inner_product_param {{ num_output: {features} }}")


def relu(blob: str) -> str:
    scope, slash, end = blob.rpartition("/")
    return layer("ReLU", blob, name=f"{scope}{slash}relu_{end}")


def caffenet() -> str:
    """CaffeNet as trained: data layers of both phases, groups, pooling before normalisation."""
    data = "".join(
        f'layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: {phase} }} '
        f"transform_param {{ mirror: true crop_size: 227 mean_file: 'mean.binaryproto' }} "
        f'data_param {{ source: "lmdb" batch_size: {batch} backend: LMDB }} }}\n'
        for phase, batch in (("TRAIN", 256), ("TEST", 50))
    )
    lrn = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    text = 'name: "CaffeNet"\n' + data
    text += (
        conv("data", "conv1", 96, 11, "stride: 4") + relu("conv1") + pool("conv1", "pool1", 3, 2)
    )
    text += layer("LRN", "pool1", "norm1", lrn)
    text += conv("norm1", "conv2", 256, 5, "pad: 2 group: 2") + relu("conv2")
    text += pool("conv2", "pool2", 3, 2) + layer("LRN", "pool2", "norm2", lrn)
    text += conv("norm2", "conv3", 384, 3, "pad: 1") + relu("conv3")
    text += conv("conv3", "conv4", 384, 3, "pad: 1 group: 2") + relu("conv4")
    text += conv("conv4", "conv5", 256, 3, "pad: 1 group: 2") + relu("conv5")
    text += pool("conv5", "pool5", 3, 2)
    for index, before in ((6, "pool5"), (7, "fc6")):
        text += inner(before, f"fc{index}", 4096) + relu(f"fc{index}")
        text += layer("Dropout", f"fc{index}", name=f"drop{index}")
    text += inner("fc7", "fc8", 1000)
    text += layer("Accuracy", "fc8 label", "accuracy", "include { phase: TEST }")
    return text + layer("SoftmaxWithLoss", "fc8 label", "loss")


def vgg16() -> str:
    """VGG-16 in the older syntax."""
    text = 'name: "VGG"\ninput: "data" input_dim: 10 input_dim: 3 input_dim: 224 input_dim: 224\n'
    before = "data"
    for stage, widths in enumerate(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3), 1):
        for index, width in enumerate(widths, 1):
            name = f"conv{stage}_{index}"
            text += (
                f'layers {{ bottom: "{before}" top: "{name}" name: "{name}" type: CONVOLUTION '
                f"convolution_param {{ num_output: {width} pad: 1 kernel_size: 3 }} }}\n"
                f'layers {{ type: RELU bottom: "{name}" top: "{name}" name: "r{stage}_{index}" }}'
            )
            before = name
        text += (
            f'layers {{ bottom: "{before}" top: "pool{stage}" name: "pool{stage}" type: POOLING '
            "pooling_param { pool: MAX kernel_size: 2 stride: 2 } }\n"
        )
        before = f"pool{stage}"
    for index, width in ((6, 4096), (7, 4096), (8, 1000)):
        text += (
            f'layers {{ bottom: "{before}" top: "fc{index}" name: "fc{index}" type: INNER_PRODUCT '
            f"inner_product_param {{ num_output: {width} }} blobs_lr: 1 blobs_lr: 2 "
            "weight_decay: 1 weight_decay: 0 }\n"
        )
        before = f"fc{index}"
    return text + f'layers {{ bottom: "{before}" top: "prob" name: "prob" type: SOFTMAX }}\n'


def googlenet() -> str:
    """GoogLeNet for training: nine inception modules and two heads of weight 0.3."""
    text = 'name: "GoogleNet"\n'
    text += 'layer { name: "data" type: "Data" top: "data" top: "label" transform_param {'
    text += " crop_size: 224 mean_value: 104 mean_value: 117 mean_value: 123 } }\n"

    def step(before: str, name: str, width: int, kernel: int, more: str = "") -> str:
        return conv(before, name, width, kernel, more) + relu(name)

    text += step("data", "conv1/7x7_s2", 64, 7, "pad: 3 stride: 2")
    text += pool("conv1/7x7_s2", "pool1/3x3_s2", 3, 2) + layer("LRN", "pool1/3x3_s2", "pool1/norm1")
    text += step("pool1/norm1", "conv2/3x3_reduce", 64, 1)
    text += step("conv2/3x3_reduce", "conv2/3x3", 192, 3, "pad: 1")
    text += layer("LRN", "conv2/3x3", "conv2/norm2") + pool("conv2/norm2", "pool2/3x3_s2", 3, 2)
    before = "pool2/3x3_s2"
    widths = {
        "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    for module, (a, b, c, d, e, f) in widths.items():
        at = f"inception_{module}"
        text += step(before, f"{at}/1x1", a, 1)
        text += step(before, f"{at}/3x3_reduce", b, 1) + step(
            f"{at}/3x3_reduce", f"{at}/3x3", c, 3, "pad: 1"
        )
        text += step(before, f"{at}/5x5_reduce", d, 1) + step(
            f"{at}/5x5_reduce", f"{at}/5x5", e, 5, "pad: 2"
        )
        text += pool(before, f"{at}/pool", 3, 1, "pad: 1") + step(
            f"{at}/pool", f"{at}/pool_proj", f, 1
        )
        ends = " ".join(f"{at}/{end}" for end in ("1x1", "3x3", "5x5", "pool_proj"))
        text += layer("Concat", ends, f"{at}/output")
        before = f"{at}/output"
        if module in ("4a", "4d"):
            head = f"loss{1 if module == '4a' else 2}"
            fields = "pool: AVE kernel_size: 5 stride: 3"
            text += layer("Pooling", before, f"{head}/ave_pool", f"pooling_param {{ {fields} }}")
            text += step(f"{head}/ave_pool", f"{head}/conv", 128, 1)
            text += inner(f"{head}/conv", f"{head}/fc", 1024) + relu(f"{head}/fc")
            text += inner(f"{head}/fc", f"{head}/classifier", 1000)
            text += layer(
                "SoftmaxWithLoss", f"{head}/classifier label", f"{head}/loss", "loss_weight: 0.3"
            )
        if module in ("3b", "4e"):
            text += pool(before, f"pool{module[0]}/3x3_s2", 3, 2)
            before = f"pool{module[0]}/3x3_s2"
    fields = "pool: AVE kernel_size: 7 stride: 1"
    text += layer("Pooling", before, "pool5/7x7_s1", f"pooling_param {{ {fields} }}")
    text += inner("pool5/7x7_s1", "loss3/classifier", 1000)
    return text + layer("SoftmaxWithLoss", "loss3/classifier label", "loss3/loss3")


def resnet50() -> str:
    """ResNet-50 of the paper: BatchNorm and Scale in place, stride in the first 1x1."""
    text = 'name: "ResNet-50"\nlayer { name: "data" type: "Input" top: "data"'
    text += " input_param { shape: { dim: 1 dim: 3 dim: 224 dim: 224 } } }\n"

    def step(before: str, end: str, width: int, kernel: int, stride: int = 1, pad: int = 0) -> str:
        more = f"stride: {stride} pad: {pad} bias_term: false"
        return (
            conv(before, f"res{end}", width, kernel, more)
            + layer(
                "BatchNorm", f"res{end}", name=f"bn{end}", param="batch_norm_param { eps: 1e-5 }"
            )
            + layer(
                "Scale", f"res{end}", name=f"scale{end}", param="scale_param { bias_term: true }"
            )
        )

    text += step("data", "1", 64, 7, 2, 3) + relu("res1") + pool("res1", "pool1", 3, 2)
    before = "pool1"
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
        for block in range(blocks):
            at = f"{stage}{'abcdef'[block]}"
            stride = 2 if stage > 2 and block == 0 else 1
            shortcut = before
            if block == 0:
                text += step(before, f"{at}_branch1", 4 * width, 1, stride)
                shortcut = f"res{at}_branch1"
            text += step(before, f"{at}_branch2a", width, 1, stride) + relu(f"res{at}_branch2a")
            text += step(f"res{at}_branch2a", f"{at}_branch2b", width, 3, 1, 1)
            text += relu(f"res{at}_branch2b") + step(
                f"res{at}_branch2b", f"{at}_branch2c", 4 * width, 1
            )
            text += layer("Eltwise", f"{shortcut} res{at}_branch2c", f"res{at}") + relu(f"res{at}")
            before = f"res{at}"
    fields = "pool: AVE kernel_size: 7 stride: 1"
    text += layer("Pooling", before, "pool5", f"pooling_param {{ {fields} }}")
    return text + inner("pool5", "fc1000", 1000) + layer("Softmax", "fc1000", "prob")


def nin() -> str:
    """Network in Network for ImageNet."""
    text = 'input: "data" input_shape { dim: 1 dim: 3 dim: 224 dim: 224 }\n'
    before, number = "data", 1
    stages = ((96, 11, "stride: 4"), (256, 5, "pad: 2"), (384, 3, "pad: 1"), (1024, 3, "pad: 1"))
    for stage, (width, kernel, more) in enumerate(stages, 1):
        text += conv(before, f"conv{stage}", width, kernel, more) + relu(f"conv{stage}")
        before = f"conv{stage}"
        for last in (False, True):
            features = 1000 if stage == 4 and last else width
            text += conv(before, f"cccp{number}", features, 1) + relu(f"cccp{number}")
            before, number = f"cccp{number}", number + 1
        if stage < 4:
            text += pool(before, f"pool{stage}", 3, 2)
            before = f"pool{stage}"
    return text + layer(
        "Pooling", before, "pool4", "pooling_param { pool: AVE global_pooling: true }"
    )


@pytest.mark.parametrize(
    ("text", "train", "evaluation", "macs"),
    [
        (caffenet(), 60_965_224, 60_965_224, 724_406_816),
        (vgg16(), 138_357_544, 138_357_544, 15_470_264_320),
        (googlenet(), 13_378_280, 6_998_552, 1_582_671_872),
        (resnet50(), 25_557_032, 25_557_032, 3_857_973_248),
        (nin(), 7_595_176, 7_595_176, 1_100_188_800),
    ],
    ids=["caffenet", "vgg16", "googlenet", "resnet50", "nin"],
)
def test_published_networks(text: str, train: int, evaluation: int, macs: int) -> None:
    network = parse(text)
    assert network.parameter_count() == train
    assert network.parameter_count(train=False) == evaluation
    assert network.macs() == macs
    assert parse(to_prototxt(network)).macs() == macs


def test_squeezenet_as_published(published_weights: Path) -> None:
    path = published_weights / "squeezenet_v10_deepcompression" / "SqueezeNet_deploy.prototxt"
    network = parse(path.read_text(), source=str(path))
    assert network.parameter_count() == 1_248_424
    assert network.input_shape == (3, 227, 227) and network.classes == 1000


def test_the_lectures_layer_alone() -> None:
    network = parse(LECTURE, input=(3, 227, 227))
    (conv1,) = network.layers
    assert isinstance(conv1, design.Conv)
    assert network.shapes()["conv1"] == (96, 55, 55) and network.parameter_count() == 34_944
    assert (conv1.rates, conv1.decays) == ((1.0, 2.0), (1.0, 0.0))
    assert conv1.weight_init == design.Normal(std=0.01)
    with pytest.raises(NotationError, match="'data', which nothing gives: give its shape"):
        parse(LECTURE)


def test_heads_for_training_are_outputs() -> None:
    network = parse(googlenet())
    assert [(o.name, o.train_only, o.loss_weight) for o in network.outputs] == [
        ("logits", False, 1.0),
        ("loss1_loss", True, 0.3),
        ("loss2_loss", True, 0.3),
    ]
    assert "inception_3a.conv_3x3_reduce" in {layer.name for layer in network.layers}
    net = build(network, seed=None)
    assert net.train()(torch.empty(2, 3, 224, 224, device="meta")).keys() == {
        "logits", "loss1_loss", "loss2_loss",
    }  # fmt: skip


def test_a_batch_norm_and_its_scale_are_one() -> None:
    norms = [each for each in parse(resnet50()).layers if isinstance(each, design.BatchNorm)]
    assert len(norms) == 53 and all(norm.affine and norm.name.startswith("bn") for norm in norms)
    assert norms[0].momentum == 0.001


DATA = 'input: "data" input_shape { dim: 1 dim: 4 dim: 12 dim: 12 }\n'


def read(body: str, **options: object) -> Network:
    return parse(DATA + body, **options)  # type: ignore[arg-type]


def only(body: str) -> design.Layer:
    return read(body).layers[-1]


def test_what_was_left_out_is_said() -> None:
    text = caffenet()
    assert "'accuracy' (of the other phase)" in parse(text).layers[-1].note
    assert "three channels taken for granted" in parse(text).layers[-1].note
    note = only(inner("data", "fc", 5) + layer("Softmax", "fc", "prob")).note
    assert "'prob' (soft-max: the loss and predict apply it)" in note
    note = read(conv("data", "c", 2, 3) + conv("c", "d", 2, 3)).layers[0].note
    assert note == "no weight_filler written: Xavier's here, where Caffe would start at 0"


def test_phases_choose_layers() -> None:
    body = conv("data", "a", 2, 3)
    body += layer("Dropout", "a", name="drop", param="include { phase: TRAIN }")
    body += layer("Sigmoid", "a", name="s", param="exclude: { phase: TRAIN }")
    body += layer("TanH", "a", name="t", param="include { stage: 'deploy' }")
    assert [each.name for each in read(body).layers] == ["a", "drop"]
    assert [each.name for each in read(body, phase="TEST").layers] == ["a", "s"]


def test_data_layers_say_shapes() -> None:
    def shape(text: str) -> tuple[int, ...]:
        return parse(text + conv("data", "c", 2, 1)).input_shape

    top = 'layer { name: "d" top: "data" top: "label" type: '
    assert shape(top + '"Data" transform_param { crop_size: 8 force_gray: true } }') == (1, 8, 8)
    assert shape(top + '"ImageData" image_data_param { new_height: 8 new_width: 9 } }') == (3, 8, 9)
    param = "memory_data_param { channels: 2 height: 8 width: 9 batch_size: 5 } }"
    assert shape(top + '"MemoryData" ' + param) == (2, 8, 9)
    param = "dummy_data_param { num: 1 channels: 2 height: 8 width: 9 } }"
    assert shape(top + '"DummyData" ' + param) == (2, 8, 9)
    param = "dummy_data_param { shape { dim: [1, 2, 8, 9] } shape { dim: 1 } } }"
    assert shape(top + '"DummyData" ' + param) == (2, 8, 9)
    with pytest.raises(NotationError, match="of which the file does not say the shape"):
        shape(top + '"Data" }')
    assert parse(top + '"Data" }' + conv("data", "c", 2, 1), input=(7, 8, 9)).input_shape == (
        7,
        8,
        9,
    )


def test_sizes_of_windows() -> None:
    fields = "kernel_h: 3 kernel_w: 5 pad_w: 2 stride_h: 2 dilation: 2 dilation: 1 group: 2"
    made = only(
        layer("Convolution", "data", "c", f"convolution_param {{ num_output: 2 {fields} }}")
    )
    assert isinstance(made, design.Conv)
    assert (made.kernel, made.stride, made.dilation) == ((3, 5), (2, 1), (2, 1))
    assert (made.padding, made.groups) == (((0, 0), (2, 2)), 2)
    body = layer(
        "Pooling", "data", "p", "pooling_param { pool: AVE kernel_size: 3 kernel_size: 2 }"
    )
    made = only(body)
    assert isinstance(made, design.AvgPool) and made.kernel == (3, 2) and made.ceil


@pytest.mark.parametrize("size", range(4, 20))
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 1)])
def test_pooling_rounds_up_as_caffe(size: int, kernel: int, stride: int, pad: int) -> None:
    """Caffe's rule, from pooling_layer: ceil, and with padding no window wholly in it."""
    text = f'input: "data" input_dim: 1 input_dim: 1 input_dim: {size} input_dim: {size}\n'
    network = parse(text + pool("data", "p", kernel, stride, f"pad: {pad}"))
    count = -(-(size + 2 * pad - kernel) // stride) + 1
    if pad and (count - 1) * stride >= size + pad:
        count -= 1
    assert network.shapes()["p"] == (1, count, count)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_pooling_gives_caffes_values(method: str) -> None:
    """The average counts padding up to the padded border, as Caffe's does."""
    param = f"pooling_param {{ pool: {method} kernel_size: 3 stride: 2 pad: 1 }}"
    net = build(read(layer("Pooling", "data", "p", param)), seed=0)
    image = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    padded = F.pad(image, (1, 1, 1, 1), value=0.0 if method == "AVE" else -1e9)
    expected = torch.empty(1, 4, 7, 7)
    for row in range(7):
        for column in range(7):
            part = padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected[:, :, row, column] = (
                part.amax((2, 3)) if method == "MAX" else part.mean((2, 3))
            )
    assert torch.allclose(net(image), expected)


@pytest.mark.parametrize(
    ("filler", "init"),
    [
        ('type: "constant" value: 0.5', design.Constant(value=0.5)),
        ('type: "gaussian" std: 0.02', design.Normal(std=0.02)),
        ('type: "uniform" min: -0.1 max: 0.1', design.Uniform(bound=0.1)),
        ('type: "xavier"', design.FanInUniform(gain=3**0.5)),
        ('type: "xavier" variance_norm: AVERAGE', design.Xavier(uniform=True)),
        ('type: "msra"', design.He()),
        ('type: "msra" variance_norm: FAN_OUT', design.He(fan="out")),
        ('type: "bilinear"', Bilinear()),
        ('type: "positive_unitball"', UnitBall()),
    ],
)
def test_fillers(filler: str, init: design.Init) -> None:
    made = only(conv("data", "c", 2, 3, f"weight_filler {{ {filler} }}"))
    assert isinstance(made, design.Conv) and made.weight_init == init and not made.note


@pytest.mark.parametrize("init", [Bilinear(), UnitBall()])
def test_fillers_of_caffes_own_are_written_as_read(init: design.Init) -> None:
    pen = Sketch("filled", (3, 8, 8))
    pen.conv("c", 2, 3)
    made = pen.finish()
    made = made.replace(layers=(made.layer("c").replace(weight_init=init),))
    again = parse(to_prototxt(made)).layer("c")
    assert isinstance(again, design.Conv) and again.weight_init == init


def test_multipliers_and_frozen_layers() -> None:
    def made(param: str) -> design.Layer:
        return only(f'layer {{ type: "InnerProduct" bottom: "data" top: "f" {param} '
                    "inner_product_param { num_output: 3 } }")  # fmt: skip

    assert made("").rates == (1.0, 1.0)
    assert made("param { lr_mult: 0.1 } param { lr_mult: 20 decay_mult: 0 }").rates == (0.1, 20.0)
    frozen = made("param { lr_mult: 0 } param { lr_mult: 0 }")
    assert not frozen.trainable and frozen.rates == (1.0, 1.0)
    older = made("blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0")
    assert (older.rates, older.decays) == ((1.0, 2.0), (1.0, 0.0))


def test_parameters_shared_by_name() -> None:
    def step(top: str, *names: str) -> str:
        names_ = " ".join(f'param {{ name: "{name}" }}' for name in names)
        return layer(
            "Convolution",
            "data",
            top,
            f"convolution_param {{ num_output: 2 kernel_size: 3 }} {names_}",
        )

    both = step("a", "w", "b") + step("c", "w", "b") + layer("Eltwise", "a c", "sum")
    network = read(both)
    assert network.layer("c").shares == "a" and network.parameter_count() == 2 * 4 * 9 + 2
    assert parse(to_prototxt(network)).layer("c").shares == "a"
    with pytest.raises(NotationError, match="share all parameters of one layer, or none"):
        read(step("a", "w", "b") + step("c", "w", "other") + layer("Eltwise", "a c", "sum"))
    other = step("c", "w", "b").replace("kernel_size: 3", "kernel_size: 5")
    with pytest.raises(NotationError, match="are not those of a"):
        read(step("a", "w", "b") + other + layer("Concat", "a", "x"))


def test_graphs_split_and_flatten() -> None:
    text = 'layer { name: "s" type: "Split" bottom: "data" top: "a" top: "b" }\n'
    text += conv("a", "c", 4, 1) + layer("Eltwise", "b c", "sum") + layer("Flatten", "sum", "flat")
    network = read(text)
    assert network.layer("sum").inputs == ("data", "c") and network.classes == 4 * 144
    shape = "reshape_param { shape { dim: 0 dim: -1 } }"
    assert isinstance(only(layer("Reshape", "data", "r", shape)), design.Flatten)


def test_counted_but_not_built() -> None:
    within = "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }"
    network = read(
        conv("data", "c", 6, 3) + layer("LRN", "c", "n", within) + layer("PReLU", "n", "p")
    )
    assert [type(each).__name__ for each in network.layers] == ["Conv", "Opaque", "Opaque"]
    assert network.parameter_count() == 6 * (36 + 1) + 6
    with pytest.raises(DesignError, match="counted, but not built"):
        build(network)


def test_deconvolution_as_torch_counts_it() -> None:
    fields = "num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 2 "
    fields += 'weight_filler { type: "xavier" }'
    network = read(layer("Deconvolution", "data", "d", f"convolution_param {{ {fields} }}"))
    twin = torch.nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2)
    assert network.shapes()["d"] == tuple(twin(torch.zeros(1, 4, 12, 12)).shape[1:])
    assert network.parameter_count() == sum(each.numel() for each in twin.parameters())
    assert network.macs() == 144 * 4 * 3 * 16
    net, x = build(network), torch.randn(1, 4, 12, 12)
    twin.load_state_dict({each: net.get_parameter(f"d.{each}") for each in ("weight", "bias")})
    torch.testing.assert_close(net(x), twin(x))
    assert parse(to_prototxt(network)) == network


# -- names -----------------------------------------------------------------------------------------


def test_names_become_module_paths() -> None:
    body = conv("data", "a/1x1", 2, 1) + conv("a/1x1", "a/3x3", 2, 3) + conv("a/3x3", "b", 2, 1)
    body += conv("b", "b/x", 2, 1) + conv("b/x", "a/late", 2, 1) + conv("a/late", "train", 2, 1)
    body += conv("train", "c-d", 2, 1) + conv("c-d", "c_d", 2, 1)
    names = [each.name for each in read(body).layers]
    assert names == ["a_conv_1x1", "a_conv_3x3", "b", "b_x", "a_late", "train_", "c_d", "c_d_2"]
    build(read(body), seed=None)


# -- round trips -----------------------------------------------------------------------------------

EXACT = ["alexnet_onetower", "lenet", "softmax", "mlp", "alexnet_grouped", "googlenet", "zfnet"]


@pytest.mark.parametrize("name", EXACT)
def test_round_trip_is_exact(name: str) -> None:
    network = zoo.network(name)
    assert parse(to_prototxt(network)) == network


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "squeezenet1_0", "alexnet", "inception_v3"])
def test_round_trip_keeps_names_and_counts(name: str) -> None:
    """Starts by fan in come back as numbers, adaptive pooling as the window it is."""
    network = zoo.network(name)
    again = parse(to_prototxt(network))
    assert [layer.name for layer in again.layers] == [layer.name for layer in network.layers]
    assert dict(again.shapes()) == dict(network.shapes())
    assert again.parameter_count() == network.parameter_count()
    assert parse(to_prototxt(again)) == again


def test_pooling_to_a_size_is_written_as_the_window_it_is() -> None:
    net = Sketch("t", (3, 12, 8))
    net.adaptive_max_pool("pool", (3, 4))
    again = parse(to_prototxt(net.finish())).layer("pool")
    assert isinstance(again, design.MaxPool) and not again.ceil
    assert (again.kernel, again.stride) == ((4, 2), (4, 2))


def test_the_size_it_names_is_one_that_the_whole_file_takes() -> None:
    def pool(name: str, below: str) -> str:
        return (
            f'layer {{ name: "{name}" type: "Pooling" bottom: "{below}" top: "{name}" '
            "pooling_param { pool: MAX kernel_size: 2 stride: 2 round_mode: FLOOR } }"
        )

    text = 'input: "data" input_dim: 1 input_dim: 1 input_dim: 5 input_dim: 5\n' + "\n".join(
        pool(f"p{at}", f"p{at - 1}" if at else "data") for at in range(4)
    )
    with pytest.raises(NotationError, match="takes images of 16x16 and larger, rec") as caught:
        parse(text)
    assert caught.value.layer == "p2" and caught.value.least == (16, 16)
    assert parse(text, input=(1, 16, 16)).shapes()["p3"] == (1, 1, 1)


def test_every_field_survives() -> None:
    net = Sketch("all", (4, 13, 15), weight_init=design.Xavier(uniform=True))
    net.conv(
        "a.0", 6, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2, bias="none"
    )
    net.put(design.BatchNorm(name="a.1", inputs=(net.last,), eps=1e-3, corrected=True))
    net.put(design.BatchNorm(name="a.2", inputs=(net.last,), affine=False, corrected=True))
    net.put(design.LeakyReLU(name="leaky", inputs=(net.last,), slope=0.25))
    net.put(design.Affine(name="affine", inputs=(net.last,), trainable=False))
    net.avg_pool("pool", 3, stride=2, padding=1, ceil=True)
    net.put(design.Conv(
        name="slow", inputs=(net.last,), features=6, kernel=(1, 1), stride=(1, 1),
        padding=((0, 0),) * 2, dilation=(1, 1), rates=(0.5, 2.0), decays=(1.0, 0.0),
        weight_init=design.He(fan="out"), bias_init=design.Constant(value=1.0),
    ))  # fmt: skip
    net.add("sum", "slow", "pool")
    net.put(design.LRN(name="lrn", inputs=(net.last,), size=3, alpha=2e-5, beta=0.5, k=2.0))
    net.concat("cat", "lrn", "slow")
    net.put(design.Tanh(name="tanh", inputs=(net.last,)))
    net.put(design.Sigmoid(name="sigmoid", inputs=(net.last,)))
    net.max_pool("floor", 2)
    net.adaptive_max_pool("gmp")
    net.flatten()
    net.dropout("drop", 0.3)
    net.linear("fc", 5)
    network = net.finish()
    assert parse(to_prototxt(network)) == network


def test_the_kinds_that_caffe_has() -> None:
    other = caffe.dispatch(design.Layer)
    known = {tag for tag, kind in kinds(design.Layer).items() if caffe.dispatch(kind) is not other}
    assert known == set(
        "conv conv_transpose linear max_pool avg_pool adaptive_avg_pool adaptive_max_pool dropout "
        "lrn batch_norm affine relu leaky_relu tanh sigmoid softmax flatten add concat".split()
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda net: net.put(design.GELU(name="g", inputs=("x",))),
            "g: Caffe has no layer for a gelu",
        ),
        (
            lambda net: net.conv("c", 2, 3, padding=((0, 1), (0, 1))),
            "c: Caffe pads both sides alike",
        ),
        (lambda net: net.conv("c", 2, 3, bias="position"), "c: Caffe convolves images"),
        (lambda net: net.adaptive_avg_pool("p", 5), r"no pooling from \(13, 13\) to \(5, 5\)"),
        (
            lambda net: net.put(design.Tanh(name="t", inputs=("x",), outer=1.7)),
            "t: Caffe has no 1.7",
        ),
    ],
)
def test_what_caffe_lacks(write: object, message: str) -> None:
    net = Sketch("t", (3, 13, 13))
    write(net)  # type: ignore[operator]
    with pytest.raises(DesignError, match=message):
        to_prototxt(net.finish())


# -- errors ----------------------------------------------------------------------------------------


RATIO, AXIS = "dropout_param { dropout_ratio: 2 }", "concat_param { axis: 2 }"


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("", "", "expected at least one layer"),
        ("layer {", "{", "expected '}' to close this"),
        ("layer }", "}", "expected ':' or '{' after layer"),
        ("layer { type }", "}", "expected ':' or '{' after type"),
        ("layer { type: }", "}", "expected a value"),
        ('layer { type: "Conv', '"Conv', 'expected a closing "'),
        ("layer { }", "layer", "expected the layer to have a type"),
        ("layer: 3", "layer", "expected layer { ... }"),
        ("layers { layer { } }", "layers", "Caffe's first format"),
        ("a: [1, 2", "[1", "expected ']' to close this list"),
        ("a: [1 2]", "2]", "expected ',' or ']'"),
        ("nmae: 'x'", "nmae", "a network has no field 'nmae'. Did you mean name"),
        ("{" * 3, "{{{", "expected the name of a field, received '{'"),
        ("a " + "{ b " * 60, "b {", "at most 40 braces"),
        (DATA + 'layer { typ: "ReLU" }', "typ:", "a layer has no field 'typ'. Did you mean type"),
        (DATA + layer("Convolutoin", "data", "c"), "type:", "Did you mean Convolution"),
        (DATA + layer("Python", "data", "c"), "type:", r"'c' \(Python\): layers of this type"),
        (DATA + layer("LSTM", "data", "c"), "type:", r"'c' \(LSTM\): layers of this type cannot"),
        (DATA + layer("ReLU", "dta", "c"), '"dta"', "which nothing gives .did you mean 'data'"),
        (DATA + layer("Convolution", "data", "c"), "{ name:", "expected num_output"),
        (DATA + conv("data", "c", 2, 3, "kernal: 3"), "kernal", "has no field 'kernal'. Did you"),
        (DATA + conv("data", "c", 2, 3, "pad: -1"), "-1", "pad to be a whole number from 0"),
        (DATA + conv("data", "c", 2, 3, "pad: 1.5"), "1.5", "whole number .* received 1.5"),
        (DATA + conv("data", "c", '"8"', 3), '"8"', 'received "8"'),
        (DATA + conv("data", "c", 10**9, 3), "1000000000", "a whole number from 1 to 10,000,000"),
        (DATA + conv("data", "c", 2, 3, "group: 3"), 'name: "c"', "divisible by groups=3"),
        (DATA + conv("data", "c", 2, 30), 'name: "c"', "30x30 window does not fit"),
        (DATA + conv("data", "c", 2, 3, "bias_term: 7"), "7 }", "expected true or false"),
        (DATA + pool("data", "p", 3, 2).replace("MAX", "MEAN"), "MEAN", "to be MAX or AVE"),
        (DATA + pool("data", "p", 3, 2, "pad: 2"), 'name: "p"', "at most half the kernel"),
        (DATA + layer("Eltwise", "data dat", "e"), '"dat"', "reads 'dat'"),
        (DATA + layer("ReLU", "data data", "e"), 'name: "e"', "expected 1 bottom"),
        (DATA + layer("Dropout", "data", "d", RATIO), 'name: "d"', "p < 1"),
        (DATA + layer("LRN", "data", "n", "lrn_param { alpha: nan }"), "nan", "to be a number"),
        (DATA + layer("Concat", "data", "n", AXIS), "concat_param", "axis: 1"),
        ('input: "d" input_dim: 1 ' + relu("d"), "input_dim", "expected four input_dim"),
        (DATA + layer("Accuracy", "data", "n"), "input:", "at least one layer that computes"),
    ],
)  # fmt: skip
def test_errors_point(text: str, at: str, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        parse(text)
    line = text.split("\n")[caught.value.line - 1]
    assert line[caught.value.column - 1 :].lstrip().startswith(at)
    assert str(caught.value).splitlines()[-1].strip() == "^"


def test_too_many_layers_are_refused() -> None:
    with pytest.raises(NotationError, match="at most 5,000 layers"):
        parse('layer { type: "ReLU" }\n' * 5001)


def test_a_layer_that_does_not_fit_comes_with_the_table() -> None:
    with pytest.raises(NotationError) as caught:
        read(conv("data", "a", 2, 5) + conv("a", "b", 2, 9))
    assert caught.value.layer == "b" and "received 2x8x8" in caught.value.table


# -- mutations -------------------------------------------------------------------------------------

WORDS = [*'{}[]:"#,', "layer", "layers", "type", "0", "-1", "99999999999", "1e400", "top", "x"]


def mutate(text: str, chance: random.Random) -> str:
    """Change a text in one to four places: a character, a word, a line doubled, moved, cut."""
    for _ in range(chance.randint(1, 4)):
        lines = text.split("\n")
        a, at = chance.randrange(len(lines)), chance.randint(0, len(text))
        kind = chance.randrange(6)
        if kind == 0:
            text = text[:at] + chance.choice(WORDS) + text[at + chance.randint(0, 3) :]
        elif kind == 1:
            text = "\n".join(lines[:a] + lines[a + 1 :])
        elif kind == 2:
            text = "\n".join([*lines[:a], lines[a], *lines[a:]])
        elif kind == 3:
            words = text[at : at + 200].split(" ")
            chance.shuffle(words)
            text = text[:at] + " ".join(words) + text[at + 200 :]
        elif kind == 4:
            text = text[:at] + chr(chance.choice((0, 9, 34, 39, 233, 8364, 126))) + text[at:]
        else:
            text = text[:at]  # cut short
            text += "}" * (text.count("{") - text.count("}"))
    return text


def check_mutations(count: int, seed: int) -> None:
    seeds = [LECTURE, caffenet(), vgg16(), nin(), resnet50()[:4000], googlenet()[:5000]]
    seeds += [to_prototxt(zoo.network("lenet")), DATA + conv("data", "c", 2, 3) + relu("c")]
    chance = random.Random(seed)
    read = 0
    for _ in range(count):
        text = mutate(chance.choice(seeds), chance)
        start = time.process_time()
        try:
            network = parse(text, input=chance.choice((None, (3, 64, 64))))
        except NotationError as error:
            lines = text.split("\n")
            assert 1 <= error.line <= len(lines), text
            assert 1 <= error.column <= len(lines[error.line - 1]) + 1, text
        else:
            read += 1
            assert network.parameter_count() >= 0
        assert time.process_time() - start < 5, text
    assert 0.05 < read / count < 0.95  # neither all broken nor all whole


def test_mutated_prototxt_is_a_network_or_an_error_with_a_place() -> None:
    check_mutations(500, seed=1)


@pytest.mark.slow
def test_ten_thousand_mutated_prototxts() -> None:
    check_mutations(10_000, seed=2)
